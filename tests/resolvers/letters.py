"""What is in the mail: the letters that wait, opened with the secret of the tests."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from core.callers import system_caller
from core.context import Context
from core.mail import Mail
from models.outgoing_mail import claim_mail
from tests.doubles import ManualClock


async def take_letters(ctx: Context, to: str) -> list[Mail]:
    """Return the letters to an address, oldest first; all letters that wait are claimed."""
    later = ManualClock(ctx.clock.now() + timedelta(seconds=1))
    system = replace(ctx.acting_as(system_caller(0)), clock=later)
    found = []
    while claimed := await claim_mail(system, later.now() + timedelta(hours=1)):
        if claimed.mail is not None and claimed.mail.to == to:
            found.append(claimed.mail)
    return found


def assert_names_the_page(letter: Mail, ctx: Context) -> None:
    """Both forms say where the code is of use; none puts it into the address."""
    address = f"{ctx.policy.public_url}/account"
    assert re.findall(rf"{re.escape(address)}\S*", letter.text) == [address]
    assert re.findall(r'href="([^"]+)"', letter.html) == [address, ctx.policy.public_url]


def code_in(letter: Mail) -> str:
    """Return the secret that stands alone on a line, as people read it."""
    (code,) = re.findall(r"^[\w-]{43}$", letter.text, re.MULTILINE)
    assert code in letter.html
    return str(code)
