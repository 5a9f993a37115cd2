"""Where the program keeps its own files."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

from fleetgraph.settings import Settings

SYSTEM_DIR = Path("/var/lib/fleetgraph")


def data_dir_of(settings: Settings) -> Path:
    """Return the data folder; makes it, for its owner only, when it is not there.

    Root's own home is often closed to everybody else, and the servers run as other accounts, so
    as root the default is a system folder.
    """
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if settings.data.dir is not None:
        path = settings.data.dir.expanduser().resolve()
    elif is_root:
        path = SYSTEM_DIR
    else:
        path = user_data_path("fleetgraph", appauthor=False)
    # The servers of root run as other accounts and must get through; secrets have modes of their own.
    path.mkdir(mode=0o755 if is_root else 0o700, parents=True, exist_ok=True)
    return path
