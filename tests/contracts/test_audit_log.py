"""The audit log over REST: envelope, filters, pages, export."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from core.audit import AuditEntry, AuditType, Severity
from core.context import Context
from models.audit import append_audit
from tests.contracts.serving import Api, sign_in
from tests.factories import make_agent

pytestmark = pytest.mark.slow

EVENTS = "/api/v1/audit/events"


async def _get(ctx: Context, path: str, token: str, **query: Any) -> httpx.Response:
    async with Api(ctx).client(authorization=token) as client:
        return await client.get(path, params=query)


async def test_events_come_newest_first_in_the_envelope_of_the_contract(ctx: Context) -> None:
    user, token = await sign_in(ctx, role="admin")
    agent = await make_agent(ctx)
    entry = AuditEntry(
        AuditType.DEVICE_UPDATED,
        f"agent:{agent.uuid}",
        before={"name": "a"},
        after={"name": "b", "api_key": "fg_very_secret"},
        agent_uuid=agent.uuid,
        user_id=user.id,
    )
    await append_audit(ctx, [AuditEntry(AuditType.DEVICE_ONLINE, agent_uuid=agent.uuid), entry])
    answer = (await _get(ctx, EVENTS, token)).json()
    assert {key: answer[key] for key in ("success", "count", "total", "hasMore", "cursor")} == {
        "success": True,
        "count": 2,
        "total": 2,
        "hasMore": False,
        "cursor": None,
    }
    newest = answer["events"][0]
    assert newest["event_type"] == "device_updated"
    assert newest["details"] == {"before": {"name": "a"}, "after": {"name": "b", "api_key": "***"}}
    assert newest["user_id"] == str(user.id)
    assert newest["agent_uuid"] == str(agent.uuid)
    assert newest["position"] is None
    assert newest["created_at"].endswith("Z")


async def test_pages_by_cursor_and_by_offset_hold_each_event_once(ctx: Context) -> None:
    _, token = await sign_in(ctx, role="owner")
    for at in range(7):
        await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED, f"user:{at}")])
    expected = [f"user:{at}" for at in reversed(range(7))]
    by_cursor: list[str] = []
    cursor: str | None = None
    for _ in range(4):
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await _get(ctx, EVENTS, token, **query)).json()
        by_cursor += [event["subject"] for event in page["events"]]
        cursor = page["cursor"]
        assert page["hasMore"] == (cursor is not None)
    by_offset: list[str] = []
    for offset in (0, 3, 6):
        page = (await _get(ctx, EVENTS, token, limit=3, offset=offset)).json()
        by_offset += [event["subject"] for event in page["events"]]
    assert by_cursor == by_offset == expected


async def test_each_filter_narrows(ctx: Context) -> None:
    user, token = await sign_in(ctx, role="owner")
    agent = await make_agent(ctx)
    key_id, session_id = ctx.ids.uuid(), ctx.ids.uuid()
    by_key = replace(
        ctx, caller=replace(ctx.caller, api_key_id=key_id), remote_address="2001:db8::7"
    )
    await append_audit(by_key, [AuditEntry(AuditType.FLEET_CREATED, "fleet:north")])
    await append_audit(
        ctx,
        [
            AuditEntry(AuditType.USER_UPDATED, user_id=user.id, session_id=session_id),
            AuditEntry(AuditType.DEVICE_ONLINE, agent_uuid=agent.uuid),
            AuditEntry(AuditType.LOGIN_FAILED, severity=Severity.WARNING),
        ],
    )
    hour = timedelta(hours=1)
    now = ctx.clock.now()
    for query, types in (
        ({"event_type": "user_updated"}, ["user_updated"]),
        ({"user_id": str(user.id)}, ["user_updated"]),
        ({"agent_uuid": str(agent.uuid)}, ["device_online"]),
        ({"session_id": str(session_id)}, ["user_updated"]),
        ({"api_key_id": str(key_id)}, ["fleet_created"]),
        ({"ip_address": "2001:db8::7"}, ["fleet_created"]),
        ({"ip_address": "2001:db8::"}, []),
        ({"text": "NORTH"}, ["fleet_created"]),
        ({"severity": "warning"}, ["login_failed"]),
        ({"from": (now + hour).isoformat()}, []),
        ({"to": (now - hour).isoformat()}, []),
        (
            {"from": (now - hour).isoformat(), "to": (now + hour).isoformat()},
            ["login_failed", "device_online", "user_updated", "fleet_created"],
        ),
    ):
        answer = (await _get(ctx, EVENTS, token, **query)).json()
        assert [event["event_type"] for event in answer["events"]] == types, query
        assert answer["total"] == len(types)


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ({"event_type": "no_such"}, "event_type", "user_login"),
        ({"severity": "loud"}, "severity", "critical"),
        ({"limit": 501}, "limit", "500"),
        ({"limit": 0}, "limit", "1"),
        ({"offset": -1}, "offset", "100000"),
        ({"cursor": "x"}, "cursor", "cursor"),
        ({"user_id": "x"}, "user_id", "UUID"),
        ({"session_id": "x"}, "session_id", "UUID"),
        ({"api_key_id": "x"}, "api_key_id", "UUID"),
        ({"ip_address": "1" * 65}, "ip_address", "64"),
        ({"text": "x" * 256}, "text", "255"),
        ({"from": "yesterday"}, "from", "DateTime"),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "from", "to"),
    ],
)
async def test_a_bad_filter_is_named_with_its_limit(
    ctx: Context, query: dict[str, Any], field: str, said: str
) -> None:
    _, token = await sign_in(ctx, role="owner")
    answer = await _get(ctx, EVENTS, token, **query)
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["error"] == "Invalid parameters"
    assert field in answer.text
    assert said in answer.text


@pytest.mark.parametrize("path", [EVENTS, "/api/v1/audit/export", "/api/v1/audit/verify"])
async def test_the_log_is_for_admins(ctx: Context, path: str) -> None:
    for role, status in (("admin", 200), ("manager", 403), ("operator", 403), ("viewer", 403)):
        _, token = await sign_in(ctx, role=role)
        assert (await _get(ctx, path, token)).status_code == status, role


async def test_the_export_is_one_event_per_line_oldest_first(ctx: Context) -> None:
    _, token = await sign_in(ctx, role="owner")
    entries = [AuditEntry(AuditType.USER_UPDATED, f"user:{at}") for at in range(1_234)]
    await append_audit(ctx, entries)
    answer = await _get(ctx, "/api/v1/audit/export", token)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [orjson.loads(line) for line in answer.text.splitlines() if line]
    assert [line["subject"] for line in lines] == [entry.subject for entry in entries]
    assert lines[0]["chain_hash"] is None


async def test_verification_over_rest_says_whether_the_log_is_intact(ctx: Context) -> None:
    _, token = await sign_in(ctx, role="owner")
    await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED)])
    answer = (await _get(ctx, "/api/v1/audit/verify", token)).json()
    assert (answer["success"], answer["intact"], answer["pending"]) == (True, True, 1)
    assert answer["problems"] == []
