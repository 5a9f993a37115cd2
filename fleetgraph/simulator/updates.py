"""What an agent answers to a self-update command: honest refusals, since nothing is installed."""

from __future__ import annotations

import re
from typing import Any

import orjson

from fleetgraph.simulator.cloud import AGENT_VERSION

_VERSION = re.compile(r"\d+\.\d+\.\d+")


def answers(payload: bytes, now_ms: int) -> list[dict[str, Any]]:
    """Return the status messages for a command, without `msgId`; none for what is no command."""
    try:
        command = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(command, dict) or command.get("action") != "update":
        return []
    version = command.get("version")
    if "issued_at" not in command:
        return []
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        return [_rejected("invalid_version_format", now_ms)]
    if command.get("expires_at", now_ms) < now_ms:
        return [_rejected("command_expired", now_ms)]
    received = {"type": "update_command_received", "version": version, "timestamp": now_ms}
    return [received, _verdict(version, now_ms)]


def _verdict(version: str, now_ms: int) -> dict[str, Any]:
    versions = {"current_version": AGENT_VERSION, "target_version": version}
    if version == AGENT_VERSION:
        skipped = {"type": "update_skipped", "reason": "same_version"}
        return skipped | versions | {"timestamp": now_ms}
    if _parts(version) < _parts(AGENT_VERSION):
        return _rejected("downgrade_not_allowed", now_ms) | versions
    skipped = {"type": "update_skipped", "reason": "development_mode_no_script"}
    return skipped | versions | {"timestamp": now_ms}


def _rejected(reason: str, now_ms: int) -> dict[str, Any]:
    return {"type": "update_rejected", "reason": reason, "timestamp": now_ms}


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
