"""The embedded PostgreSQL of a data folder, found from outside of the program that runs it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from core.errors import Conflict
from fleetgraph.embedded.postgres import PORT, ROLE


def has_cluster(data_dir: Path) -> bool:
    """Whether a database was ever made in the folder."""
    return (_folder(data_dir) / "data").exists()


def running_address(data_dir: Path, database: str = "fleetgraph") -> str:
    """Return where the server answers that another program runs; raises Conflict."""
    folder = _folder(data_dir)
    note = folder / "socket.location"
    try:
        sockets = note.read_text().strip() if note.exists() else str(folder / "run")
        secret = (data_dir / "postgres.password").read_text().strip()
    except OSError as error:
        raise Conflict(f"The database in {data_dir} cannot be reached: {error}") from None
    return f"postgresql://{ROLE}:{secret}@/{database}?host={quote(sockets, safe='/')}&port={PORT}"


def _folder(data_dir: Path) -> Path:
    note = data_dir / "postgres.location"
    return Path(note.read_text().strip()) if note.exists() else data_dir / "postgres"
