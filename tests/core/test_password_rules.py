from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.password_rules import check_password, normalised


def reason(password: str, **person: str) -> str:
    """Return why the password is refused; empty when it is good."""
    try:
        check_password(password, "newPassword", **person)
    except InvalidInput as error:
        return str(error.message.removeprefix("newPassword: "))
    return ""


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "Tr0ub4dor&3xx",
        "парольная фраза",
        "twelve chars",
        "x7!93$28#4a1",
        "kilo-lima-" * 100,
    ],
)
def test_takes(password: str) -> None:
    assert reason(password, username="jane", email="jane@example.com") == ""


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "must have at least 12 characters"),
        ("elevenchars", "must have at least 12 characters"),
        ("kilo-lima-" * 100 + "x", "must have at most 1000 characters"),
        ("abababababab", "must have at least 5 different characters"),
        ("2024-11-24 10:31", "must contain a letter"),
        ("correct \ud800 battery", "is not valid text"),
    ],
)
def test_names_the_rule(password: str, why: str) -> None:
    assert reason(password) == why


@pytest.mark.parametrize(
    "password",
    [
        "counterstrike",  # in the list as it is
        "password2024",
        "PASSWORD!!!!",
        "123-Password-123",
        "passwordpassword",
        "adminadminadmi",
        "P@ssw0rd1234",
        "B@$k3tb@ll!!",
        "sunshine!!!!!!!!",
        "abcdefghijkl",
        "abcd12345678",
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff441234",  # full-width letters
    ],
)
def test_refuses_what_is_tried_first(password: str) -> None:
    assert "too common" in reason(password)


@pytest.mark.parametrize(
    "password",
    ["Maria.Oberhuber", "m.oberhuber@plant.example", "maria.oberhuber2024", "m.oberhuber1234"],
)
def test_refuses_the_persons_own_name(password: str) -> None:
    person = {"username": "maria.oberhuber", "email": "M.Oberhuber@plant.example"}
    assert "user name" in reason(password, **person)
    assert reason(password, username="somebody", email="else@example.com") == ""


def test_the_same_text_typed_elsewhere_is_the_same() -> None:
    assert normalised("Mu\u0308nchen") == normalised("M\u00fcnchen")


@given(st.text(max_size=1_100))
def test_says_yes_or_names_the_field(password: str) -> None:
    reason(password, username="jane", email="jane@example.com")
