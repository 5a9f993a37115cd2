"""Versions of target states: what an agent was to run, since when, and who said so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.errors import InvalidInput
from core.paging import OpenSlice, decode_cursor, encode_cursor
from models.connection import fetch
from models.target_states import TargetState

_COLUMNS: Final = (
    "version, apps::text as apps, config::text as config, etag, created_at, created_by, author,"
    " comment"
)


@dataclass(frozen=True, slots=True)
class TargetVersion:
    """One version; `previous` is the one before, None where that is not kept any more."""

    version: int
    apps: dict[str, Any]
    config: dict[str, Any]
    etag: str
    created_at: datetime
    created_by: UUID | None
    author: str
    comment: str
    previous: TargetVersion | None = None

    @property
    def document(self) -> dict[str, Any]:
        """Both parts together."""
        return {"apps": self.apps, "config": self.config}


async def put_version(state: TargetState, author: str, comment: str, *, keep: int) -> None:
    """Keep the live document of a state as its newest version, and the newest `keep` in all."""
    await fetch(
        "insert into target_state_version (tenant_id, agent_id, version, apps, config, etag,"
        " created_at, created_by, author, comment)"
        " select tenant_id, agent_id, version, apps, config, etag, updated_at, updated_by, $3, $4"
        " from target_state where tenant_id = $1 and agent_id = $2",
        state.tenant_id,
        state.agent_id,
        author,
        comment,
    )
    await fetch(
        "delete from target_state_version where tenant_id = $1 and agent_id = $2 and version <= $3",
        state.tenant_id,
        state.agent_id,
        state.version - max(1, keep),
    )


async def page_of_versions(
    tenant_id: int, agent_id: int, first: int, after: str | None
) -> OpenSlice[TargetVersion]:
    """Return versions, newest first."""
    below = 2**31 - 1 if after is None else _number(after)
    rows = await fetch(
        f"select {_COLUMNS} from target_state_version"  # noqa: S608  (our names)
        " where tenant_id = $1 and agent_id = $2 and version < $3"
        " order by version desc limit $4",
        *(tenant_id, agent_id, below, first + 1),
    )
    items: list[TargetVersion] = []
    for row in reversed(rows):
        items.append(_version(row, items[-1] if items else None))
    items.reverse()
    cursors = [encode_cursor(str(item.version)) for item in items[:first]]
    return OpenSlice(items[:first], cursors, len(rows) > first)


async def find_version(tenant_id: int, agent_id: int, version: int) -> TargetVersion | None:
    """Return one version with the one before it."""
    page = await page_of_versions(tenant_id, agent_id, 1, encode_cursor(str(version + 1)))
    found = page.items[0] if page.items else None
    return found if found is not None and found.version == version else None


def _version(row: dict[str, Any], previous: TargetVersion | None) -> TargetVersion:
    apps, config = orjson.loads(row.pop("apps")), orjson.loads(row.pop("config"))
    return TargetVersion(**row, apps=apps, config=config, previous=previous)


def _number(after: str) -> int:
    try:
        number = int(decode_cursor(after))
        if 0 <= number < 2**31:
            return number
    except ValueError:
        pass
    raise InvalidInput("after", "is not a cursor of this list")
