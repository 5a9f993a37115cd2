from __future__ import annotations

from typing import Any

from core.target_diff import CHANGES_MAX, Change, diff_of

A, B, C = ({"uuid": letter, "name": letter, "port": 1} for letter in "abc")


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    return diff_of(before, after).changes


def test_equal_documents_have_no_differences() -> None:
    document = {"apps": {"1": {"services": [A]}}, "config": {"endpoints": [B, C]}}
    assert changes(document, dict(reversed(document.items()))) == []


def test_tells_what_was_added_removed_and_replaced_in_the_order_of_keys() -> None:
    before = {"apps": {"1": {"appName": "a"}, "2": {}}, "config": {"x": {"y": 1}}}
    after = {"apps": {"1": {"appName": "b"}, "3": {"n": 1}}, "config": {"x": {"y": 1, "z": None}}}
    assert changes(before, after) == [
        Change("/apps/1/appName", "replace", "a", "b"),
        Change("/apps/2", "remove", {}),
        Change("/apps/3", "add", after={"n": 1}),
        Change("/config/x/z", "add", after=None),
    ]


def test_escapes_keys_as_json_pointers_do() -> None:
    assert changes({}, {"a/b~c": 1})[0].path == "/a~1b~0c"


def test_matches_endpoints_by_uuid_wherever_they_stand() -> None:
    moved = changes({"endpoints": [A, B, C]}, {"endpoints": [C, B | {"port": 2}]})
    assert moved == [
        Change("/endpoints/0", "remove", A),
        Change("/endpoints/1/port", "replace", 1, 2),
    ]


def test_compares_other_lists_place_by_place() -> None:
    assert changes({"l": [1, 2]}, {"l": [1, 3, 4]}) == [
        Change("/l/1", "replace", 2, 3),
        Change("/l/2", "add", after=4),
    ]
    twice = changes({"l": [A, A]}, {"l": [A]})
    assert twice == [Change("/l/1", "remove", A)]


def test_one_and_true_differ() -> None:
    assert [change.op for change in changes({"a": 1}, {"a": True})] == ["replace"]


def test_shows_that_a_secret_changed_and_not_the_secret() -> None:
    before = {"connection": {"password": "old", "auth": {"user": "u"}}, "env": "TOKEN=abc"}
    after = {"connection": {"password": "new", "auth": {"user": "v"}}, "env": "TOKEN=abd"}
    found = changes(before, after)
    assert [(each.path, each.before, each.after) for each in found] == [
        ("/connection/auth/user", "***", "***"),
        ("/connection/password", "***", "***"),
        ("/env", "TOKEN=***", "TOKEN=***"),
    ]
    (added,) = changes({}, {"list": [{"name": "API_KEY", "value": "abc"}]})
    assert "abc" not in str(added.after)


def test_is_bounded_in_number_and_in_size() -> None:
    many = diff_of({}, {str(n): n for n in range(CHANGES_MAX + 1)})
    assert (len(many.changes), many.is_complete) == (CHANGES_MAX, False)
    (long,) = changes({}, {"a": {"b": "x" * 1_500, "c": "y" * 1_500}})
    assert len(str(long.after)) == 1_000
