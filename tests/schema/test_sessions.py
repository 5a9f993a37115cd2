from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.context import Context
from resolvers.auth import caller_from_token
from tests.factories import make_user
from tests.schema.asking import as_nobody, ask, refusal

LOGIN = """mutation($u: String!, $p: String!) {
  login(username: $u, password: $p) { accessToken refreshToken sessionId }
}"""
REFRESH = """mutation($t: String!, $r: Boolean! = true) {
  refresh(refreshToken: $t, rotate: $r) { accessToken expiresAt refreshToken sessionId }
}"""
MINE = "{ mySessions { totalCount nodes { id isCurrent userAgent remoteAddress } } }"


async def signed_in(ctx: Context, name: str, user_agent: str) -> tuple[Context, dict[str, Any]]:
    nobody = replace(as_nobody(ctx), user_agent=user_agent)
    login = (await ask(nobody, LOGIN, u=name, p="a good password"))["login"]
    return nobody.acting_as(await caller_from_token(nobody, login["accessToken"])), login


async def test_people_see_where_they_are_signed_in_and_end_it(ctx: Context) -> None:
    user = await make_user(ctx, "a good password")
    phone, _ = await signed_in(ctx, user.username, "a phone")
    desk, login = await signed_in(ctx, user.username, "a desk")
    sessions = (await ask(desk, MINE))["mySessions"]
    assert sessions["totalCount"] == 2
    assert [(each["userAgent"], each["isCurrent"]) for each in sessions["nodes"]] == [
        ("a desk", True),
        ("a phone", False),
    ]
    assert sessions["nodes"][0]["id"] == login["sessionId"]
    other = sessions["nodes"][1]["id"]
    revoke = "mutation($id: UUID!) { revokeSession(id: $id) }"
    assert (await ask(desk, revoke, id=other))["revokeSession"] is True
    again = await refusal(desk, revoke, id=other)
    assert again["extensions"]["code"] == "NOT_FOUND"
    assert (await ask(desk, "mutation { revokeOtherSessions }"))["revokeOtherSessions"] == 0
    assert phone.caller.session_id != desk.caller.session_id


async def test_refreshing_rotates_unless_told_otherwise(ctx: Context) -> None:
    user = await make_user(ctx, "a good password")
    _, login = await signed_in(ctx, user.username, "")
    kept = (await ask(as_nobody(ctx), REFRESH, t=login["refreshToken"], r=False))["refresh"]
    assert (kept["refreshToken"], kept["sessionId"]) == (None, login["sessionId"])
    first = (await ask(as_nobody(ctx), REFRESH, t=login["refreshToken"]))["refresh"]
    assert first["refreshToken"] not in {None, login["refreshToken"]}
    unknown = await refusal(as_nobody(ctx), REFRESH, t="unknown")
    assert unknown["extensions"] == {"code": "UNAUTHENTICATED"}


async def test_a_logout_everywhere_leaves_nothing(ctx: Context) -> None:
    user = await make_user(ctx, "a good password")
    _, first = await signed_in(ctx, user.username, "")
    me, second = await signed_in(ctx, user.username, "")
    assert (await ask(me, "mutation { logout(everywhere: true) }"))["logout"] is True
    for login in (first, second):
        refused = await refusal(as_nobody(ctx), REFRESH, t=login["refreshToken"])
        assert refused["extensions"]["code"] == "UNAUTHENTICATED"
