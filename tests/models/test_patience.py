from __future__ import annotations

import pytest

from core.errors import NotFound
from models import patience
from models.patience import patiently


async def test_reads_again_until_the_database_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0)
    answers: list[object] = [ConnectionRefusedError(), ConnectionResetError(), "here"]

    async def read() -> object:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    assert await patiently(read) == "here"
    assert answers == []


async def test_other_errors_are_no_reason_to_wait() -> None:
    async def read() -> None:
        raise NotFound("agent", 1)

    with pytest.raises(NotFound):
        await patiently(read)
