"""Which changes between two OpenAPI documents break callers of the older one.

Callers send what the old document allowed, and rely on what it promised: what is asked of them
may only become less, what they are answered may only become more. New values of an enumeration
in an answer are only a danger, as for GraphQL: a caller has to expect them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
METHODS = ("get", "put", "post", "delete", "patch", "head", "options")
_TIGHTER_WHEN_HIGHER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_TIGHTER_WHEN_LOWER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


@dataclass(frozen=True, slots=True)
class Change:
    """A change for the worse: where, what part of it, and what happened to that."""

    operation: str
    part: str
    what: str
    breaks: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """What has to be written down so that a caller can find it."""
        return (self.operation, self.part) if self.part else (self.operation,)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.operation, self.part, self.what)))


def changes(old: Document, new: Document) -> list[Change]:
    """Return the changes that break callers of `old`, and the dangerous ones."""
    return list(_Comparison(old, new).all())


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self._old, self._new = old, new
        self._operation = ""
        self._under_way: set[tuple[int, int]] = set()

    def all(self) -> Iterator[Change]:
        new_paths = {_shape(path): item for path, item in self._new["paths"].items()}
        for path, item in self._old["paths"].items():
            other = new_paths.get(_shape(path), {})
            for method in METHODS:
                if method in item:
                    self._operation = f"{method.upper()} {path}"
                    if method in other:
                        yield from self._operations(item, item[method], other, other[method])
                    else:
                        yield self._change("", "was removed")

    def _change(self, part: str, what: str, *, breaks: bool = True) -> Change:
        return Change(self._operation, part, what, breaks)

    def _operations(
        self, old_item: Document, old: Document, new_item: Document, new: Document
    ) -> Iterator[Change]:
        if old.get("operationId") != new.get("operationId"):
            what = f"is no longer called {old.get('operationId')}, as clients made from it call it"
            yield self._change("", what, breaks=False)
        if _is_open(old, self._old) and not _is_open(new, self._new):
            yield self._change("security", "wants credentials now")
        yield from self._parameters(
            _parameters(old_item, old, self._old), _parameters(new_item, new, self._new)
        )
        yield from self._bodies(old.get("requestBody"), new.get("requestBody"))
        for status, answer in old["responses"].items():
            if status in new["responses"]:
                yield from self._answers(status, answer, new["responses"][status])
            elif status[0] in "23":
                yield self._change(status, "is not answered any more")

    def _parameters(
        self, old: dict[tuple[str, str], Document], new: dict[tuple[str, str], Document]
    ) -> Iterator[Change]:
        for key, parameter in old.items():
            name = f"{key[0]}:{parameter['name']}"
            if key not in new:
                yield self._change(name, "is not read any more")
                continue
            if new[key].get("required") and not parameter.get("required"):
                yield self._change(name, "is required now")
            yield from self._asked(name, parameter.get("schema", {}), new[key].get("schema", {}))
        for key, parameter in new.items():
            if key not in old and parameter.get("required"):
                yield self._change(f"{key[0]}:{parameter['name']}", "is new and required")

    def _bodies(self, old: Document | None, new: Document | None) -> Iterator[Change]:
        old, new = _follow(self._old, old or {}), _follow(self._new, new or {})
        if new.get("required") and not old.get("required"):
            yield self._change("body", "is required now")
        kinds = new.get("content", {})
        for kind, content in old.get("content", {}).items():
            if kind not in kinds:
                yield self._change("body", f"may not be {kind} any more")
            else:
                yield from self._asked(
                    "body", content.get("schema", {}), kinds[kind].get("schema", {})
                )

    def _answers(self, status: str, old: Document, new: Document) -> Iterator[Change]:
        old, new = _follow(self._old, old), _follow(self._new, new)
        kinds = new.get("content", {})
        for kind, content in old.get("content", {}).items():
            if kind not in kinds:
                yield self._change(status, f"is not {kind} any more")
            else:
                yield from self._told(
                    status, content.get("schema", {}), kinds[kind].get("schema", {})
                )
        headers = {name.lower() for name in new.get("headers", {})}
        for name in old.get("headers", {}):
            if name.lower() not in headers:
                yield self._change(status, f"lost the header {name}")

    def _asked(self, part: str, old: Any, new: Any) -> Iterator[Change]:
        """Compare what callers send: all that was allowed must still be."""
        olds, news = _variants(self._old, old), _variants(self._new, new)
        if len(olds) == len(news) == 1:
            yield from self._guarded(self._asked_plain, part, olds[0], news[0])
            return
        for variant in olds:
            if all(_breaks(self._guarded(self._asked_plain, part, variant, n)) for n in news):
                yield self._change(part, f"may not be {_told_as(variant)} any more")

    def _told(self, part: str, old: Any, new: Any) -> Iterator[Change]:
        """Compare what callers are answered: all that comes must have been announced."""
        olds, news = _variants(self._old, old), _variants(self._new, new)
        if len(olds) == len(news) == 1:
            yield from self._guarded(self._told_plain, part, olds[0], news[0])
            return
        for variant in news:
            if all(_breaks(self._guarded(self._told_plain, part, o, variant)) for o in olds):
                yield self._change(part, f"may be {_told_as(variant)} now")

    def _guarded(self, compare: Any, part: str, old: Document, new: Document) -> list[Change]:
        key = (id(old), id(new))
        if key in self._under_way:  # a type within itself
            return []
        self._under_way.add(key)
        try:
            return list(compare(part, old, new))
        finally:
            self._under_way.remove(key)

    def _asked_plain(self, part: str, old: Document, new: Document) -> Iterator[Change]:
        for gone in _types(old) - _types(new):
            yield self._change(part, f"may not be {gone} any more")
        if "enum" in new:
            for value in old.get("enum", ["anything"]):
                if value not in new["enum"]:
                    yield self._change(part, f"may not be {value!r} any more")
        for word in ("format", "pattern"):
            if word in new and new[word] != old.get(word):
                yield self._change(part, f"has another {word}: {new[word]}")
        for word in _TIGHTER_WHEN_HIGHER:
            if word in new and new[word] > old.get(word, float("-inf")):
                yield self._change(part, f"has a {word} of {new[word]} now")
        for word in _TIGHTER_WHEN_LOWER:
            if word in new and new[word] < old.get(word, float("inf")):
                yield self._change(part, f"has a {word} of {new[word]} now")
        olds, news = old.get("properties", {}), new.get("properties", {})
        for name, schema in olds.items():
            if name in news:
                yield from self._asked(f"{part}.{name}", schema, news[name])
            elif "properties" in new:
                yield self._change(f"{part}.{name}", "is not read any more")
        for name in new.get("required", ()):
            if name not in old.get("required", ()):
                what = "is required now" if name in olds else "is new and required"
                yield self._change(f"{part}.{name}", what)
        if _is_free(old) and not _is_free(new):
            yield self._change(part, "may not have other members any more")
        if "items" in old and "items" in new:
            yield from self._asked(f"{part}[]", old["items"], new["items"])

    def _told_plain(self, part: str, old: Document, new: Document) -> Iterator[Change]:
        for extra in _types(new) - _types(old):
            yield self._change(part, f"may be {extra} now")
        if "enum" in old:
            for value in new.get("enum", ["anything"]):
                if value not in old["enum"]:
                    yield self._change(part, f"may be {value!r} now", breaks="enum" not in new)
        if "format" in old and new.get("format") != old["format"]:
            yield self._change(part, f"is not of the format {old['format']} any more")
        olds, news = old.get("properties", {}), new.get("properties", {})
        for name, schema in olds.items():
            if name not in news:
                yield self._change(f"{part}.{name}", "was removed")
                continue
            if name in old.get("required", ()) and name not in new.get("required", ()):
                yield self._change(f"{part}.{name}", "may be missing now")
            yield from self._told(f"{part}.{name}", schema, news[name])
        if "items" in old:
            yield from self._told(f"{part}[]", old["items"], new.get("items", {}))
        if isinstance(old.get("additionalProperties"), Mapping):
            yield from self._told(
                f"{part}.*", old["additionalProperties"], new.get("additionalProperties", {})
            )


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def _is_open(operation: Document, document: Document) -> bool:
    wanted = operation.get("security", document.get("security", []))
    return not wanted or {} in wanted


def _parameters(
    item: Document, operation: Document, document: Document
) -> dict[tuple[str, str], Document]:
    """Return parameters by place and name; a path's, which callers do not name, by position."""
    found: dict[tuple[str, str], Document] = {}
    for each in (*item.get("parameters", ()), *operation.get("parameters", ())):
        parameter = _follow(document, each)
        place, name = parameter["in"], parameter["name"]
        if place == "path":
            name = str(sum(key[0] == "path" for key in found))
        found[place, name.lower() if place == "header" else name] = parameter
    return found


