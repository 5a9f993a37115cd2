from __future__ import annotations

import pytest
from hypothesis import given

from core.errors import InvalidInput
from core.selectors import Operator, Requirement, Selector, parse_selector
from core.tags import checked_tags
from tests.selecting import SELECTORS

TAGS = {"site": "berlin", "line": "a", "env": "prod", "note": 'two, "words"'}


@given(SELECTORS)
def test_what_is_printed_parses_to_the_same(selector: Selector) -> None:
    assert parse_selector(str(selector)) == selector


@pytest.mark.parametrize(
    "text",
    [
        "site=berlin",
        "site==berlin",
        " site = berlin ",
        "site",
        "!legacy",
        "! legacy",
        "line in (a, b)",
        "line in(a,b)",
        "env!=dev",
        "missing!=dev",
        "missing notin (dev)",
        "line notin (x, y)",
        'note="two, \\"words\\""',
        "site=berlin,line in (a),env!=dev,!legacy,missing notin (x)",
        'line in ("a")',
    ],
)
def test_matches(text: str) -> None:
    assert parse_selector(text).matches(TAGS)


@pytest.mark.parametrize(
    "text",
    [
        "site=bonn",
        "site=Berlin",
        "!site",
        "missing",
        "missing=x",
        "missing in (x)",
        "line in (b, c)",
        "line notin (b, a)",
        "env!=prod",
        "site=berlin, env=dev",
    ],
)
def test_does_not_match(text: str) -> None:
    assert not parse_selector(text).matches(TAGS)


def test_words_of_the_language_may_be_keys_and_values() -> None:
    parsed = parse_selector("in in (in, notin), notin=in")
    assert parsed == Selector(
        (
            Requirement("in", Operator.IN, ("in", "notin")),
            Requirement("notin", Operator.IN, ("in",)),
        )
    )


@pytest.mark.parametrize(
    ("text", "position", "expected", "found"),
    [
        ("", 1, "a key", "the end"),
        ("  ", 3, "a key", "the end"),
        ("site=", 6, "a value", "the end"),
        ("site=berlin,", 13, "a key", "the end"),
        ("site=berlin line=a", 13, "a comma or the end", "'line'"),
        ("site berlin", 6, "=, !=, in, notin", "'berlin'"),
        ("line in a", 9, "an opening parenthesis", "'a'"),
        ("line in (a", 11, "a comma or a closing parenthesis", "the end"),
        ("line in ()", 10, "a value", "')'"),
        ("Site=x", 1, "lower-case", "'Site'"),
        ("x=1", 1, "2 to 100", "'x'"),
        ('site="a', 6, "a value", "a quote that is not closed"),
        ("site=''''\\", 10, "a comma or the end", "'\\\\'"),
        ('site=""', 6, "1 to 255", "'\"\"'"),
        ("!!site", 2, "a key", "'!'"),
        ("(site)", 1, "a key", "'('"),
        ('site="\x00"', 6, "control character", "'\"\\x00\"'"),
    ],
)
def test_errors_tell_where_and_what_was_expected(
    text: str, position: int, expected: str, found: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_selector(text)
    assert caught.value.facts["position"] == position
    assert expected in str(caught.value.facts["expected"])
    assert caught.value.message.endswith(f"found {found}")


@pytest.mark.parametrize(
    ("most", "beyond"),
    [
        (f"ab={'x' * 255}", f"ab={'x' * 256}"),
        (",".join(["ab"] * 50), ",".join(["ab"] * 51)),
        (
            f"ab in ({','.join(map(str, range(100)))})",
            f"ab in ({','.join(map(str, range(101)))})",
        ),
        (" " * 998 + "ab", " " * 999 + "ab"),
    ],
)
def test_is_bounded(most: str, beyond: str) -> None:
    parse_selector(most)
    with pytest.raises(InvalidInput):
        parse_selector(beyond)


@pytest.mark.parametrize("key", ["a", "A1", "-a", "a-", "a b", "ä1", "a" * 101, "a\n", ""])
def test_a_key_of_a_tag_is_checked(key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_tags({key: "x"})
    assert caught.value.facts["field"] == "tags"


@pytest.mark.parametrize("value", ["", "x" * 256, "a\x00", "a\nb", "\ud800", 1, None, ["x"]])
def test_a_value_of_a_tag_is_checked(value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked_tags({"site": value})
    assert caught.value.facts["field"] == "tags.site"


@pytest.mark.parametrize("tags", [None, [], "x", {f"key-{n}": "x" for n in range(65)}])
def test_tags_are_an_object_of_at_most_64(tags: object) -> None:
    with pytest.raises(InvalidInput):
        checked_tags(tags)
    assert checked_tags({f"key-{n}": "ü" for n in range(64)})
