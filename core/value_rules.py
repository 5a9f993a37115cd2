"""Rules on single members of a document: each returns what is wrong with a value, or None."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

Rule = Callable[[object], str | None]
Problem = tuple[str, str]
"""The path of what is wrong, and what is wrong with it."""

_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object, by its spellings; null counts as absent."""

    spellings: tuple[str, ...]
    rule: Rule
    required: bool = False

    def problems(self, holder: Mapping[str, object], path: str) -> Iterator[Problem]:
        """Yield what is wrong with this member; paths use the spelling that was found."""
        found = [name for name in self.spellings if holder.get(name) is not None]
        if not found and self.required:
            yield f"{path}{self.spellings[0]}", "is required"
        for name in found:
            problem = self.rule(holder[name])
            if problem:
                yield f"{path}{name}", problem


def needed(rule: Rule, *spellings: str) -> Member:
    """Return a member that has to be there."""
    return Member(spellings, rule, required=True)


def optional(rule: Rule, *spellings: str) -> Member:
    """Return a member that may be left out."""
    return Member(spellings, rule)


def whole(least: int, most: int) -> Rule:
    """Return the rule for whole numbers within bounds; texts of digits are none."""

    def rule(value: object) -> str | None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if is_whole and least <= value <= most:  # type: ignore[operator]  # known by is_whole
            return None
        return f"must be a whole number from {least} to {most}"

    return rule


def number(value: object) -> str | None:
    """Refuse what is no finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number and _is_finite(value) else "must be a number"


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type]  # numbers only, see above
    except OverflowError:
        return False


def flag(value: object) -> str | None:
    """Refuse what is neither true nor false."""
    return None if isinstance(value, bool) else "must be true or false"


def text(most: int) -> Rule:
    """Return the rule for texts of one line of 1 to `most` characters."""

    def rule(value: object) -> str | None:
        fits = isinstance(value, str) and value.strip() and len(value) <= most
        if fits and not _UNPRINTABLE.search(str(value)):
            return None
        return f"must be a text of 1 to {most} characters, none of them a control character"

    return rule


def any_text(value: object) -> str | None:
    """Refuse what is no text; an empty one passes, and one of several lines."""
    return None if isinstance(value, str) else "must be a text"


def one_of(*choices: str | int) -> Rule:
    """Return the rule for one of a few values; texts are compared whatever the case."""
    known = {str(choice).lower() for choice in choices}

    def rule(value: object) -> str | None:
        is_plain = isinstance(value, str | int) and not isinstance(value, bool)
        if is_plain and str(value).lower() in known:
            return None
        return f"must be one of {', '.join(map(str, choices))}"

    return rule


def exactly(*choices: str) -> Rule:
    """Return the rule for one of a few texts as they are spelt."""

    def rule(value: object) -> str | None:
        fits = isinstance(value, str) and value in choices
        return None if fits else f"must be one of {', '.join(choices)}"

    return rule


def like(pattern: str, description: str) -> Rule:
    """Return the rule for texts that match all of a regular expression."""
    form = re.compile(pattern, re.ASCII | re.IGNORECASE)

    def rule(value: object) -> str | None:
        fits = isinstance(value, str) and len(value) <= 1_000 and form.fullmatch(value)
        return None if fits else f"must be {description}"

    return rule
