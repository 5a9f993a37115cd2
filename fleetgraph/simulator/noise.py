"""Randomness without state: the same key and number always give the same draw.

A plant made of such draws is a function of time, so that two runs, or a run that was stopped for
an hour, agree about every value.
"""

from __future__ import annotations

import hashlib
import math

_MASK = (1 << 64) - 1


def key_of(*parts: object) -> int:
    """Return a 64-bit key for a list of names and numbers."""
    text = "\0".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def uniform(key: int, number: int) -> float:
    """Return draw `number` of the sequence `key`, evenly spread over [0, 1)."""
    return (_mix(key + number * 0x9E3779B97F4A7C15) >> 11) / (1 << 53)


def gauss(key: int, number: int) -> float:
    """Return draw `number` of the sequence `key`, normal with mean 0 and deviation 1."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(key, 2 * number)))
    return radius * math.cos(math.tau * uniform(key, 2 * number + 1))


def _mix(number: int) -> int:
    """Scramble 64 bits (the finaliser known as splitmix64)."""
    number &= _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return number ^ (number >> 31)
