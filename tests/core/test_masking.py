"""Secrets never reach the audit log, whatever they stand in."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audit import AuditEntry, AuditType
from core.audit_details import DETAILS_BYTES_MAX, details_json
from core.masking import MASK, masked, names_secret

SECRET = "zq9-hush-hush-7731"

SECRET_NAMES = [
    *("password", "Password", "newPassword", "DB_PASSWORD", "db-passwd", "PGPASSWORD", "secret"),
    *("clientSecret", "JWT_SECRET", "token", "refreshToken", "access_token", "TOKENS", "apiKey"),
    *("api_key", "APIKEY", "x-api-key", "deviceApiKey", "AWS_SECRET_ACCESS_KEY", "private_key"),
    *("privateKeyPem", "pem", "dsn", "SENTRY_DSN", "Authorization", "credentials", "passphrase"),
    *("connectionString", "cookie", "bearer", "psk", "pin", "key", "license_key", "auth"),
]
HARMLESS_NAMES = [
    *("keyId", "api_key_id", "tokenExpiresAt", "provisioning_key_id", "name", "version", "apps"),
    *("monkey", "keyboard", "passenger", "compass", "opinion", "author", "tokenCount", "etag"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets_are_known(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", HARMLESS_NAMES)
def test_names_of_other_things_are_not_taken_for_secrets(name: str) -> None:
    assert not names_secret(name)


names = st.sampled_from(SECRET_NAMES)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
hidden = st.one_of(
    st.builds(lambda name: {name: SECRET}, names),
    st.builds(lambda name: {name: {"deep": [SECRET]}}, names),
    st.builds(lambda name: {"name": name, "value": SECRET}, names),
    st.builds(lambda name: f"{name}={SECRET}", names),
    st.builds(lambda name: f"run --{name}={SECRET} now", names),
    st.builds(lambda name: f"https://host/path?x=1&{name}={SECRET}", names),
    st.builds(lambda name: f'{name}: "{SECRET}"', names),
    st.just(f"postgresql://user:{SECRET}@host/db"),
    st.just(f"Authorization: Bearer {SECRET}"),
    st.just(f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"),
)
values = st.recursive(
    plain | hidden,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values, values, st.dictionaries(st.text(max_size=9), values, max_size=4))
def test_no_secret_is_written_and_all_is_json_that_the_database_takes(
    before: Any, after: Any, details: dict[str, Any]
) -> None:
    entry = AuditEntry(
        AuditType.DEVICE_CONFIG_UPDATE,
        before={"apps": before},
        after={"apps": after},
        details=details,
    )
    text = details_json(entry)
    assert SECRET not in text
    assert "\\u0000" not in text
    assert len(text.encode()) <= DETAILS_BYTES_MAX
    assert isinstance(orjson.loads(text), dict)


@given(values)
@settings(max_examples=50)
def test_masking_twice_is_masking_once(value: Any) -> None:
    once = masked(value)
    assert repr(masked(once)) == repr(once)


def test_whether_there_is_a_secret_may_be_told() -> None:
    assert masked({"password": None, "token": True, "key": 7, "secret": {}}) == {
        "password": None,
        "token": True,
        "key": MASK,
        "secret": MASK,
    }


def test_the_environment_of_apps_is_masked_by_name() -> None:
    app = {"environment": {"DB_PASSWORD": SECRET, "MODE": "fast"}, "env": [f"API_TOKEN={SECRET}"]}
    assert masked(app) == {
        "environment": {"DB_PASSWORD": MASK, "MODE": "fast"},
        "env": [f"API_TOKEN={MASK}"],
    }


def test_of_a_long_document_the_difference_is_kept_and_a_digest() -> None:
    services = {str(at): {"image": f"registry/app:{at}", "ports": [at]} for at in range(300)}
    changed = {**services, "7": {"image": "registry/app:new", "ports": [7, 8]}}
    entry = AuditEntry(
        AuditType.DEVICE_CONFIG_UPDATE, before={"apps": services}, after={"apps": changed}
    )
    told = orjson.loads(details_json(entry))
    assert told["changes"] == [
        {"path": "apps.7.image", "before": "registry/app:7", "after": "registry/app:new"},
        {"path": "apps.7.ports", "before": [7], "after": [7, 8]},
    ]
    assert told["more_changes"] is False
    assert told["before"]["bytes"] > 4_096
    assert told["before"]["sha256"] != told["after"]["sha256"]


def test_details_are_bounded_however_much_changes() -> None:
    big = {"apps": {str(at): "x" * 500 for at in range(2_000)}}
    entry = AuditEntry(AuditType.DEVICE_CONFIG_UPDATE, before=big, after={"apps": {}}, details=big)
    text = details_json(entry)
    assert len(text) <= DETAILS_BYTES_MAX
    assert orjson.loads(text)["more_changes"] is True


def test_a_value_of_any_depth_is_cut() -> None:
    deep: Any = "end"
    for _ in range(5_000):
        deep = [deep]
    assert details_json(AuditEntry(AuditType.USER_UPDATED, details={"deep": deep}))
