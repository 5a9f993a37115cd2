"""One message to a person, as it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Mail:
    """A message; `id` stays the same when it is sent again, so that readers can tell."""

    id: UUID
    to: str
    subject: str
    text: str
    html: str
