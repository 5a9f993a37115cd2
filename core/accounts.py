"""What an account is made of, and what no account can have."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Final

from core.callers import Role
from core.errors import InvalidInput
from core.password_rules import check_password
from core.ranks import check_is_of_people

USERNAME_CHARS_MIN: Final = 3
USERNAME_CHARS_MAX: Final = 100
EMAIL_CHARS_MAX: Final = 254
FULL_NAME_CHARS_MAX: Final = 200
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class NewUser:
    """An account before it is made."""

    username: str
    email: str
    password: str
    role: Role
    full_name: str = ""

    def checked(self, prefix: str = "") -> NewUser:
        """Return the same without blanks around its texts; raises InvalidInput.

        `prefix` stands before the names of the fields it tells of: `ownerEmail`.
        """

        def field(name: str) -> str:
            return f"{prefix}{name[0].upper()}{name[1:]}" if prefix else name

        check_is_of_people(self.role)
        email = check_email(self.email, field("email"))
        found = replace(
            self,
            username=check_username(self.username, email, field("username")),
            email=email,
            full_name=check_full_name(self.full_name, field("fullName")),
        )
        check_password(
            found.password, field("password"), username=found.username, email=found.email
        )
        return found


def check_username(text: str, email: str, field: str = "username") -> str:
    """Return a name to sign in with, without blanks around it; raises InvalidInput.

    `email` is the account's own address, the only one that may be its name.
    """
    found = check_text(field, text, USERNAME_CHARS_MAX)
    if len(found) < USERNAME_CHARS_MIN:
        raise InvalidInput(
            field, f"must have at least {USERNAME_CHARS_MIN} characters", limit=USERNAME_CHARS_MIN
        )
    if any(map(str.isspace, found)):
        raise InvalidInput(field, "must not contain blanks")
    if "@" in found and found.casefold() != email.casefold():
        # Nobody takes another's address for a name.
        raise InvalidInput(field, "must not contain an @, unless it is the account's own address")
    scripts = {unicodedata.name(char, "?").split()[0] for char in found if char.isalpha()}
    is_marked = scripts == {"LATIN"} and any(map(unicodedata.combining, found))
    if unicodedata.normalize("NFKC", found) != found or len(scripts) > 1 or is_marked:
        # Two names that look the same must be the same.
        raise InvalidInput(field, "must be written in one script, without letters of special forms")
    return found


def check_email(text: str, field: str = "email") -> str:
    """Return an address to send mail to, without blanks around it; raises InvalidInput."""
    found = check_text(field, text, EMAIL_CHARS_MAX)
    if not _EMAIL.fullmatch(found):
        raise InvalidInput(field, "is not an e-mail address")
    return found


def check_full_name(text: str, field: str = "fullName") -> str:
    """Return a person's name, without blanks around it; raises InvalidInput."""
    return check_text(field, text, FULL_NAME_CHARS_MAX)


def check_text(field: str, text: str, chars_max: int) -> str:
    """Return a line of text, without blanks around it; raises InvalidInput."""
    found = text.strip()
    if len(found) > chars_max:
        raise InvalidInput(field, f"must have at most {chars_max} characters", limit=chars_max)
    if not found.isprintable():
        raise InvalidInput(field, "must not contain control characters")
    return found
