from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.callers import Role
from core.context import Context
from schema.provisioning import host_name
from tests.schema.asking import as_nobody, as_role, ask, refusal

CREATE = """mutation($max: Int = 1) {
  createProvisioningKey(description: "hall 2", agentsMax: $max) {
    id key agentsMax description expiresAt warning
  }
}"""
REGISTER = """mutation($agent: RegistrationInput!, $keys: [String]!, $host: String) {
  registerAgent(agent: $agent, provisioningKey: $keys, reachedHost: $host) {
    id uuid name type tenantUuid challenge
    mqtt { username password url config { host port username password useTls caCert keepAlive }
           topics { publish subscribe } }
  }
}"""
EXCHANGE = """mutation($u: UUID!, $s: String!, $k: String) {
  exchangeKey(uuid: $u, signature: $s, deviceKey: $k) { agent { uuid provisioningState } }
}"""
REISSUE = """mutation($u: UUID!, $k: String) {
  reissueChallenge(uuid: $u, deviceKey: $k) { challenge expiresAt }
}"""


def identity(ctx: Context) -> tuple[dict[str, Any], Ed25519PrivateKey]:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    agent = {
        "uuid": str(ctx.ids.uuid()),
        "name": "agent-1",
        "type": "standalone",
        "deviceKey": f"v2_9f01ab23_{ctx.ids.secret_hex(32)}",
        "publicKey": pem.decode(),
    }
    return agent, private


async def test_an_agent_comes_in_with_a_key_and_proves_itself(ctx: Context) -> None:
    key = (await ask(ctx, CREATE))["createProvisioningKey"]["key"]
    agent, private = identity(ctx)
    nobody = as_nobody(ctx)
    host = "fleet.example:3002"
    registered = (await ask(nobody, REGISTER, agent=agent, keys=[None, key], host=host))[
        "registerAgent"
    ]
    assert (registered["uuid"], registered["name"]) == (agent["uuid"], "agent-1")
    mqtt = registered["mqtt"]
    assert mqtt["config"]["host"] == "fleet.example"
    assert mqtt["config"]["password"] == mqtt["password"]
    assert mqtt["url"] == f"mqtt://fleet.example:{mqtt['config']['port']}"
    assert mqtt["topics"]["publish"] == mqtt["topics"]["subscribe"]
    again = (await ask(nobody, REISSUE, u=agent["uuid"], k=agent["deviceKey"]))["reissueChallenge"]
    assert again["challenge"] == registered["challenge"]
    signature = private.sign(f"{agent['uuid']}:{registered['challenge']}".encode())
    text = base64.b64encode(signature).decode()
    proven = await ask(nobody, EXCHANGE, u=agent["uuid"], s=text, k=agent["deviceKey"])
    assert proven["exchangeKey"]["agent"] == {
        "uuid": agent["uuid"],
        "provisioningState": "provisioned",
    }


async def test_the_first_key_that_is_given_counts(ctx: Context) -> None:
    key = (await ask(ctx, CREATE))["createProvisioningKey"]["key"]
    agent, _ = identity(ctx)
    assert await ask(as_nobody(ctx), REGISTER, agent=agent, keys=key)  # a single one is a list too
    error = await refusal(as_nobody(ctx), REGISTER, agent=agent, keys=["wrong", key])
    assert error["extensions"]["code"] == "UNAUTHENTICATED"
    error = await refusal(as_nobody(ctx), REGISTER, agent=agent, keys=[None])
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_wrong_signature_proves_nothing(ctx: Context) -> None:
    key = (await ask(ctx, CREATE))["createProvisioningKey"]["key"]
    agent, private = identity(ctx)
    await ask(as_nobody(ctx), REGISTER, agent=agent, keys=[key])
    text = base64.b64encode(private.sign(b"something else")).decode()
    error = await refusal(as_nobody(ctx), EXCHANGE, u=agent["uuid"], s=text, k=agent["deviceKey"])
    assert error["extensions"]["code"] == "UNAUTHENTICATED"


async def test_keys_are_listed_without_their_text(ctx: Context) -> None:
    made = (await ask(ctx, CREATE, max=5))["createProvisioningKey"]
    assert len(made["key"]) == 64
    text = "{ provisioningKeys { totalCount nodes { id description agentsMax agentsUsed } } }"
    assert (await ask(ctx, text))["provisioningKeys"] == {
        "totalCount": 1,
        "nodes": [
            {"id": made["id"], "description": "hall 2", "agentsMax": 5, "agentsUsed": 0},
        ],
    }
    fields = (await ask(ctx, '{ __type(name: "ProvisioningKey") { fields { name } } }'))["__type"]
    assert not {field["name"] for field in fields["fields"]} & {"key", "keyHash"}


async def test_only_administrators_make_keys(ctx: Context) -> None:
    error = await refusal(as_role(ctx, Role.OPERATOR), CREATE)
    assert error["extensions"]["code"] == "FORBIDDEN"
    error = await refusal(ctx, CREATE, max=10_001)
    assert error["extensions"]["code"] == "INVALID_INPUT"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("fleet.example:3002", "fleet.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:db8::1]:3002", "2001:db8::1"),
        ("[broken", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_takes_the_name_out_of_a_host_header(header: str | None, name: str) -> None:
    assert host_name(header) == name
