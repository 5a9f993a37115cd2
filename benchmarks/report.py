"""One JSON file per run, with the machine and the commit, so that figures can be compared."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from core.clock import SystemClock

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in _lines("/proc/cpuinfo")
            if "model name" in line
        ),
        platform.processor(),
    )
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_before": os.getloadavg(),
        "commit": commit.stdout.strip(),
    }


def write(name: str, figures: dict[str, Any]) -> Path:
    """Keep the figures of one benchmark; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    moment = SystemClock().now().strftime("%Y%m%dT%H%M%S")
    path = RESULTS / f"{name}-{moment}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=2, default=str) + "\n")
    return path


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as an aligned table; the first row's keys are the heads."""
    heads = list(rows[0])
    cells = [heads, *[[str(row.get(head, "")) for head in heads] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used so far, its ended children left out."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
