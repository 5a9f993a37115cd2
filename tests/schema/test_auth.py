from __future__ import annotations

from core.callers import Role
from core.context import Context
from tests.factories import make_user
from tests.schema.asking import as_nobody, as_person, ask, refusal

LOGIN = """mutation($u: String!, $p: String!) {
  login(username: $u, password: $p) {
    accessToken expiresAt mustChangePassword user { username role permissions }
  }
}"""


async def test_a_login_by_name_or_address_gives_a_token_that_holds(ctx: Context) -> None:
    user = await make_user(ctx, "a good password", role=Role.OPERATOR)
    for name in (user.username, user.email):
        login = (await ask(as_nobody(ctx), LOGIN, u=name, p="a good password"))["login"]
        assert ctx.tokens.verify(login["accessToken"]).user_id == user.id
        assert login["mustChangePassword"] is False
        assert login["user"]["role"] == "operator"
        assert "device:control" in login["user"]["permissions"]
        assert "device:write" not in login["user"]["permissions"]


async def test_a_refused_login_does_not_say_why(ctx: Context) -> None:
    user = await make_user(ctx, "a good password")
    wrong = await refusal(as_nobody(ctx), LOGIN, u=user.username, p="another")
    unknown = await refusal(as_nobody(ctx), LOGIN, u="nobody at all", p="another")
    assert wrong["extensions"] == unknown["extensions"] == {"code": "UNAUTHENTICATED"}
    assert wrong["message"] == unknown["message"]


async def test_me_is_the_caller_without_the_password(ctx: Context) -> None:
    person, user = await as_person(ctx, role=Role.VIEWER, full_name="Vera V.")
    me = (await ask(person, "{ me { id username email fullName role lastLoginAt } }"))["me"]
    assert me == {
        "id": str(user.id),
        "username": user.username,
        "email": user.email,
        "fullName": "Vera V.",
        "role": "viewer",
        "lastLoginAt": None,
    }
