"""Names to sign in with: one rule for whoever makes the account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.accounts import NewUser, check_username
from core.callers import Role
from core.errors import InvalidInput

EMAIL = "ann@example.com"


@pytest.mark.parametrize(
    "name", ["ann", " ann ", "Ann.Lee", "李小龙", EMAIL, f" {EMAIL} ", EMAIL.title()]
)
def test_a_name_is_one_word_or_the_own_address(name: str) -> None:
    assert check_username(name, EMAIL) == name.strip()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("an", "at least 3"),
        ("x" * 101, "at most 100"),
        ("ann lee", "blanks"),
        ("ann\u00a0lee", "control characters"),
        ("bob@example.com", "own address"),
        ("ann@", "own address"),
        ("ann\uff20example.com", "special forms"),
        ("\u00e4nn\u017f", "special forms"),
        ("\u0430nn", "one script"),
    ],
)
def test_what_no_name_can_be_is_told_in_its_own_sentence(name: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^login: .*{said}"):
        check_username(name, EMAIL, "login")


def test_a_wrong_address_is_told_before_the_name_that_is_made_of_it() -> None:
    new = NewUser(
        "ann lee@example.com", "ann lee@example.com", "a password nobody has", Role.VIEWER
    )
    with pytest.raises(InvalidInput, match=r"^ownerEmail"):
        new.checked("owner")
    assert replace(new, username=EMAIL, email=f" {EMAIL} ").checked().username == EMAIL
