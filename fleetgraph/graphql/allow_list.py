"""The documents that may run, where an operator says that no others may."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from graphql import GraphQLError, GraphQLSchema, parse, validate

from core.errors import InvalidInput, NotFound
from fleetgraph.graphql.incoming import request_map, request_of
from fleetgraph.settings import BadSettings
from schema.execution.requests import GraphQLRequest

_SETTING = "FLEETGRAPH_GRAPHQL_ALLOW_LIST"


class AllowList:
    """Documents by id, by the SHA-256 of their text, and by the text itself."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._by_id = {sha256(text.encode()).hexdigest(): text for text in documents.values()}
        self._by_id.update(documents)
        self._texts = frozenset(documents.values())

    def read_request(self, member: object) -> GraphQLRequest:
        """Return the request that a map parsed from JSON makes.

        It names its document as `extensions.persistedQuery.sha256Hash` or `documentId`, or
        sends a text of the list. Raises InvalidInput by member, NotFound for other documents.
        """
        members = request_map(member)
        return request_of(self._document(members), members)

    def _document(self, members: Mapping[str, Any]) -> str:
        query = members.get("query")
        if query is not None and not isinstance(query, str):
            raise InvalidInput("query", "must be a text")
        if query:
            if query not in self._texts:
                raise NotFound("document", "with this text")
            return query
        id_ = _id_of(members)
        if id_ not in self._by_id:
            raise NotFound("document", id_[:100])
        return self._by_id[id_]


def load_allow_list(path: Path, schema: GraphQLSchema) -> AllowList:
    """Read the file, a JSON object of documents by id; raises BadSettings with every problem."""
    try:
        documents = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise BadSettings([f"{_SETTING}: {path}: {error}"]) from None
    if not isinstance(documents, dict) or not documents:
        raise BadSettings([f"{_SETTING}: {path}: must be a JSON object of documents by id"])
    problems = [
        f"{_SETTING}: {path}: document {id_}: {problem}"
        for id_, document in documents.items()
        for problem in _problems(document, schema)
    ]
    if problems:
        raise BadSettings(problems)
    return AllowList(documents)


def _problems(document: object, schema: GraphQLSchema) -> list[str]:
    if not isinstance(document, str):
        return ["must be a text"]
    try:
        errors = validate(schema, parse(document))
    except GraphQLError as error:
        errors = [error]
    return [error.message for error in errors]


def _id_of(members: Mapping[str, Any]) -> str:
    id_ = members.get("documentId")
    if id_ is None:
        extensions = members.get("extensions")
        persisted = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
        id_ = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(id_, str) or not id_:
        raise InvalidInput("query", "is required, or documentId: a document of the allow-list")
    return id_
