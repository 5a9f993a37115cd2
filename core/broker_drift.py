"""In what ways a broker can differ from the accounts that it was given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SUBJECT_CHARS_MAX: Final = 300


class DriftKind(StrEnum):
    """What is different; the names are labels of a metric, too."""

    ACCOUNT_MISSING = "account_missing"
    ACCOUNT_UNKNOWN = "account_unknown"
    PASSWORD_DIFFERS = "password_differs"  # noqa: S105  (the name of a kind)
    RULES_DIFFER = "rules_differ"
    FILE_DIFFERS = "file_differs"  # in nothing that means anything to the broker
    FILE_LOST = "file_lost"
    FILE_UNREADABLE = "file_unreadable"
    BROKER_NOT_RELOADED = "broker_not_reloaded"


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference.

    Attributes:
        subject: the name of the account or of the file; never a hash.
    """

    kind: DriftKind
    subject: str
