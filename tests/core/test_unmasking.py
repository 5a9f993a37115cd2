"""An answer that comes back as it was given means what it stood for."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidInput
from core.masking import masked
from core.unmasking import unmasked

STORED: dict[str, Any] = {
    "host": "192.0.2.1",
    "password": "s3cret",
    "community": "plant",
    "url": "opc.tcp://op:pw@192.0.2.9",
    "note": "x" * 3_000,
    "login": {"username": "op", "token": 1234},
    "users": [{"name": "a", "password": "1"}, {"name": "b", "password": "2"}],
    "keys": ["k1", "k2"],
    "empty": None,
}


def test_what_was_shown_gives_back_what_is_stored() -> None:
    shown = masked(STORED)
    assert isinstance(shown, dict)
    assert "s3cret" not in str(shown)
    assert (shown["community"], shown["login"]["token"]) == ("***", "***")
    assert unmasked(shown, STORED, "connection") == STORED


def test_changes_beside_a_mask_are_taken_over() -> None:
    shown: Any = masked(STORED)
    changed = shown | {"host": "192.0.2.2", "login": {"username": "x", "token": "***"}}
    expected = STORED | {"host": "192.0.2.2", "login": {"username": "x", "token": 1234}}
    assert unmasked(changed, STORED, "connection") == expected
    without = {name: value for name, value in shown.items() if name != "password"}
    assert "password" not in unmasked(without, STORED, "connection")


def test_items_of_a_list_are_found_by_name() -> None:
    users = [{"name": "b", "password": "***", "role": "x"}, {"name": "a", "password": "new"}]
    back = unmasked({"users": users}, STORED, "connection")
    assert back["users"] == [
        {"name": "b", "password": "2", "role": "x"},
        {"name": "a", "password": "new"},
    ]


@pytest.mark.parametrize(
    ("new", "field"),
    [
        ({"secret": "***"}, "connection.secret"),
        ({"url": "opc.tcp://***@192.0.2.8"}, "connection.url"),
        ({"users": [{"name": "c", "password": "***"}]}, "connection.users[0].password"),
    ],
)
def test_a_mask_that_stands_for_nothing_is_refused(new: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        unmasked(new, STORED, "connection")
    assert refused.value.facts["field"] == field
