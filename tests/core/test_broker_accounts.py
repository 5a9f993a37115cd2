from __future__ import annotations

import base64

import pytest

from core.broker_accounts import (
    AGENT_READ,
    AGENT_WRITE,
    AclRule,
    BrokerAccount,
    check_broker_username,
    hash_broker_password,
    may,
    may_subscribe,
    parse_accounts,
    render_acl_file,
    render_password_file,
    verify_broker_password,
)
from core.errors import InvalidInput
from core.topic_filters import covers

TENANT = "AAAAAAAAAAAAAAAAAAAAAA"
AGENT = f"{TENANT}/a/BBBBBBBBBBBBBBBBBBBBBB"
SENSOR = f"{TENANT}/d/CCCCCCCCCCCCCCCCCCCCCC"
PERSON = "line.1@example"
ROOT = f"i/{AGENT}"
OWN = f"{ROOT}/d/CCCCCCCCCCCCCCCCCCCCCC"
HASH = "$7$101$AAAA$AAAA"
KNOWN = {
    account.username: account
    for account in (
        BrokerAccount("platform", HASH, is_platform=True),
        BrokerAccount(AGENT, HASH),
        BrokerAccount(SENSOR, HASH, rules=(AclRule(OWN, read=False, write=True),)),
        BrokerAccount("bare", HASH),
        BrokerAccount("everywhere", HASH, rules=(AclRule("#", read=True, write=True),)),
        BrokerAccount(
            PERSON,
            HASH,
            rules=(
                AclRule(f"i/{TENANT}/a/+/state", read=True, write=False),
                AclRule(f"i/{TENANT}/notes/#", read=True, write=True),
                AclRule(f"i/{TENANT}/a shelf", read=False, write=True),
                AclRule("$SYS/broker/uptime", read=True, write=False),
                AclRule("nothing", read=False, write=False),
            ),
        ),
    )
}


def of_patterns(name: str) -> list[str]:
    """Return what the patterns would give an account of this name."""
    return [f"i/{name}/{s.replace('+', 'x')}" for s in (*AGENT_WRITE, *AGENT_READ)]


TABLE: list[tuple[str, str, bool, bool]] = [
    # user, topic, may write, may read
    *((AGENT, f"{ROOT}/{s.replace('+', 'x')}", True, False) for s in AGENT_WRITE),
    *((AGENT, f"{ROOT}/{s.replace('+', 'x')}", False, True) for s in AGENT_READ),
    (AGENT, f"{ROOT}/d", False, False),
    (AGENT, f"{ROOT}/d/x/y", False, False),
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
    (SENSOR, OWN, True, False),
    (SENSOR, f"{OWN}/x", False, False),
    (SENSOR, f"{ROOT}/d/other", False, False),
    (SENSOR, f"{ROOT}/state", False, False),
    (SENSOR, f"{ROOT}/agent/update", False, False),
    (SENSOR, f"i/{SENSOR}", False, False),
    *((SENSOR, topic, False, False) for topic in of_patterns(SENSOR)),
    *(("bare", topic, False, False) for topic in of_patterns("bare")),
    *(("everywhere", topic, False, False) for topic in of_patterns("everywhere")),
    *((PERSON, topic, False, False) for topic in of_patterns(PERSON)),
    ("everywhere", "anything", True, True),
    ("everywhere", "$SYS/broker/uptime", False, False),
    (PERSON, f"{ROOT}/state", False, True),
    (PERSON, f"i/{TENANT}/a/x/state", False, True),
    (PERSON, f"i/{TENANT}/a/x/y/state", False, False),
    (PERSON, f"{ROOT}/agent/update", False, False),
    (PERSON, f"i/{TENANT}/notes", True, True),
    (PERSON, f"i/{TENANT}/notes/a/b", True, True),
    (PERSON, f"i/{TENANT}/a shelf", True, False),
    (PERSON, "i/other/a/x/state", False, False),
    (PERSON, "$SYS/broker/uptime", False, True),
    (PERSON, "$SYS/broker/version", False, False),
    (PERSON, "nothing", False, False),
]


def mosquitto_allows(acl: str, username: str, topic: str, access: str) -> bool:
    """Decide as Mosquitto documents it: the user's own block, then the patterns."""
    user, granted = "", list[tuple[str, str]]()
    for line in acl.splitlines():
        words = line.split(" ", 2)
        if words[0] == "user":
            user = words[1]
        elif words[0] == "pattern":
            granted.append((words[1], words[2].replace("%u", username)))
        elif words[0] == "topic" and user == username:
            granted.append((words[1], words[2]))
    if any(rights == "deny" and matches(rule, topic) for rights, rule in granted):
        return False
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
    acl = render_acl_file(KNOWN.values())
    assert may(KNOWN[user], topic, write=True) is write
    assert may(KNOWN[user], topic, write=False) is read
    assert mosquitto_allows(acl, user, topic, "write") is write
    assert mosquitto_allows(acl, user, topic, "read") is read


