"""Binds one `@rest` to its operation: every rule an endpoint has beside GraphQL's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DefinitionNode,
    DirectiveNode,
    DocumentNode,
    GraphQLDirective,
    GraphQLError,
    GraphQLInputType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    VariableDefinitionNode,
    coerce_input_value,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    type_from_ast,
    value_from_ast_untyped,
)
from graphql.execution.values import get_argument_values
from graphql.pyutils import did_you_mean, suggestion_list

from core.errors import InvalidInput
from rest_compat.answer_rules import answered_root, answering, check_stream
from rest_compat.comments import comment_above, summary_and_description
from rest_compat.endpoints import (
    BODY_PLACES,
    METHODS,
    METHODS_WITH_BODY_MEMBERS,
    Answering,
    Auth,
    Endpoint,
    Envelope,
    Input,
    Limit,
    Place,
    names_in_path,
)
from rest_compat.inputs import fixed_value
from rest_compat.labels import labels_of
from rest_compat.mistakes import Mistake
from rest_compat.selections import Member, members_of

_PATH: Final = re.compile(r"(/([A-Za-z0-9._~-]+|\{[A-Za-z_]\w*\}))+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_STREAMING: Final = frozenset({"GET", "POST"})
_TEXT_PLACES: Final = frozenset(
    {Place.PATH, Place.QUERY, Place.HEADER, Place.FIXED, Place.IF_MATCH}
)
_WHOLE_BODY: Final = ("body", "raw", "lines")


@dataclass(frozen=True, slots=True)
class Binding:
    """An operation and where it stands, about to become an endpoint."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    document: DocumentNode
    name: str
    noun: str
    place: str

    def endpoint(self, rest: GraphQLDirective, node: DirectiveNode) -> Endpoint:
        """Return the endpoint that `node` describes. Raises Mistake at the first broken rule."""
        options = get_argument_values(rest, node)
        method, path = self._method_and_path(options)
        inputs = self._inputs(method, path, options)
        roots = self._root_members()
        answer = answering(self.schema, options, roots, self._fragments(), method)
        key, root = answered_root(roots)
        follows = self.operation.operation is OperationType.SUBSCRIPTION
        check_stream(self.schema, answer, root, follows=follows)
        auth = Auth(options["auth"])
        self._check_edge(method, auth, options, inputs, answer)
        summary, description = summary_and_description(comment_above(self.operation))
        return Endpoint(
            name=self.name,
            noun=self.noun,
            place=self.place,
            method=method,
            path=path,
            summary=summary,
            description=description,
            auth=auth,
            limit=Limit(options["limit"]),
            inputs=inputs,
            answering=answer,
            document=self.document,
            root_key=key,
            root_type=root.type,
            labels=labels_of(self.document, inputs),
            is_idempotent=self._is_idempotent(method, auth, options),
            is_anonymous=options["anonymous"],
            body_limit_bytes=options.get("bodyLimit"),
            missing_is_not_found=(
                not follows
                and answer.envelope is not Envelope.NONE
                and not is_non_null_type(root.type)
                and not is_leaf_type(get_named_type(root.type))
            ),
        )

    def _method_and_path(self, options: Mapping[str, Any]) -> tuple[str, str]:
        given = [method for method in METHODS if options.get(method) is not None]
        if len(given) != 1:
            raise Mistake(f"give exactly one of {', '.join(METHODS)}")
        method, path = given[0].upper(), options[given[0]]
        if not _PATH.fullmatch(path):
            raise Mistake(f"{path!r} is not a path of plain and {{variable}} segments")
        if not self._may_use(method):
            raise Mistake("a subscription answers to GET or POST")
        if method == "GET" and self.operation.operation is OperationType.MUTATION:
            raise Mistake("a mutation cannot answer to GET")
        return method, path

    def _may_use(self, method: str) -> bool:
        return self.operation.operation is not OperationType.SUBSCRIPTION or method in _STREAMING

    def _is_idempotent(self, method: str, auth: Auth, options: Mapping[str, Any]) -> bool:
        usual = (
            method == "POST"
            and auth is Auth.USER
            and self.operation.operation is OperationType.MUTATION
        )
        wanted = options.get("idempotent")
        if wanted and (self.operation.operation is not OperationType.MUTATION):
            raise Mistake("idempotent is for mutations")
        if wanted and auth is Auth.NONE:
            raise Mistake("idempotent needs a caller, whose keys these are")
        return usual if wanted is None else bool(wanted)

    def _check_edge(
        self,
        method: str,
        auth: Auth,
        options: Mapping[str, Any],
        inputs: tuple[Input, ...],
        answer: Answering,
    ) -> None:
        if options["anonymous"] and auth is not Auth.NONE:
            raise Mistake("anonymous goes with auth NONE")
        limit = options.get("bodyLimit")
        if limit is not None and (limit < 1 or not any(i.place in BODY_PLACES for i in inputs)):
            raise Mistake("bodyLimit needs a body, and at least one byte")
        if options.get("ifMatch") is not None and method in {"GET", "POST"}:
            raise Mistake("ifMatch is for PUT, PATCH and DELETE")
        page = answer.next_page
        if page is not None and not any(
            item.name == page.variable and item.place is Place.QUERY for item in inputs
        ):
            raise Mistake(f"next: ${page.variable} does not come from the query string")

    def _inputs(self, method: str, path: str, options: Mapping[str, Any]) -> tuple[Input, ...]:
        variables = {node.variable.name.value: node for node in self._variables()}
        places = self._named_places(path, options)
        for name in places:
            if name not in variables:
                hint = did_you_mean(suggestion_list(name, list(variables)), "variable")
                raise Mistake(f"the operation has no variable ${name}.{hint}")
        inputs = []
        for name, node in variables.items():
            place, label = places.get(name) or (self._usual_place(method, options), name)
            item = self._input(node, name, label, place)
            _check_input(item, method)
            inputs.append(item)
        return tuple(inputs)

    def _variables(self) -> tuple[VariableDefinitionNode, ...]:
        return tuple(self.operation.variable_definitions or ())

    def _named_places(self, path: str, options: Mapping[str, Any]) -> dict[str, tuple[Place, str]]:
        named = [(name, Place.PATH, name) for name in names_in_path(path)]
        named += [
            (each["variable"], Place.HEADER, each["name"]) for each in _list(options, "headers")
        ]
        named += [(name, Place.QUERY, name) for name in _list(options, "query")]
        for option, place, label in (
            ("body", Place.BODY, "body"),
            ("raw", Place.RAW, "body"),
            ("lines", Place.LINES, "line"),
            ("optionalBearer", Place.BEARER, "Authorization"),
            ("ifMatch", Place.IF_MATCH, "If-Match"),
        ):
            if options.get(option) is not None:
                named.append((options[option], place, label))
        named += [
            (each["variable"], Place.FIXED, each["value"]) for each in _list(options, "fixed")
        ]
        if sum(options.get(name) is not None for name in _WHOLE_BODY) > 1:
            raise Mistake("the body goes to one of `body`, `raw` and `lines`")
        places: dict[str, tuple[Place, str]] = {}
        for name, place, label in named:
            if name in places:
                raise Mistake(f"${name} cannot come from {places[name][0]} and from {place}")
            places[name] = (place, label)
        return places

    def _usual_place(self, method: str, options: Mapping[str, Any]) -> Place:
        if any(options.get(name) is not None for name in _WHOLE_BODY):
            return Place.QUERY
        if options.get("query") is not None:
            return Place.MEMBER
        return Place.MEMBER if method in METHODS_WITH_BODY_MEMBERS else Place.QUERY

    def _input(self, node: VariableDefinitionNode, name: str, label: str, place: Place) -> Input:
        type_: GraphQLInputType = type_from_ast(self.schema, node.type)  # type: ignore[assignment]
        default = node.default_value
        return Input(
            name=name,
            label=label,
            place=place,
            type=type_,
            required=is_non_null_type(type_) and default is None,
            default=value_from_ast_untyped(default) if default else None,
            description=comment_above(node).replace("\n", " "),
        )

    def _root_members(self) -> dict[str, Member]:
        root: GraphQLObjectType | None = self.schema.get_root_type(self.operation.operation)
        assert root is not None
        sets = [self.operation.selection_set]
        return members_of(self.schema, root, sets, self._fragments())

    def _fragments(self) -> dict[str, Any]:
        nodes = (node for node in self.document.definitions if node.kind == "fragment_definition")
        return {node.name.value: node for node in nodes}  # type: ignore[attr-defined]


