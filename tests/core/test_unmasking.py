"""An answer that comes back as it was given means what it stood for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    "header": "Bearer abcdefghijklmnop",
    "options": ["PASSWORD=abc", "x=1"],
    "hosts": [{"at": "a", "pin": 1}, {"at": "b", "pin": 2}],
}

names = st.sampled_from(["host", "password", "environment", "n", "TOKEN=x", "name", "value"])
texts = st.sampled_from(
    [
        *("A=b", "PASSWORD=abc", "PASSWORD=def", "opc.tcp://op:pw@h:4840", "mqtt://h", "***"),
        *("Bearer abcdefghijklmnop", "PASSWORD=***", "DB_PASSWORD", "y" * 2_500, ""),
    ]
)
documents = st.recursive(
    texts | st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([0.0, 1.0]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=15,
)


def same(one: object, other: object) -> bool:
    """Whether agents see no difference; Python takes `True` for 1."""
    return orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(
        other, option=orjson.OPT_SORT_KEYS
    )


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
        ({"note": "PASSWORD=***"}, "connection.note"),
        ({"host": "***"}, "connection.host"),
        ({"header": "Bearer *** "}, "connection.header"),
        ({"password": "***!"}, "connection.password"),
        ({"options": ["PASSWORD=***", "TOKEN=***"]}, "connection.options[1]"),
        ({"options": ["y=2", "x=***"]}, "connection.options[1]"),
        ({"hosts": [{"at": "z", "pin": "***"}]}, "connection.hosts[0].pin"),
        ({"PASSWORD=***": 1}, "connection.PASSWORD=***"),
        (["***"], "connection[0]"),
        ("***", "connection"),
    ],
)
def test_a_mask_that_stands_for_nothing_is_refused(new: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        unmasked(new, STORED, "connection")
    assert refused.value.facts["field"] == field


@given(documents)
@settings(deadline=None)
def test_a_document_comes_back_as_it_is_stored_whether_it_was_shown_masked_or_clear(
    stored: object,
) -> None:
    assert same(unmasked(masked(stored), stored), stored)
    assert same(unmasked(stored, stored), stored)


@given(st.lists(documents, max_size=4), texts.filter(lambda text: "*" not in text))
@settings(deadline=None)
def test_an_item_put_before_others_leaves_them_their_secrets(
    stored: list[object], more: str
) -> None:
    shown: Any = masked({"items": stored})
    if more not in shown["items"]:
        back = unmasked({"items": [more, *shown["items"]]}, {"items": stored})
        assert same(back, {"items": [more, *stored]})


def test_items_that_look_alike_are_not_taken_for_each_other() -> None:
    stored = {"env": ["PASSWORD=a", "PASSWORD=b"]}
    swapped = {"env": ["x", "PASSWORD=***", "PASSWORD=***"]}
    assert unmasked(swapped, stored) == {"env": ["x", "PASSWORD=a", "PASSWORD=b"]}
    with pytest.raises(InvalidInput, match="could stand for several secrets") as refused:
        unmasked({"env": ["PASSWORD=***"]}, stored)
    assert refused.value.facts["field"] == "env[0]"


def test_an_item_without_a_name_is_not_given_the_secret_of_another() -> None:
    hosts = [{"at": "a", "pin": "***"}, {"at": "c", "pin": "***"}]
    assert unmasked({"hosts": hosts}, STORED)["hosts"][1] == {"at": "c", "pin": 2}
    for wrong in ([hosts[1]], [hosts[1], hosts[0]]):
        with pytest.raises(InvalidInput):
            unmasked({"hosts": wrong}, STORED)


def test_a_value_of_another_kind_is_a_change() -> None:
    stored = {"enabled": 1, "password": "s"}
    assert same(
        unmasked({"enabled": True, "password": "***"}, stored), {"enabled": True, "password": "s"}
    )
