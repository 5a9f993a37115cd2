from __future__ import annotations

import base64

import pytest

from core.broker_accounts import (
    AGENT_READ,
    AGENT_WRITE,
    BrokerAccount,
    hash_broker_password,
    may,
    may_subscribe,
    parse_accounts,
    render_acl_file,
    render_password_file,
    verify_broker_password,
)
from core.errors import InvalidInput

AGENT = "AAAAAAAAAAAAAAAAAAAAAA/a/BBBBBBBBBBBBBBBBBBBBBB"
ROOT = f"i/{AGENT}"

TABLE: list[tuple[str, str, bool, bool]] = [
    # user, topic, may write, may read
    *((AGENT, f"{ROOT}/{s.replace('+', 'x')}", True, False) for s in AGENT_WRITE),
    *((AGENT, f"{ROOT}/{s}", False, True) for s in AGENT_READ),
    (AGENT, f"{ROOT}/endpoints/modbus/x", False, False),
    (AGENT, f"{ROOT}/endpoints", False, False),
    (AGENT, f"{ROOT}/endpoints/", True, False),
    (AGENT, f"{ROOT}/jobs/7/update/x", False, False),
    (AGENT, f"{ROOT}/agent/shell", False, False),
    (AGENT, f"{ROOT}/other", False, False),
    (AGENT, f"{ROOT}/", False, False),
    (AGENT, ROOT, False, False),
    (AGENT, f"/{ROOT}/state", False, False),
    (AGENT, "i/AAAAAAAAAAAAAAAAAAAAAA/a/other/state", False, False),
    (AGENT, "i/AAAAAAAAAAAAAAAAAAAAAA/a/other/agent/update", False, False),
    (AGENT, "i/other/a/BBBBBBBBBBBBBBBBBBBBBB/state", False, False),
    (AGENT, f"{ROOT}x/state", False, False),
    (AGENT, "$SYS/broker/uptime", False, False),
    (AGENT, "$CONTROL/dynamic-security/v1", False, False),
    (AGENT, "state", False, False),
    ("platform", f"{ROOT}/agent/update", True, True),
    ("platform", "anything", True, True),
    ("platform", "$SYS/broker/uptime", False, True),
    ("platform", "$CONTROL/dynamic-security/v1", False, False),
]


def mosquitto_allows(acl: str, username: str, topic: str, access: str) -> bool:
    """Decide as Mosquitto documents it: the user's own block, then the patterns."""
    user, granted = "", list[tuple[str, str]]()
    for line in acl.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "user":
            user = words[1]
        elif words[0] == "pattern":
            granted.append((words[1], words[2].replace("%u", username)))
        elif user == username:
            granted.append((words[1], words[2]))
    return any(access in rights and matches(rule, topic) for rights, rule in granted)


def matches(rule: str, topic: str) -> bool:
    if topic.startswith("$") != rule.startswith("$"):
        return False
    wanted, have = rule.split("/"), topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(have) or level not in {"+", have[index]}:
            return False
    return len(wanted) == len(have)


@pytest.mark.parametrize(("user", "topic", "write", "read"), TABLE)
def test_the_file_and_the_function_give_the_same_answer(
    user: str, topic: str, write: bool, read: bool
) -> None:
    acl = render_acl_file(["platform"])
    is_platform = user == "platform"
    assert may(user, is_platform, topic, write=True) is write
    assert may(user, is_platform, topic, write=False) is read
    assert mosquitto_allows(acl, user, topic, "write") is write
    assert mosquitto_allows(acl, user, topic, "read") is read


def test_no_agent_can_write_what_an_agent_obeys() -> None:
    assert not set(AGENT_READ) & set(AGENT_WRITE)
    assert not any("#" in suffix or suffix.startswith("+") for suffix in AGENT_WRITE)
    assert not any("+" in suffix for suffix in AGENT_READ)


@pytest.mark.parametrize(
    "topic_filter",
    ["#", "+/#", f"{ROOT}/#", f"{ROOT}/+/update", f"$share/g/{ROOT}/agent/update", "$SYS/#", ""],
)
def test_an_agent_may_not_subscribe_by_wildcard_or_share(topic_filter: str) -> None:
    assert not may_subscribe(AGENT, False, topic_filter)


def test_subscriptions_follow_what_may_be_read() -> None:
    assert may_subscribe(AGENT, False, f"{ROOT}/agent/update")
    assert may_subscribe("platform", True, "$share/ingest/i/#")


def test_a_password_holds_only_against_its_own_hash() -> None:
    stored = hash_broker_password("correct horse")
    assert verify_broker_password("correct horse", stored)
    assert not verify_broker_password("correct horsf", stored)
    assert stored != hash_broker_password("correct horse")


def test_the_hash_is_what_mosquitto_writes() -> None:
    # made by mosquitto_passwd 2.0.11 for the password "secret"
    made = (
        "$7$101$CD2SBH8w16yLMgaD$fCcPvFQ7IJK2HNFbiNhMBnAVlFXtT70qlgfxhdTNRL33V9pI+UCOeSpgvimIr72F"
        "k1zVmhoq3cRzuu37/xs/lQ=="
    )
    assert hash_broker_password("secret", base64.b64decode("CD2SBH8w16yLMgaD")) == made


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "secret",
        "$6$101$AAAA$AAAA",
        "$7$x$AAAA$AAAA",
        "$7$0$AAAA$AAAA",
        "$7$101$A$A",
        "$7$1$é$é",
    ],
)
def test_what_is_no_hash_never_verifies(broken: str) -> None:
    assert not verify_broker_password("secret", broken)


@pytest.mark.parametrize(
    "name",
    ["", "a:b", "a\nb", "a\rb", "a+b", "a#b", "a b", " a", "%u", "a\x00b", "a\u2028b", "x" * 2000],
)
def test_refuses_names_that_change_the_meaning_of_a_file(name: str) -> None:
    with pytest.raises(InvalidInput):
        BrokerAccount(name, "$7$101$AAAA$AAAA", is_platform=True)
    with pytest.raises(InvalidInput):
        render_acl_file([name])


@pytest.mark.parametrize("name", ["agent", "t/a/x/endpoints", "t/b/x", "/a/x", "t/a/", "t/a/x/"])
def test_refuses_an_agents_name_that_could_lie_inside_anothers_topics(name: str) -> None:
    with pytest.raises(InvalidInput):
        BrokerAccount(name, "$7$101$AAAA$AAAA")


def test_refuses_a_hash_with_a_line_break() -> None:
    with pytest.raises(InvalidInput):
        BrokerAccount(AGENT, "$7$101$AAAA$AAAA\nroot:x")


def test_refuses_the_same_name_twice() -> None:
    account = BrokerAccount(AGENT, hash_broker_password("a"))
    with pytest.raises(InvalidInput):
        render_password_file([account, account])


def test_reads_back_the_files_that_it_writes() -> None:
    accounts = [
        BrokerAccount("platform", hash_broker_password("p"), is_platform=True),
        BrokerAccount(AGENT, hash_broker_password("a")),
    ]
    files = render_password_file(accounts), render_acl_file(["platform"])
    assert {*parse_accounts(*files)} == {*accounts}
