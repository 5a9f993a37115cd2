"""Short texts that people give: names, places, descriptions."""

from __future__ import annotations

import re
from typing import Final

from core.errors import InvalidInput

_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def checked_text(field: str, text: str, chars_max: int, *, chars_min: int = 0) -> str:
    """Return a text of one line without blanks around it; raises InvalidInput."""
    text = text.strip()
    if not chars_min <= len(text) <= chars_max or _UNPRINTABLE.search(text):
        raise InvalidInput(
            field,
            f"must have {chars_min} to {chars_max} characters, none of them a control character",
            limit=chars_max,
        )
    return text
