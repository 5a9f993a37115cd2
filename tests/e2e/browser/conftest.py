"""A real browser that can reach nothing but this machine, and a plant to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Route, async_playwright

from tests.dashboard.gathered import require_assets
from tests.e2e.banners import Facts
from tests.e2e.conftest import open_folder
from tests.e2e.processes import Program
from tests.tools import free_ports, require_program

HERE = "127.0.0.1"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HERE}",
)


@dataclass
class Visit:
    """A page with what a visitor does not see: requests to elsewhere, and complaints."""

    page: Page
    url: str
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    async def guard(self, route: Route) -> None:
        """Let through what stays on this machine."""
        address = urlsplit(route.request.url)
        if address.scheme in {"data", "blob"} or address.hostname == HERE:
            await route.continue_()
        else:
            self.outside.append(route.request.url)
            await route.abort()

    def hear(self, message: ConsoleMessage) -> None:
        """Note errors and warnings; what the policy forbids is among them."""
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def fall(self, error: Error) -> None:
        """Note what no script caught."""
        self.complaints.append(str(error))


@pytest.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    require_assets()
    chromium = require_program("chromium")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        await running.close()


@pytest.fixture(scope="package")
async def plant() -> AsyncIterator[Facts]:
    """The whole program with three simulated agents."""
    port, mqtt_port = free_ports(2)
    with open_folder() as folder:
        options = ("--port", str(port), "--mqtt-port", str(mqtt_port))
        program = Program(
            *("up", "--demo", "3", "--data-dir", folder / "data", *options),
            folder=folder,
            # All visitors come from one address.
            settings={"FLEETGRAPH_LIMIT_AUTH_PER_MINUTE": "100"},
        )
        try:
            yield Facts.of(await program.says("Simulated plant"))
        finally:
            program.close()


@pytest.fixture
async def visit(browser: Browser, plant: Facts) -> AsyncIterator[Visit]:
    """A fresh visitor: nothing stored, nobody signed in."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    made = Visit(await context.new_page(), plant.url)
    await context.route("**/*", made.guard)
    made.page.on("console", made.hear)
    made.page.on("pageerror", made.fall)
    yield made
    await context.close()
    assert not made.outside
