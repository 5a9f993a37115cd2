"""Whether the files of npm packages are here."""

from __future__ import annotations

import os

import pytest

from dashboard.build import is_current


def require_assets() -> None:
    """Skip where npm's registry was not reached at installation; CI must reach it."""
    if is_current():
        return
    if os.environ.get("CI"):
        pytest.fail("the web assets were not gathered, and CI must not skip: `make assets`")
    pytest.skip("the web assets were not gathered: `make assets`")
