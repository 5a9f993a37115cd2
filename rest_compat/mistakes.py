"""A mistake in an operation file, found when the program starts."""

from __future__ import annotations


class Mistake(Exception):
    """One broken rule, in words for the author of the operation."""