def _check_input(item: Input, method: str) -> None:
    inner = get_nullable_type(item.type)
    if is_list_type(inner) and item.place is not Place.PATH:
        inner = get_nullable_type(inner.of_type)
    if item.place in _TEXT_PLACES and not is_leaf_type(inner):
        raise Mistake(f"${item.name} of type {item.type} cannot come from the {item.place}")
    if item.place is Place.HEADER and not _TOKEN.fullmatch(item.label):
        raise Mistake(f"{item.label!r} is not the name of a header")
    if item.place is Place.RAW and getattr(inner, "name", "") != "Bytes":
        raise Mistake(f"${item.name} must be of the scalar Bytes to receive the raw body")
    if item.place is Place.BEARER and str(item.type) != "String":
        raise Mistake(f"${item.name} must be a nullable String to receive an optional token")
    if item.place is Place.FIXED:
        _check_fixed(item)
    if item.place is Place.LINES and not is_list_type(get_nullable_type(item.type)):
        raise Mistake(f"${item.name} must be a list to receive lines")
    if item.place is Place.IF_MATCH and is_non_null_type(item.type):
        raise Mistake(f"${item.name} must be nullable: If-Match may be absent")
    if method == "GET" and item.place in BODY_PLACES:
        raise Mistake(f"${item.name} would come from a body, and GET has none")


def _check_fixed(item: Input) -> None:
    try:
        value = coerce_input_value(fixed_value(item), item.type)
    except (InvalidInput, GraphQLError) as error:
        raise Mistake(f"${item.name} cannot be {item.label!r}: {error}") from None
    if value is Undefined:
        raise Mistake(f"${item.name} cannot be {item.label!r}")


def without_rest(document: DocumentNode) -> DocumentNode:
    """Return the document as the served schema knows it: without `@rest`."""
    definitions: list[DefinitionNode] = []
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            kept = tuple(each for each in node.directives or () if each.name.value != "rest")
            definitions.append(_with_directives(node, kept))
        else:
            definitions.append(node)
    return DocumentNode(definitions=tuple(definitions))


def _with_directives(
    node: OperationDefinitionNode, directives: tuple[DirectiveNode, ...]
) -> OperationDefinitionNode:
    return OperationDefinitionNode(
        operation=node.operation,
        name=node.name,
        variable_definitions=node.variable_definitions,
        directives=directives,
        selection_set=node.selection_set,
        loc=node.loc,
    )


def _list(options: Mapping[str, Any], name: str) -> list[Any]:
    return options.get(name) or []