def _follow(document: Document, schema: Any) -> Document:
    """Return what a reference leads to; `true` is the schema of anything."""
    if not isinstance(schema, Mapping):
        return {} if schema else {"enum": []}
    found: Mapping[str, Any] = schema
    while "$ref" in found:
        at: Any = document
        for step in found["$ref"].removeprefix("#/").split("/"):
            at = at[step.replace("~1", "/").replace("~0", "~")]
        found = at
    return found


def _variants(document: Document, schema: Any) -> list[Document]:
    """Return the alternatives of a schema, each without references and `allOf` on top."""
    plain = _follow(document, schema)
    for word in ("anyOf", "oneOf"):
        if word in plain:
            return [each for part in plain[word] for each in _variants(document, part)]
    if "allOf" not in plain:
        return [plain]
    joined: dict[str, Any] = {key: value for key, value in plain.items() if key != "allOf"}
    for part in plain["allOf"]:
        for key, value in _follow(document, part).items():
            if key == "properties":
                joined[key] = {**joined.get(key, {}), **value}
            elif key == "required":
                joined[key] = [*joined.get(key, ()), *value]
            else:
                joined[key] = value
    return [joined]


_ALL_TYPES = frozenset({"null", "boolean", "number", "integer", "string", "array", "object"})


def _types(schema: Document) -> frozenset[str]:
    if "type" not in schema:
        return _ALL_TYPES
    named = schema["type"]
    found = frozenset([named] if isinstance(named, str) else named)
    return found | {"integer"} if "number" in found else found


def _is_free(schema: Document) -> bool:
    return "object" in _types(schema) and schema.get("additionalProperties", True) is not False


def _told_as(schema: Document) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(repr, schema["enum"]))
    types = _types(schema)
    return "anything" if types == _ALL_TYPES else " or ".join(sorted(types))


def _breaks(found: list[Change]) -> bool:
    return any(change.breaks for change in found)
