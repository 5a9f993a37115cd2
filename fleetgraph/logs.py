"""Structured logging to standard error, with the request's id on every line of its work."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Literal

import structlog

_SECRETS = re.compile(
    r"(?i)(bearer\s+|(?:password|api[_-]?key|token)[\"']?\s*[=:]\s*[\"']?|://[^:/\s]+:)([^\s\"'@,}]+)"
)
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up_logging(level: str, style: Literal["auto", "json", "text"]) -> None:
    """Send all logging of the process to standard error, one event per line."""
    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _extras,
        _mask_secrets,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        last.append(structlog.processors.format_exc_info)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[*last, renderer]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    for noisy in ("uvicorn.error", "httpx", "httpcore", "tortoise", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True


def bind_request(request_id: str) -> None:
    """Put `request_id` on every line logged from here on in this task."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)


def _extras(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    record = event.get("_record")
    if record is not None:
        event |= {k: v for k, v in vars(record).items() if k not in _STANDARD and k not in event}
    return event


def _mask_secrets(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    text = event.get("event")
    if isinstance(text, str):
        event["event"] = _SECRETS.sub(r"\1***", text)
    return event
