"""What callers call the arguments of an operation: an error names what they sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    Visitor,
    visit,
)

from core.errors import AppError
from rest_compat.endpoints import Input, Place

_PART: Final = re.compile(r"[.\[]")


def labels_of(document: DocumentNode, inputs: Iterable[Input]) -> Mapping[str, str]:
    """Return the label of the input behind each argument path (`changes.name`) of the operation.

    The endings of a path (`name`) are there as well, since use cases know no more of it; one
    that several inputs share is not. Labels stand for themselves, unless a whole path says else.
    """
    sent = {item.name: item.label for item in inputs if item.place is not Place.FIXED}
    paths: dict[str, set[str]] = {}
    endings: dict[str, set[str]] = {}
    for path, variable in _filled(document):
        paths.setdefault(path, set()).add(variable)
        parts = path.split(".")
        for start in range(1, len(parts)):
            endings.setdefault(".".join(parts[start:]), set()).add(variable)
    themselves = {label: label for label in sent.values()}
    return _certain(endings, sent) | themselves | _certain(paths, sent)


def _certain(found: Mapping[str, set[str]], sent: Mapping[str, str]) -> dict[str, str]:
    alone = {path: next(iter(names)) for path, names in found.items() if len(names) == 1}
    return {path: sent[name] for path, name in alone.items() if name in sent}


def _filled(document: DocumentNode) -> list[tuple[str, str]]:
    fields = _Fields()
    visit(document, fields)
    return [
        found
        for field in fields.found
        for argument in field.arguments or ()
        for found in _variables(argument.name.value, argument.value)
    ]


class _Fields(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[FieldNode] = []

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.found.append(node)


def _variables(path: str, value: ValueNode) -> Iterator[tuple[str, str]]:
    if isinstance(value, VariableNode):
        yield path, value.name.value
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            yield from _variables(f"{path}.{field.name.value}", field.value)
    elif isinstance(value, ListValueNode):
        for index, each in enumerate(value.values):
            yield from _variables(f"{path}[{index}]", each)


def label_of(labels: Mapping[str, str], field: str) -> str:
    """Return `field` with its longest known beginning replaced: `set.site` becomes `tags.site`."""
    ends = [match.start() for match in _PART.finditer(field)]
    for end in (len(field), *reversed(ends)):
        label = labels.get(field[:end])
        if label is not None:
            return label + field[end:]
    return field


def as_called(error: AppError, labels: Mapping[str, str]) -> AppError:
    """Return the error with its field, and the sentence's beginning, as the caller knows it."""
    field = error.facts.get("field")
    if not isinstance(field, str):
        return error
    label = label_of(labels, field)
    if label == field:
        return error
    start = f"{field}: "
    message = error.message
    if message.startswith(start):
        message = f"{label}: {message.removeprefix(start)}"
    # Each class makes its sentence in its own way; this one is made.
    named = type(error).__new__(type(error))
    AppError.__init__(named, message, **(error.facts | {"field": label}))
    return named
