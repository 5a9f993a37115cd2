"""What a person who cannot sign in does with /account and the mail, in Chromium."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.banners import Facts
from tests.e2e.browser.conftest import Visit
from tests.tools import until

pytestmark = pytest.mark.slow

EMAIL = "rita@example.com"
OLD, NEW = "correct horse battery", "another horse's staple"


def form(page: Page, name: str) -> Locator:
    return page.get_by_role("form", name=name)


def letter_to(outbox: Path, email: str) -> str:
    """The text of the letter that waits for a person; empty as long as there is none."""
    for path in outbox.glob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=default)
        body = mail.get_body(("plain",))
        if mail["To"] == email and body is not None:
            return "\n".join(body.get_content().splitlines())
    return ""


async def test_registers_forgets_the_password_and_chooses_another(
    visit: Visit, plant: Facts
) -> None:
    page = visit.page
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(f"{visit.url}/graphql")
    await page.get_by_role("link", name="Forgot your password, or invited?").click()
    await expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360

    register = form(page, "Register")
    await register.get_by_label("User name").fill("rita")
    await register.get_by_label("E-mail").fill(EMAIL)
    await register.get_by_label("Password").fill("too short")
    await register.get_by_role("button").click()
    await expect(register.get_by_role("status")).to_contain_text("must have at least 12 characters")
    (refusal,) = visit.complaints
    assert "400" in refusal
    visit.complaints.clear()
    await register.get_by_label("Password").fill(OLD)
    await register.get_by_role("button").click()
    await expect(register.get_by_role("status")).to_have_text("Registration successful")

    ask = form(page, "Ask for a new password")
    await ask.get_by_label("E-mail").fill(EMAIL)
    await ask.get_by_role("button").click()
    await expect(ask.get_by_role("status")).to_contain_text("e-mail is on its way")
    letter = await until(lambda: letter_to(plant.data_dir / "outbox", EMAIL), "the letter is there")
    assert f"{visit.url}/account" in letter.split()
    (code,) = re.findall(r"^[\w-]{43}$", letter, re.MULTILINE)

    choose = form(page, "Choose a new password")
    await choose.get_by_label("Code").fill(f" {code} ")
    await choose.get_by_label("New password").fill(NEW)
    await choose.get_by_role("button").click()
    await expect(choose.get_by_role("status")).to_have_text("Password reset successfully")
    assert page.url == f"{visit.url}/account"

    await page.get_by_role("navigation").get_by_role("link", name="REST").click()
    await page.get_by_label("User name or e-mail").fill("rita")
    await page.get_by_label("Password", exact=True).fill(NEW)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page.get_by_text("Signed in as rita (viewer)")).to_be_visible()
    assert not visit.complaints
