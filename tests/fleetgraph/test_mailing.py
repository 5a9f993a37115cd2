"""Mail to a real server, and into the outbox."""

from __future__ import annotations

import email
import logging
import socket
import stat
from dataclasses import replace
from email import policy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from core.errors import Unavailable
from core.gateways import MailRefused
from core.mail import Mail
from fleetgraph.mailing import Outbox, SmtpMailer, make_mailer, message_of
from fleetgraph.setting_sections import MailSettings
from tests.doubles import ManualClock
from tests.mail_server import PASSWORD, USER, mail_server, silent_server, write_certificate

CLOCK = ManualClock()
SENDER = "Fleetgraph <fleet@plant.example>"
MAIL = Mail(
    UUID("01890000-0000-7000-8000-000000000001"),
    "rita@example.com",
    "Fleetgraph: Choose a new password",
    "Hello Zoë,\n\nthe code: abc\n",
    "<p>Hello Zoë, the code: <b>abc</b></p>",
)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that this process trusts."""
    path = write_certificate(tmp_path / "mail.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def mailer(port: int, **settings: Any) -> SmtpMailer:
    values = {"host": "127.0.0.1", "port": port, "sender": SENDER} | settings
    return SmtpMailer(MailSettings(**values), CLOCK, seconds_max=2)


LOGIN = {"user": USER, "password": SecretStr(PASSWORD)}


async def test_sends_both_parts_by_starttls_and_login(certificate: Path) -> None:
    async with mail_server(certificate=certificate, login=True) as server:
        await mailer(server.port, **LOGIN).send(MAIL)
        await mailer(server.port, **LOGIN).send(MAIL)
    first, second = server.received
    assert server.were_secure == [True, True]
    assert server.users == [USER, USER]
    assert (first["From"], first["To"], first["Subject"]) == (SENDER, MAIL.to, MAIL.subject)
    assert first["Message-ID"] == second["Message-ID"] == f"<{MAIL.id}@plant.example>"
    assert first["Date"].datetime == CLOCK.now()
    text, html = first.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html.get_content_type() == "text/html"
    assert html.get_content().strip() == MAIL.html


@pytest.mark.parametrize("security", ["tls", "none"])
async def test_sends_as_the_settings_say(certificate: Path, security: str) -> None:
    is_tls = security == "tls"
    async with mail_server(certificate=certificate if is_tls else None, implicit=is_tls) as server:
        await mailer(server.port, security=security).send(MAIL)
    assert len(server.received) == 1


async def reason(mailer: SmtpMailer) -> str:
    with pytest.raises(Unavailable) as caught:
        await mailer.send(MAIL)
    told = str(caught.value.facts["reason"])
    assert PASSWORD not in told
    return told


async def test_never_falls_back_to_an_open_connection() -> None:
    async with mail_server() as server:
        assert "STARTTLS" in await reason(mailer(server.port))
    assert server.received == []


async def test_a_certificate_of_a_stranger_is_not_believed(tmp_path: Path) -> None:
    async with mail_server(certificate=write_certificate(tmp_path / "other.pem")) as server:
        assert await reason(mailer(server.port))
    assert server.received == []


async def test_a_server_that_refuses_the_login_is_tried_again(certificate: Path) -> None:
    async with mail_server(certificate=certificate, login=True) as server:
        wrong = LOGIN | {"password": SecretStr("wrong")}
        assert "535" in await reason(mailer(server.port, **wrong))
        assert await reason(mailer(server.port))  # no login where one is needed
    assert server.received == []


async def test_a_server_that_is_down_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert await reason(mailer(port))


async def test_a_server_that_never_answers_is_left() -> None:
    async with silent_server() as port:
        hasty = SmtpMailer(
            MailSettings(host="127.0.0.1", port=port, sender=SENDER), CLOCK, seconds_max=0.2
        )
        assert "Timeout" in await reason(hasty)


async def test_a_refused_message_is_told_from_a_server_that_is_away() -> None:
    async with mail_server() as server:
        plain = mailer(server.port, security="none")
        server.refusals[MAIL.to] = "550 no such mailbox"
        with pytest.raises(MailRefused, match="no such mailbox"):
            await plain.send(MAIL)
        server.refusals.clear()
        server.data_answer = "554 looks like spam"
        with pytest.raises(MailRefused, match="spam"):
            await plain.send(MAIL)
        server.data_answer = "250 OK"
        with pytest.raises(MailRefused):  # this server takes no such letters
            await plain.send(replace(MAIL, to="zoë@example.com"))


@pytest.mark.parametrize("to", ["", "nobody", "a@b\r\nBcc: c@d", "a@b, c@d"])
def test_an_address_that_is_none_gets_no_mail(to: str) -> None:
    with pytest.raises(MailRefused):
        message_of(Mail(MAIL.id, to, "s", "t", "h"), SENDER, CLOCK)


async def test_without_a_server_mail_is_written_for_the_owner_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = make_mailer(MailSettings(sender=SENDER), CLOCK, tmp_path)
    with caplog.at_level(logging.INFO):
        await outbox.send(MAIL)
    (path,) = (tmp_path / "outbox").iterdir()
    assert path.name == f"20260301T100000Z-{MAIL.id}.eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    read = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    assert read["To"] == MAIL.to
    body = read.get_body(("plain",))
    assert body is not None
    assert "Zoë" in body.get_content()
    assert str(path) in caplog.text
    assert "abc" not in caplog.text


async def test_an_outbox_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(Unavailable):
        await Outbox(tmp_path / "outbox", SENDER, CLOCK).send(MAIL)
