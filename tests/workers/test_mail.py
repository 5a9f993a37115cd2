"""Mail leaves once, in time, and is not lost while the server is away."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core.callers import system_caller
from core.context import Context
from core.derived_secrets import DerivedSecrets
from core.letters import Letter, write_letter
from core.mail import Mail
from fleetgraph.mailing import SmtpMailer
from fleetgraph.setting_sections import MailSettings
from models.connection import fetch
from models.outgoing_mail import claim_mail, put_mail
from models.unit_of_work import unit_of_work
from resolvers.mail import GIVEN_UP_AFTER, RETRY_FIRST, RETRY_MAX
from tests.doubles import ManualClock
from tests.mail_server import mail_server
from workers.mail import BATCH_MAX, OutgoingMails


@pytest.fixture
async def post(ctx: Context) -> Context:
    """The system's context with a clock that stands; nothing else waits to be sent."""
    await fetch("delete from outgoing_mail")
    return replace(ctx.acting_as(system_caller(0)), clock=ManualClock(ctx.clock.now()))


def worker(post: Context, port: int) -> OutgoingMails:
    settings = MailSettings(host="127.0.0.1", port=port, security="none")
    return OutgoingMails(post, SmtpMailer(settings, post.clock, seconds_max=5))


def invitation(post: Context, to: str) -> Mail:
    values = {"inviter": "Olga", "tenant": "plant", "role": "viewer", "days": 7, "token": "tok-tok"}
    return write_letter(post, Letter.INVITATION, to, **values)


async def write(post: Context, to: str = "rita@example.com") -> Mail:
    mail = invitation(post, to)
    async with unit_of_work(post):
        await put_mail(post, 1, mail)
    return mail


async def waiting() -> list[dict[str, Any]]:
    return await fetch(
        "select id, attempts, due_at, last_error from outgoing_mail order by created_at, id"
    )


def advance(post: Context, by: timedelta) -> None:
    assert isinstance(post.clock, ManualClock)
    post.clock.advance(seconds=by.total_seconds())


async def test_sends_all_that_waits_once(post: Context) -> None:
    mails = [await write(post, f"r{at}@example.com") for at in range(3)]
    async with mail_server() as server:
        await worker(post, server.port).step()
        await worker(post, server.port).step()
    assert {each["To"] for each in server.received} == {mail.to for mail in mails}
    assert len(server.received) == len(mails)
    assert await waiting() == []


async def test_nothing_is_sent_of_what_did_not_happen(post: Context) -> None:
    async def fail() -> None:
        async with unit_of_work(post):
            await put_mail(post, 1, invitation(post, "rita@example.com"))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await waiting() == []


async def test_waits_longer_each_time_and_sends_when_the_server_is_back(
    post: Context, caplog: pytest.LogCaptureFixture
) -> None:
    mail = await write(post)
    async with mail_server() as server:
        port = server.port
    waits = []
    for _ in range(10):
        await worker(post, port).step()
        (row,) = await waiting()
        assert row["last_error"]
        waits.append(row["due_at"] - post.clock.now())
        await worker(post, port).step()  # not due: not tried
        advance(post, waits[-1])
    assert waits[:3] == [RETRY_FIRST, 2 * RETRY_FIRST, 4 * RETRY_FIRST]
    assert waits[-1] == RETRY_MAX
    assert (await waiting())[0]["attempts"] == 10
    async with mail_server(port=port) as server:
        await worker(post, port).step()
    assert [each["Message-ID"] for each in server.received] == [f"<{mail.id}@localhost>"]
    assert await waiting() == []
    assert "tok-tok" not in caplog.text


async def test_gives_up_after_a_day_and_says_which(
    post: Context, caplog: pytest.LogCaptureFixture
) -> None:
    mail = await write(post)
    async with mail_server() as server:
        port = server.port
    advance(post, GIVEN_UP_AFTER)
    with caplog.at_level(logging.ERROR):
        await worker(post, port).step()
    assert await waiting() == []
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert str(mail.id) in record.getMessage()
    assert "tok-tok" not in caplog.text


async def test_a_refused_message_does_not_hold_up_the_others(post: Context) -> None:
    bad = await write(post, "gone@example.com")
    await write(post, "rita@example.com")
    async with mail_server() as server:
        server.refusals["gone@example.com"] = "550 no such mailbox"
        await worker(post, server.port).step()
    assert [each["To"] for each in server.received] == ["rita@example.com"]
    assert [row["id"] for row in await waiting()] == [bad.id]


async def test_a_server_that_is_away_is_tried_once_in_a_step(post: Context) -> None:
    for at in range(3):
        await write(post, f"r{at}@example.com")
    async with mail_server() as server:
        port = server.port
    await worker(post, port).step()
    assert sorted(row["attempts"] for row in await waiting()) == [0, 0, 1]


async def test_of_two_senders_one_takes_a_message_until_its_time_is_up(post: Context) -> None:
    await write(post)
    until = post.clock.now() + timedelta(minutes=5)
    assert await claim_mail(post, until) is not None
    assert await claim_mail(post, until) is None
    advance(post, timedelta(minutes=5))  # the first one crashed
    assert await claim_mail(post, until) is not None


async def test_what_another_secret_sealed_is_given_up(
    post: Context, caplog: pytest.LogCaptureFixture
) -> None:
    mail = await write(post)
    other = replace(post, secrets=DerivedSecrets("x" * 32))
    async with mail_server() as server:
        await worker(other, server.port).step()
    assert server.received == []
    assert await waiting() == []
    assert str(mail.id) in caplog.text


def test_a_step_is_bounded() -> None:
    assert BATCH_MAX <= 1_000
