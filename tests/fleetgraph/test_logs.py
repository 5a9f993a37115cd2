"""Logs are one event per line on standard error, with the request's id and without secrets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

SCRIPT = """
import logging, sys
from fleetgraph.logs import bind_request, set_up_logging
set_up_logging({level!r}, {style!r})
log = logging.getLogger("fleetgraph.test")
bind_request("r-1")
{body}
"""


def lines(body: str, level: str = "info", style: str = "auto") -> list[str]:
    """Return what a process that logs writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(level=level, style=style, body=body)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def events(body: str, level: str = "info") -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(body, level)]


def test_a_line_is_json_when_nobody_watches() -> None:
    (event,) = events('log.info("took %d readings", 5, extra={"agent": 7})')
    assert event["event"] == "took 5 readings"
    assert (event["level"], event["logger"]) == ("info", "fleetgraph.test")
    assert (event["request_id"], event["agent"]) == ("r-1", 7)
    assert event["timestamp"].endswith("Z")


def test_a_failure_brings_its_traceback_on_the_same_line() -> None:
    (event,) = events('try: 1/0\nexcept Exception: log.exception("failed")')
    assert "ZeroDivisionError" in event["exception"]


def test_text_is_for_people() -> None:
    (line,) = lines('log.info("hello")', style="text")
    assert "hello" in line
    assert not line.startswith("{")


def test_what_is_below_the_level_is_not_written() -> None:
    assert events('log.info("quiet"); log.warning("loud")', "warning")[0]["event"] == "loud"
    assert len(events('log.debug("all")', "debug")) == 1


def test_secrets_are_masked() -> None:
    body = "\n".join(
        f"log.info({text!r})"
        for text in (
            "connecting to postgresql://u:hunter2@db/x",
            "Authorization: Bearer hunter2",
            "password=hunter2",
            'api_key: "hunter2"',
        )
    )
    written = lines(body)
    assert len(written) == 4
    assert "hunter2" not in "\n".join(written)
    assert "postgresql://u:***@db/x" in written[0]


def test_a_new_request_does_not_keep_what_the_last_one_said() -> None:
    body = 'import structlog\nstructlog.contextvars.bind_contextvars(user="x")\nlog.info("a")'
    first, second = events(body + '\nbind_request("r-2")\nlog.info("b")')
    assert (first["request_id"], first["user"], second["request_id"]) == ("r-1", "x", "r-2")
    assert "user" not in second


def test_this_process_logs_as_pytest_wants() -> None:
    assert not any(type(h).__name__ == "StreamHandler" for h in logging.getLogger().handlers)
