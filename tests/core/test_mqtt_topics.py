import doctest
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import mqtt_topics
from core.mqtt_topics import (
    SUBSCRIPTIONS,
    AgentTopic,
    BadTopic,
    agent_username,
    decode_agent_id,
    decode_tenant_id,
    encode_id,
    format_topic,
    parse,
    parse_username,
)

AGENT = UUID("3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d")

names = st.text(st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), min_size=1)
tenants = st.one_of(
    st.uuids().map(str),
    st.binary(min_size=6, max_size=6).map(bytes.hex),
    st.from_regex(r"[a-z-]{1,7}|[a-z-]{9,21}", fullmatch=True),
)


def test_documentation_examples_hold() -> None:
    assert doctest.testmod(mqtt_topics).failed == 0


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("3f2b8c14-5d6e-4a7b-9c8d-0e1f2a3b4c5d", "PyuMFF1uSnucjQ4fKjtMXQ"),
        ("3F2B8C14-5D6E-4A7B-9C8D-0E1F2A3B4C5D", "PyuMFF1uSnucjQ4fKjtMXQ"),
        ("00000000-0000-4000-8000-000000000001", "AAAAAAAAQACAAAAAAAAAAQ"),
        ("0a1b2c3d4e5f", "ChssPU5f"),
        ("self-hosted", "self-hosted"),
    ],
)
def test_ids_are_shortened_as_agents_do_it(text: str, level: str) -> None:
    assert encode_id(text) == level
    assert decode_tenant_id(level) == text.lower()


@given(tenants, st.uuids(), st.lists(names, min_size=1, max_size=4))
def test_what_is_formatted_parses_back(tenant: str, agent: UUID, channel: list[str]) -> None:
    topic = format_topic(tenant, agent, *channel)
    assert parse(topic) == AgentTopic(tenant, agent, tuple(channel))
    assert parse_username(agent_username(tenant, agent)) == (tenant, agent)
    assert topic.startswith(f"i/{agent_username(tenant, agent)}/")


@given(names)
def test_an_encoded_id_comes_back_or_is_refused(text: str) -> None:
    try:
        level = encode_id(text)
    except BadTopic:
        assert len(text) in {8, 22}
        return
    assert decode_tenant_id(level) == text or text.lower() == decode_tenant_id(level)


def test_a_name_that_looks_shortened_is_refused() -> None:
    with pytest.raises(BadTopic, match="shortened"):
        encode_id("tenant01")


@pytest.mark.parametrize("text", ["", "a/b", "+", "x#", "nul\0"])
def test_an_id_that_breaks_topics_is_refused(text: str) -> None:
    with pytest.raises(BadTopic):
        encode_id(text)
    with pytest.raises(BadTopic):
        format_topic("self-hosted", AGENT, "state", text)


def test_an_agent_may_be_spelt_in_full() -> None:
    assert decode_agent_id(str(AGENT).upper()) == AGENT
    assert parse(f"i/self-hosted/a/{AGENT}/state").agent == AGENT


def test_an_agent_has_one_short_spelling() -> None:
    assert decode_agent_id("PyuMFF1uSnucjQ4fKjtMXQ") == AGENT
    with pytest.raises(BadTopic):
        decode_agent_id("PyuMFF1uSnucjQ4fKjtMXR")  # the same 16 bytes, other spare bits


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "state",
        "i/t/a/PyuMFF1uSnucjQ4fKjtMXQ",
        "i/t/a/PyuMFF1uSnucjQ4fKjtMXQ/",
        "i//a/PyuMFF1uSnucjQ4fKjtMXQ/state",
        "x/t/a/PyuMFF1uSnucjQ4fKjtMXQ/state",
        "i/t/b/PyuMFF1uSnucjQ4fKjtMXQ/state",
        "i/t/a/someone/state",
        "i/t/a/PyuMFF1uSnucjQ4fKjtMX€/state",
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(BadTopic):
        parse(topic)


@pytest.mark.parametrize("username", ["", "admin", "t/a", "/a/PyuMFF1uSnucjQ4fKjtMXQ", "t/a/x/y"])
def test_other_users_are_refused(username: str) -> None:
    with pytest.raises(BadTopic):
        parse_username(username)


def test_subscriptions_cover_the_channels_of_agents() -> None:
    assert "i/+/a/+/endpoints/+" in SUBSCRIPTIONS
    assert "i/+/a/+/meta/#" in SUBSCRIPTIONS
    assert len(SUBSCRIPTIONS) == 8
