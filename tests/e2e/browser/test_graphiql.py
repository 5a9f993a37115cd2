"""GraphiQL and the REST documentation in Chromium, which reaches nothing but this machine."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.banners import Facts
from tests.e2e.browser.conftest import Visit
from tests.tools import until

pytestmark = pytest.mark.slow

RUN = "Execute query (Ctrl-Enter)"


async def offer(page: Page, login: str, password: str) -> None:
    await page.get_by_label("User name or e-mail").fill(login)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def sign_in(page: Page, plant: Facts) -> None:
    await offer(page, plant.login, plant.password)
    await expect(page.get_by_text("Signed in as admin (owner)")).to_be_visible()


async def answer(page: Page) -> str:
    return await page.locator(".result-window .CodeMirror-code").inner_text()


async def test_signs_in_asks_and_follows_readings(visit: Visit, plant: Facts) -> None:
    page = visit.page
    await page.goto(f"{visit.url}/graphql")
    await offer(page, plant.login, "not the password")
    await expect(page.get_by_role("alert")).to_have_text("Invalid username or password")
    await sign_in(page, plant)
    await page.get_by_role("button", name=RUN).click()
    result = page.locator(".result-window")
    await expect(result).to_contain_text('"totalCount": 3')
    await expect(result).to_contain_text('"name": "gateway-01"')

    await page.get_by_role("tab", name="Live").click()
    await page.get_by_role("button", name=RUN).click()
    await expect(result).to_contain_text('"readings"')
    seen = set[str]()

    async def three_readings() -> bool:
        seen.update(re.findall(r'"cursor": "([^"]+)"', await answer(page)))
        return len(seen) >= 3

    await until(three_readings, "readings go on arriving")
    await page.get_by_role("button", name="Stop query").click()
    await expect(page.get_by_role("button", name=RUN)).to_be_visible()
    assert not visit.complaints


async def test_every_example_is_answered(visit: Visit, plant: Facts) -> None:
    page = visit.page
    await page.goto(f"{visit.url}/graphql")
    await sign_in(page, plant)
    for tab, part in (("Series", '"timestamps"'), ("NewKey", '"key"'), ("Me", '"permissions"')):
        await page.get_by_role("tab", name=tab).click()
        await page.get_by_role("button", name=RUN).click()
        await expect(page.locator(".result-window")).to_contain_text(part)
        assert '"errors"' not in await answer(page)
    await page.get_by_role("button", name="Show GraphiQL Explorer").click()
    await expect(page.get_by_text("Add new")).to_be_visible()
    assert not visit.complaints


async def test_asks_to_sign_in_again_when_the_token_is_refused(visit: Visit, plant: Facts) -> None:
    page = visit.page
    await page.goto(f"{visit.url}/graphql")
    await sign_in(page, plant)
    await page.evaluate(
        """() => {
          const session = JSON.parse(sessionStorage.getItem("fleetgraph.session"));
          const changed = { ...session, token: "no longer good" };
          sessionStorage.setItem("fleetgraph.session", JSON.stringify(changed));
        }"""
    )
    await page.reload()
    await page.get_by_role("button", name=RUN).click()
    await expect(page.get_by_role("alert")).to_have_text("Sign in again: the session was refused.")
    await sign_in(page, plant)
    await page.get_by_role("button", name=RUN).click()
    await expect(page.locator(".result-window")).to_contain_text('"totalCount": 3')
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0


async def test_documents_rest_and_tries_it_out(visit: Visit, plant: Facts) -> None:
    page = visit.page
    await page.goto(f"{visit.url}/docs")
    await sign_in(page, plant)
    path = page.locator('[data-path="/api/v1/agents"]')
    agents = page.locator(".opblock-get").filter(has=path).first
    await expect(agents).to_contain_text("GET")
    assert await page.locator(".opblock").count() > 10
    await agents.locator(".opblock-summary-control").click()
    await agents.get_by_role("button", name="Try it out").click()
    await agents.get_by_role("button", name="Execute").click()
    await expect(agents.locator(".live-responses-table")).to_contain_text("gateway-01")
    await page.get_by_role("button", name="Sign out").click()
    await agents.get_by_role("button", name="Execute").click()
    await expect(agents.locator(".live-responses-table")).to_contain_text("401")
    (refusal,) = visit.complaints
    assert "401" in refusal
    visit.complaints.clear()
    await sign_in(page, plant)
    await page.get_by_role("link", name="GraphQL").click()
    await expect(page.get_by_text("Signed in as")).to_be_visible()
    assert not visit.complaints
