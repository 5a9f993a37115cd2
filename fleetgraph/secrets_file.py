"""The installation's master secret: from the settings, or made once and kept in a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FILE_NAME = "secret"


def master_secret(data_dir: Path, given: str | None) -> str:
    """Return the secret; makes `<data_dir>/secret` (mode 0600) when none was given yet."""
    if given is not None:
        return given
    path = data_dir / FILE_NAME
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(48)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(secret, encoding="ascii")
    try:
        # A link never replaces: of two programs that start at once, the first one's secret stays.
        os.link(temporary, path)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    finally:
        temporary.unlink()
    return secret
