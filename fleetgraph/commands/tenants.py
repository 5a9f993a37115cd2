"""Tenants: made and listed by who runs the installation."""

from __future__ import annotations

import argparse


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the noun's commands."""
