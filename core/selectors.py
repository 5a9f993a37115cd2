"""The one language that picks agents by their tags: `site=berlin, line in (a, b), !legacy`.

docs/selectors.md describes it for people; models/selectors.py says the same in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from core.errors import InvalidInput
from core.tags import KEY_RULE, VALUE_RULE, is_key, is_value

TEXT_CHARS_MAX: Final = 1_000
REQUIREMENTS_MAX: Final = 50
VALUES_MAX: Final = 100

_TOKEN: Final = re.compile(
    r'\s*(?:(?P<sign>!=|==|[=!,()])|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<word>[^\s,()="\\!]+))'
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_BARE: Final = re.compile(r"[A-Za-z0-9._:/@+-]+", re.ASCII)


class Operator(StrEnum):
    """What a requirement asks of one tag."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on the tag `key`; `values` are those of IN and NOT_IN, else empty."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Whether the tags meet it; without the key, NOT_IN and MISSING are met."""
        match self.operator:
            case Operator.IN:
                return tags.get(self.key) in self.values
            case Operator.NOT_IN:
                return tags.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in tags
            case Operator.MISSING:
                return self.key not in tags

    def __str__(self) -> str:
        """Return it in the language."""
        if self.operator is Operator.EXISTS:
            return self.key
        if self.operator is Operator.MISSING:
            return f"!{self.key}"
        if len(self.values) == 1:
            sign = "=" if self.operator is Operator.IN else "!="
            return f"{self.key}{sign}{_quoted(self.values[0])}"
        return f"{self.key} {self.operator} ({', '.join(map(_quoted, self.values))})"


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements that must all be met; `str` gives a text that parses to the same."""

    requirements: tuple[Requirement, ...]

    def matches(self, tags: Mapping[str, str]) -> bool:
        """Whether an agent with these tags is picked."""
        return all(requirement.matches(tags) for requirement in self.requirements)

    def __str__(self) -> str:
        """Return it in the language."""
        return ", ".join(map(str, self.requirements))


def parse_selector(text: str, field: str = "selector") -> Selector:
    """Return what `text` says; raises InvalidInput that tells where and what was expected."""
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidInput(
            field, f"must have at most {TEXT_CHARS_MAX} characters", limit=TEXT_CHARS_MAX
        )
    return _Parser(text, field).selector()


def _quoted(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Parser:
    """Reads one token ahead. `_kind` is sign, quoted, word or end; `_at` where it begins."""

    def __init__(self, text: str, field: str) -> None:
        self._text = text
        self._field = field
        self._next_at = 0
        self._values_left = VALUES_MAX
        self._advance()

    def selector(self) -> Selector:
        found = [self._requirement()]
        while self._takes_sign(","):
            if len(found) == REQUIREMENTS_MAX:
                raise self._error(f"at most {REQUIREMENTS_MAX} requirements")
            found.append(self._requirement())
        if self._kind != "end":
            raise self._error("a comma or the end")
        return Selector(tuple(found))

    def _requirement(self) -> Requirement:
        if self._takes_sign("!"):
            return Requirement(self._key(), Operator.MISSING)
        key = self._key()
        if self._takes_sign("=") or self._takes_sign("=="):
            return Requirement(key, Operator.IN, (self._value(),))
        if self._takes_sign("!="):
            return Requirement(key, Operator.NOT_IN, (self._value(),))
        if self._kind == "word":
            if self._token not in (Operator.IN, Operator.NOT_IN):
                raise self._error("=, !=, in, notin, a comma or the end")
            operator = Operator(self._token)
            self._advance()
            return Requirement(key, operator, self._values())
        return Requirement(key, Operator.EXISTS)

    def _key(self) -> str:
        if self._kind != "word":
            raise self._error("a key")
        if not is_key(self._token):
            raise self._error(f"a key ({KEY_RULE})")
        return self._taken()

    def _values(self) -> tuple[str, ...]:
        if not self._takes_sign("("):
            raise self._error("an opening parenthesis")
        found = [self._value()]
        while self._takes_sign(","):
            found.append(self._value())
        if not self._takes_sign(")"):
            raise self._error("a comma or a closing parenthesis")
        return tuple(dict.fromkeys(found))

    def _value(self) -> str:
        if self._kind not in {"word", "quoted"}:
            raise self._error("a value")
        if self._values_left == 0:
            raise self._error(f"at most {VALUES_MAX} values")
        value = self._token
        if self._kind == "quoted":
            value = _ESCAPED.sub(r"\1", value[1:-1])
        if not is_value(value):
            raise self._error(f"a value ({VALUE_RULE})")
        self._values_left -= 1
        self._advance()
        return value

    def _takes_sign(self, sign: str) -> bool:
        if self._kind != "sign" or self._token != sign:
            return False
        self._advance()
        return True

    def _taken(self) -> str:
        token = self._token
        self._advance()
        return token

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._next_at)
        if found is not None:
            self._kind = found.lastgroup or ""
            self._token, self._at = found[self._kind], found.start(self._kind)
            self._next_at = found.end()
            return
        rest = self._text[self._next_at :].lstrip()
        self._kind, self._token = ("unknown", rest[0]) if rest else ("end", "")
        self._at = len(self._text) - len(rest)

    def _error(self, expected: str) -> InvalidInput:
        shown = "the end" if self._kind == "end" else repr(self._token[:40])
        if self._kind == "unknown" and self._token == '"':  # noqa: S105  (no secret)
            shown = "a quote that is not closed"
        return InvalidInput(
            self._field,
            f"at character {self._at + 1}: expected {expected}, found {shown}",
            position=self._at + 1,
            expected=expected,
        )
