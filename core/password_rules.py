"""What makes a password: how long it is, and that nobody would try it first."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

from core.errors import InvalidInput

PASSWORD_CHARS_MIN: Final = 12
PASSWORD_CHARS_MAX: Final = 1_000
DIFFERENT_CHARS_MIN: Final = 5
_RUN_CHARS_MIN: Final = 4

_AROUND: Final = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ "
_LOOKALIKES: Final = str.maketrans("@4301!$57", "aaeoiisst")
_LIST: Final = Path(__file__).with_name("common_passwords.txt")


def normalised(password: str) -> str:
    """Return the text that is hashed: the same for all ways of typing the same characters."""
    return unicodedata.normalize("NFKC", password)


def check_password(
    password: str, field: str = "password", *, username: str = "", email: str = ""
) -> None:
    """Raise InvalidInput unless `password` is good enough for the person of that name.

    It has 12 to 1,000 characters, at least 5 of them different and one a letter, and is more than a common
    password, or the person's own name, with digits around it or said twice.
    """
    if len(password) > PASSWORD_CHARS_MAX:
        raise InvalidInput(
            field, f"must have at most {PASSWORD_CHARS_MAX} characters", limit=PASSWORD_CHARS_MAX
        )
    if any("\ud800" <= char <= "\udfff" for char in password):
        raise InvalidInput(field, "is not valid text")
    text = normalised(password)
    if len(text) < PASSWORD_CHARS_MIN:
        raise InvalidInput(
            field, f"must have at least {PASSWORD_CHARS_MIN} characters", limit=PASSWORD_CHARS_MIN
        )
    folded = text.casefold()
    if len(set(folded)) < DIFFERENT_CHARS_MIN:
        raise InvalidInput(
            field,
            f"must have at least {DIFFERENT_CHARS_MIN} different characters",
            limit=DIFFERENT_CHARS_MIN,
        )
    if not folded.strip(_AROUND):
        raise InvalidInput(field, "must contain a letter")
    if any(form in _common() or _is_run(form) for form in _forms(folded)):
        raise InvalidInput(field, "is too common, or a small change of what is")
    own = {normalised(name).casefold() for name in (username, email, email.partition("@")[0])}
    own |= {name.strip(_AROUND) for name in own}
    if not _forms(folded).isdisjoint(own - {""}):
        raise InvalidInput(field, "must not be made of the user name or the e-mail address alone")


def _forms(folded: str) -> set[str]:
    """Return what the text is at its heart: without what is around, said once, letters again."""
    forms = {folded, folded.strip(_AROUND)}
    forms |= {_said_once(form) for form in forms}
    forms |= {form.strip(_AROUND) for form in forms}
    forms |= {form.translate(_LOOKALIKES) for form in forms}
    return forms | {form.strip(_AROUND) for form in forms}


def _said_once(text: str) -> str:
    """Return the part that the text repeats, the last time perhaps not to its end."""
    # Knuth-Morris-Pratt: how much of the text's start stands again before each place.
    again = [0] * len(text)
    for at in range(1, len(text)):
        length = again[at - 1]
        while length and text[at] != text[length]:
            length = again[length - 1]
        again[at] = length + (text[at] == text[length])
    unit = len(text) - again[-1] if text else 0
    return text[:unit] if unit <= len(text) // 2 else text


def _is_run(text: str) -> bool:
    """Whether each letter follows the one before, up or down the alphabet."""
    steps = {(ord(after) - ord(before)) % 26 for before, after in pairwise(text)}
    return len(text) >= _RUN_CHARS_MIN and len(steps) == 1


@cache
def _common() -> frozenset[str]:
    return frozenset(_LIST.read_text(encoding="utf-8").split())
