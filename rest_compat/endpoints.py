"""One endpoint of the REST API, as data: where its inputs come from, what its answer looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLInputType,
    GraphQLOutputType,
    OperationDefinitionNode,
    OperationType,
)

from core.errors import ErrorCode

METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM_MEMBERS = frozenset(
    {"type", "title", "status", "detail", "code", "error", "message", "requestId", "facts"}
)
METHODS_WITH_BODY_MEMBERS = frozenset({"POST", "PUT", "PATCH"})


class Auth(StrEnum):
    """Whose credential an endpoint takes."""

    USER = "USER"
    AGENT = "AGENT"
    ANY = "ANY"
    NONE = "NONE"


class Limit(StrEnum):
    """Which rate limit counts a call."""

    GLOBAL = "GLOBAL"
    AUTH = "AUTH"
    DEVICE = "DEVICE"
    ADMIN = "ADMIN"


class Codec(StrEnum):
    """How an answer is written."""

    JSON = "JSON"
    ETAG = "ETAG"
    TEXT = "TEXT"
    NDJSON = "NDJSON"
    SSE = "SSE"


class Envelope(StrEnum):
    """What stands around the root field's value."""

    ROOT_FIELD = "ROOT_FIELD"
    DATA = "DATA"
    SUCCESS = "SUCCESS"
    STATUS = "STATUS"
    LIST = "LIST"
    NONE = "NONE"


class Fallback(StrEnum):
    """What is answered instead of a transient error."""

    FAIL = "FAIL"
    NOT_MODIFIED = "NOT_MODIFIED"
    ACCEPT = "ACCEPT"


class Place(StrEnum):
    """Where an input comes from."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    MEMBER = "member"  # of the JSON body
    BODY = "body"  # the whole JSON body
    RAW = "raw"  # the body's bytes
    LINES = "lines"  # a list from NDJSON
    BEARER = "bearer"
    IF_MATCH = "if-match"
    FIXED = "fixed"  # a text in the directive


BODY_PLACES = frozenset({Place.MEMBER, Place.BODY, Place.RAW, Place.LINES})


@dataclass(frozen=True, slots=True)
class Input:
    """A variable of the operation; `label` is what the caller knows it by, or a fixed text."""

    name: str
    label: str
    place: Place
    type: GraphQLInputType
    required: bool
    default: Any = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ErrorTitle:
    """The short title a client of one endpoint expects of an error, and members beside it."""

    code: ErrorCode
    title: str
    field: str | None = None
    status: int | None = None
    fact: str | None = None
    members: tuple[tuple[str, str], ...] = ()  # (dotted path in the body, fact)


@dataclass(frozen=True, slots=True)
class Rows:
    """A member of columns that is answered as rows, and what to sort them by, downwards."""

    member: str
    newest_by: str | None = None


@dataclass(frozen=True, slots=True)
class Keyed:
    """A list of objects, at a dotted path, that is answered as an object by one member."""

    at: tuple[str, ...]
    by: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class NextPage:
    """The query parameter and the control members that make `Link: …; rel="next"`."""

    variable: str
    member: str
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """The part of `@rest` that is about the answer; see rest.graphql for each option."""

    status: int = 200
    outcome: str | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)  # by outcome
    codec: Codec = Codec.JSON
    envelope: Envelope = Envelope.ROOT_FIELD
    is_object: bool = False
    message: str | None = None
    tells_request_id: bool = False
    count: str | None = None
    rows: Rows | None = None
    keyed: tuple[Keyed, ...] = ()
    next_page: NextPage | None = None
    omit_null: tuple[tuple[str, ...], ...] = ()
    response_headers: tuple[tuple[str, str], ...] = ()  # (header, control member)
    errors: tuple[ErrorTitle, ...] = ()
    when_unavailable: Fallback = Fallback.FAIL


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """A method and path, and the operation behind it.

    Attributes:
        name: the operation's name; an alias of it gets a number, so that names are unique.
        noun: the file's name without ending: the group in the documentation.
        place: file, line and column of the directive.
        document: the operation and its fragments without `@rest`, ready to execute.
        missing_is_not_found: a null in the first root field means 404.
        labels: of inputs, by the path of the argument that each fills; see labels.py.
        root_type: the GraphQL type of the first root field that reaches the body.
        is_idempotent: an Idempotency-Key is honoured.
        is_anonymous: answers only who shows no credential.
        body_limit_bytes: the most bytes of a body; None: the program's limit.
    """

    name: str
    noun: str
    place: str
    method: str
    path: str
    summary: str
    description: str
    auth: Auth
    limit: Limit
    inputs: tuple[Input, ...]
    answering: Answering
    document: DocumentNode
    root_key: str
    root_type: GraphQLOutputType
    missing_is_not_found: bool
    labels: Mapping[str, str]
    is_idempotent: bool = False
    is_anonymous: bool = False
    body_limit_bytes: int | None = None

    @property
    def operation(self) -> OperationDefinitionNode:
        """The one operation of the document."""
        for node in self.document.definitions:
            if isinstance(node, OperationDefinitionNode):
                return node
        raise AssertionError(self.name)

    @property
    def fragments(self) -> dict[str, FragmentDefinitionNode]:
        """The fragments of the document by name."""
        nodes = self.document.definitions
        return {node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)}

    @property
    def shape(self) -> str:
        """The path without its variables' names: two endpoints of one shape share a URL."""
        return shape_of(self.path)

    @property
    def is_subscription(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.operation.operation is OperationType.SUBSCRIPTION

    @property
    def reads_body(self) -> bool:
        """Whether any input comes from the body."""
        return any(item.place in BODY_PLACES for item in self.inputs)


def names_in_path(path: str) -> tuple[str, ...]:
    """Return the `{names}` of a path from left to right."""
    return tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))


def shape_of(path: str) -> str:
    """Return the path with every `{name}` as `{}`."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
