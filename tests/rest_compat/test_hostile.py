from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from rest_compat.etags import etag_matches
from tests.rest_compat.toy import KNOWN

bounded = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
names = st.sampled_from(["state", "uuids", "limit", "online", "ratio", "uuids[]"])
members = st.sampled_from(["deviceName", "tags", "location", "kind", "place"])
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["city", "kind", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@bounded
@given(st.lists(st.tuples(names, st.binary(max_size=20)), max_size=4))
def test_no_query_breaks_the_server(client: TestClient, pairs: list[tuple[str, bytes]]) -> None:
    query = "&".join(f"{name}={quote_from_bytes(text)}" for name, text in pairs)
    assert client.get(f"/api/v1/agents?{query}").status_code in {200, 400}


@bounded
@given(st.dictionaries(members, values))
def test_no_json_body_breaks_the_server(client: TestClient, body: dict[str, Any]) -> None:
    try:
        content = orjson.dumps(body)
    except TypeError:  # beyond 64 bits
        return
    assert client.post("/api/v1/agents", content=content).status_code in {200, 201, 400}


@bounded
@given(
    st.binary(max_size=200),
    st.sampled_from(["", "gzip", "deflate", "zstd", "gzip, zstd", "x"]),
    st.sampled_from(["application/json", "application/x-www-form-urlencoded", ";", ""]),
)
def test_no_bytes_break_the_server(
    client: TestClient, body: bytes, encoding: str, media_type: str
) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": media_type}
    for method, url in (
        ("POST", "/api/v1/agents"),
        ("PATCH", "/api/v1/device/state"),
        ("POST", f"/api/v1/device/{KNOWN}/logs"),
    ):
        answer = client.request(method, url, content=body, headers=headers)
        assert answer.status_code in {200, 201, 202, 400, 415}, answer.text


@bounded
@given(st.text(alphabet=' "W/,abcx*', max_size=30))
def test_a_strong_etag_matches_only_where_it_is_named(value: str) -> None:
    if etag_matches(value, "abc"):
        assert "abc" in value or value.strip() == "*"
    assert etag_matches(f'"x", {value.replace(chr(34), "")}, "abc"', "abc")
