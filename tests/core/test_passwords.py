from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from core.errors import Unavailable
from core.passwords import RETRY_SECONDS, Passwords


def cheap(**changes: int) -> Passwords:
    return Passwords(**({"time_cost": 1, "memory_kib": 8, "parallelism": 1} | changes))


async def test_a_password_matches_its_hash_however_it_was_typed() -> None:
    passwords = cheap()
    encoded = await passwords.hash("Mu\u0308nchen \ufb01rst")
    assert await passwords.verify(encoded, "M\u00fcnchen first")
    assert not await passwords.verify(encoded, "Munchen first")


@pytest.mark.parametrize("password", ["", "x", "\ud800", "\x00"])
@pytest.mark.parametrize("encoded", [None, "", "no hash", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
async def test_what_cannot_match_does_not(encoded: str | None, password: str) -> None:
    assert not await cheap().verify(encoded, password)


async def test_an_unknown_person_costs_what_a_known_one_does() -> None:
    passwords = cheap()
    real = await passwords.hash("some password")
    assert not passwords.needs_rehash(passwords._decoy)
    assert len(passwords._decoy) == len(real)
    # Argon2 computes the whole hash before it says that the decoy is another.
    assert not await passwords.verify(None, "some password")


async def test_only_so_many_run_and_only_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = cheap(concurrent_max=2, waiting_max=3)
    may_end, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    class SlowHasher:
        def hash(self, _: bytes) -> str:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            may_end.wait(20)
            with lock:
                running -= 1
            return "hash"

    monkeypatch.setattr(passwords, "_hasher", SlowHasher())
    waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await passwords.hash("x")
    assert refused.value.facts["retry_after_seconds"] == RETRY_SECONDS
    waiting.pop().cancel()
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(passwords.hash("x")))  # the place of who went away
    await asyncio.sleep(0)
    may_end.set()
    assert await asyncio.gather(*waiting) == ["hash"] * 5
    assert most == 2


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
async def test_hashing_leaves_the_core_to_others_first() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    hashing = await cheap()._run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert hashing >= max(own, 10)
    assert os.getpriority(os.PRIO_PROCESS, 0) == own
