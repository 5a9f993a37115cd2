"""Reads the annotated operations and refuses every mistake at start, with file, line and column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from graphql import (
    DirectiveNode,
    DocumentNode,
    GraphQLDirective,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    Source,
    extend_schema,
    get_location,
    parse,
    validate,
)
from graphql.utilities import separate_operations

from rest_compat.binding import Binding, without_rest
from rest_compat.comments import comment_on_top
from rest_compat.endpoints import Endpoint
from rest_compat.mistakes import Mistake


class CatalogError(Exception):
    """The operations cannot be served; `problems` names each mistake with its place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["The REST operations have mistakes:", *problems]))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every endpoint of the REST API, in the order of files and lines, and the schema below.

    `nouns` says what each file is about.
    """

    endpoints: tuple[Endpoint, ...]
    schema: GraphQLSchema
    nouns: Mapping[str, str]


def load_catalog(schema: GraphQLSchema, directory: Path | Traversable | None = None) -> Catalog:
    """Read `*.graphql` of `directory` (default: the package's operations) against `schema`.

    Raises CatalogError with every mistake found.
    """
    folder = directory or files("rest_compat") / "operations"
    extended, rest = _with_directive(schema)
    problems: list[str] = []
    endpoints: list[Endpoint] = []
    names: dict[str, str] = {}
    nouns: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".graphql"):
            continue
        document = _parsed(file, extended, problems)
        if document is not None:
            noun = file.name.removesuffix(".graphql")
            nouns[noun] = comment_on_top(document) or noun.capitalize()
            endpoints += _bound(document, file.name, schema, rest, names, problems)
    problems += _clashes(endpoints)
    if problems:
        raise CatalogError(problems)
    return Catalog(tuple(endpoints), schema, nouns)


def _with_directive(schema: GraphQLSchema) -> tuple[GraphQLSchema, GraphQLDirective]:
    text = (files("rest_compat") / "rest.graphql").read_text(encoding="utf-8")
    extended = extend_schema(schema, parse(Source(text, "rest.graphql")))
    rest = extended.get_directive("rest")
    assert rest is not None
    return extended, rest


def _parsed(
    file: Path | Traversable, extended: GraphQLSchema, problems: list[str]
) -> DocumentNode | None:
    try:
        document = parse(Source(file.read_text(encoding="utf-8"), file.name))
    except GraphQLError as error:
        problems.append(_placed(error, file.name))
        return None
    errors = validate(extended, document)
    problems += [_placed(error, file.name) for error in errors]
    return None if errors else document


def _placed(error: GraphQLError, file_name: str) -> str:
    for at in error.locations or ():
        return f"{file_name}:{at.line}:{at.column}: {error.message}"
    return f"{file_name}: {error.message}"


def _bound(
    document: DocumentNode,
    file_name: str,
    schema: GraphQLSchema,
    rest: GraphQLDirective,
    names: dict[str, str],
    problems: list[str],
) -> Iterator[Endpoint]:
    apart = separate_operations(document)
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        place = place_of(node, file_name)
        name = node.name.value if node.name else ""
        directives = [each for each in node.directives or () if each.name.value == "rest"]
        if not name:
            problems.append(f"{place}: the operation needs a name")
        elif name in names:
            problems.append(f"{place}: {name} is defined at {names[name]} already")
        elif not directives:
            problems.append(f"{place}: {name} has no @rest")
        else:
            names[name] = place
            executable = without_rest(apart[name])
            for number, directive in enumerate(directives, start=1):
                binding = Binding(
                    schema=schema,
                    operation=node,
                    document=executable,
                    name=name if number == 1 else f"{name}{number}",
                    noun=file_name.removesuffix(".graphql"),
                    place=place_of(directive, file_name),
                )
                try:
                    yield binding.endpoint(rest, directive)
                except Mistake as mistake:
                    problems.append(f"{binding.place}: {mistake}")


def place_of(node: OperationDefinitionNode | DirectiveNode, file_name: str) -> str:
    """Return `file:line:column` of a node."""
    assert node.loc is not None
    at = get_location(node.loc.source, node.loc.start)
    return f"{file_name}:{at.line}:{at.column}"


def _clashes(endpoints: list[Endpoint]) -> Iterator[str]:
    owners: dict[tuple[str, str, bool], Endpoint] = {}
    names: dict[str, Endpoint] = {}
    spellings: dict[str, Endpoint] = {}
    for endpoint in endpoints:
        spelt = spellings.setdefault(endpoint.shape, endpoint)
        if spelt.path != endpoint.path:
            yield f"{endpoint.place}: name the variables of {endpoint.path} as in {spelt.path} ({spelt.place})"
        first = owners.setdefault(
            (endpoint.method, endpoint.shape, endpoint.is_anonymous), endpoint
        )
        if first is not endpoint:
            route = f"{endpoint.method} {endpoint.path}"
            yield f"{endpoint.place}: {route} is answered by {first.name} ({first.place}) already"
        named = names.setdefault(endpoint.name, endpoint)
        if named is not endpoint:
            yield f"{endpoint.place}: {endpoint.name} is the name of the alias at {named.place}"
