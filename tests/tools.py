"""Programs that tests need and that `pip` does not bring."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def require_program(name: str) -> Path:
    """Return the program called `name`: without it skip, but fail where CI says it has all."""
    found = shutil.which(name)
    if found:
        return Path(found)
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed here, and CI must not skip")
    pytest.skip(f"{name} is not installed here")
