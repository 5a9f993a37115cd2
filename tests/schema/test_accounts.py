"""Accounts through GraphQL: each field once."""

from __future__ import annotations

from dataclasses import replace

from core.callers import Caller, Role
from core.context import Context
from resolvers import auth
from tests.factories import make_user
from tests.resolvers.edge import nobody
from tests.resolvers.letters import code_in, take_letters
from tests.schema.asking import ask, refusal

PASSWORD = "correct horse battery"
NEW = "another horse's staple"

INVITE = """mutation($e: String!) { createInvitation(email: $e, role: manager) {
  token invitation { id email role createdBy usedAt revokedAt expiresAt createdAt } } }"""
REGISTER = """mutation($u: String!, $e: String!, $p: String!, $t: String) {
  register(username: $u, email: $e, password: $p, invitationToken: $t) {
    accessToken refreshToken mustChangePassword user { username role } } }"""


async def test_invites_and_registers(ctx: Context) -> None:
    user = await make_user(ctx, role=Role.OWNER)
    inviter = ctx.acting_as(Caller(Role.OWNER, ctx.tenant_id, user_id=user.id))
    name = f"new-{ctx.ids.secret_hex(6)}"
    made = (await ask(inviter, INVITE, e=f"{name}@example.com"))["createInvitation"]
    assert made["invitation"]["createdBy"] == str(user.id)
    variables = {"u": name, "e": f"{name}@example.com", "p": PASSWORD, "t": made["token"]}
    refused = await refusal(nobody(ctx), REGISTER, **(variables | {"t": None}))
    assert refused["extensions"]["code"] == "FORBIDDEN"
    result = (await ask(nobody(ctx), REGISTER, **variables))["register"]
    assert result["user"] == {"username": name, "role": "manager"}
    assert result["refreshToken"]
    listed = await ask(inviter, "{ invitations { totalCount nodes { id usedAt } } }")
    (node,) = listed["invitations"]["nodes"]
    assert node["usedAt"]
    second = (await ask(inviter, INVITE, e=f"second-{name}@example.com"))["createInvitation"]
    revoke = "mutation($i: UUID!) { revokeInvitation(id: $i) { revokedAt } }"
    revoked = await ask(inviter, revoke, i=second["invitation"]["id"])
    assert revoked["revokeInvitation"]["revokedAt"]


async def test_changes_and_resets_a_password(ctx: Context) -> None:
    user = await make_user(ctx)
    signed_in = await auth.login(nobody(ctx), user.username, PASSWORD)
    me = ctx.acting_as(await auth.caller_from_token(nobody(ctx), signed_in.access_token))
    change = "mutation($c: String!, $n: String!) { changePassword(currentPassword: $c, newPassword: $n) }"
    assert await ask(me, change, c=PASSWORD, n=NEW) == {"changePassword": True}
    by_key = replace(me.caller, session_id=None, api_key_id=user.id, scopes=frozenset())
    refused = await refusal(ctx.acting_as(by_key), change, c=NEW, n=PASSWORD)
    assert refused["extensions"]["code"] == "FORBIDDEN"

    await take_letters(ctx, user.email)
    request = "mutation($e: String!) { requestPasswordReset(email: $e) }"
    assert await ask(nobody(ctx), request, e=user.email) == {"requestPasswordReset": True}
    (letter,) = await take_letters(ctx, user.email)
    confirm = "mutation($t: String!, $p: String!) { confirmPasswordReset(token: $t, password: $p) }"
    variables = {"t": code_in(letter), "p": "the third horse's name"}
    assert await ask(nobody(ctx), confirm, **variables) == {"confirmPasswordReset": True}
    refused = await refusal(nobody(ctx), confirm, **variables)
    assert refused["extensions"]["code"] == "INVALID_INPUT"
    await auth.login(nobody(ctx), user.username, "the third horse's name")