def test_no_agent_can_write_what_an_agent_obeys() -> None:
    assert not set(AGENT_READ) & set(AGENT_WRITE)
    assert not any("#" in suffix or suffix.startswith("+") for suffix in AGENT_WRITE)
    assert not any("#" in suffix or suffix.startswith("+") for suffix in AGENT_READ)
    assert not any(covers(suffix, read) for suffix in AGENT_WRITE for read in AGENT_READ)


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "+/#",
        f"{ROOT}/#",
        f"{ROOT}/d/#",
        f"{ROOT}/+/update",
        f"$share/g/{ROOT}/agent/update",
        "$SYS/#",
        "",
    ],
)
def test_an_agent_may_not_subscribe_by_wildcard_or_share(topic_filter: str) -> None:
    assert not may_subscribe(KNOWN[AGENT], topic_filter)


def test_subscriptions_follow_what_may_be_read() -> None:
    assert may_subscribe(KNOWN[AGENT], f"{ROOT}/agent/update")
    assert may_subscribe(KNOWN[AGENT], f"{ROOT}/d/+")
    assert may_subscribe(KNOWN["platform"], "$share/ingest/i/#")
    assert may_subscribe(KNOWN[PERSON], f"i/{TENANT}/a/+/state")
    assert may_subscribe(KNOWN[PERSON], f"i/{TENANT}/notes/+/x/#")


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "i/#",
        "i/+/a/+/state",
        f"i/{TENANT}/+/+/state",
        f"i/{TENANT}/a/#",
        f"i/{TENANT}/a/+/#",
        f"i/{TENANT}/+",
        f"i/{TENANT}/a shelf",
        f"i/{PERSON}/#",
        "$SYS/#",
        "$SYS/broker/+",
        f"$share/g/i/{TENANT}/notes",
        "nothing",
        "",
    ],
)
def test_a_filter_that_reaches_beyond_the_lines_is_refused(topic_filter: str) -> None:
    assert not may_subscribe(KNOWN[PERSON], topic_filter)


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
        check_broker_username(name)


@pytest.mark.parametrize(
    "name", ["t/a/x/endpoints", "t/b/x", "/a/x", "t/a/", "t/a/x/", "t/d/x/y", "/d/x", "t/d/", "/"]
)
def test_refuses_an_agents_name_that_could_lie_inside_anothers_topics(name: str) -> None:
    with pytest.raises(InvalidInput):
        BrokerAccount(name, "$7$101$AAAA$AAAA")


def test_refuses_a_hash_with_a_line_break() -> None:
    with pytest.raises(InvalidInput):
        BrokerAccount(AGENT, "$7$101$AAAA$AAAA\nroot:x")


def test_the_first_account_of_a_name_counts() -> None:
    platform = KNOWN["platform"]
    twice = [platform, BrokerAccount("platform", "$7$101$BBBB$BBBB"), KNOWN[AGENT]]
    assert render_password_file(twice) == render_password_file([platform, KNOWN[AGENT]])
    assert render_acl_file(twice) == render_acl_file([platform])


def test_what_rules_follow_from_a_name_cannot_be_given() -> None:
    rules = (AclRule("x", read=True, write=False),)
    with pytest.raises(InvalidInput):
        BrokerAccount(AGENT, HASH, rules=rules)
    with pytest.raises(InvalidInput):
        BrokerAccount("platform", HASH, is_platform=True, rules=rules)


@pytest.mark.parametrize(
    ("topic", "write"),
    [
        ("", False),
        ("a\nuser platform", False),
        ("a\u2028b", False),
        (" a", False),
        ("a ", False),
        ("a\x00", False),
        ("\ud800", False),
        ("a/#/b", False),
        ("a#", False),
        ("a/+b", False),
        ("é" * 513, False),
        ("/" * 100, False),
        ("$SYS/x", True),
        ("$SYSTEM", False),
        ("$CONTROL/dynamic-security/v1", False),
        ("$share/g/#", False),
    ],
)
def test_refuses_rules_that_no_broker_could_hold(topic: str, write: bool) -> None:
    with pytest.raises(InvalidInput) as caught:
        AclRule(topic, read=True, write=write)
    assert caught.value.facts["field"] == "topic"


def test_reads_back_the_files_that_it_writes() -> None:
    files = render_password_file(KNOWN.values()), render_acl_file(KNOWN.values())
    wanted = {
        BrokerAccount(a.username, a.password_hash, a.is_platform, granting(a))
        for a in KNOWN.values()
    }
    assert {*parse_accounts(*files)} == wanted
    with pytest.raises(InvalidInput):
        parse_accounts(files[0], "something else\n")


def granting(account: BrokerAccount) -> tuple[AclRule, ...]:
    return tuple(rule for rule in account.rules if rule.words)
