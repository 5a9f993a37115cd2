"""The menu of benchmarks: `python -m benchmarks [NAME …]`, all but `profiled` by default."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import structlog
import uvloop

from benchmarks import (
    access,
    broker_accounts,
    ingest,
    latency,
    log_batches,
    logins,
    polls,
    profiled,
    push,
    queries,
    series,
    slow,
)

BENCHMARKS = {
    "ingest": ingest,
    "latency": latency,
    "queries": queries,
    "series": series,
    "push": push,
    "slow": slow,
    "logins": logins,
    "access": access,
    "log-batches": log_batches,
    "polls": polls,
    "broker_accounts": broker_accounts,
    "profiled": profiled,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the named benchmarks, one after the other."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the work done")
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no {unknown[0]}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    for name in arguments.names or [name for name in BENCHMARKS if name != "profiled"]:
        module = BENCHMARKS[name]
        print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}")
        uvloop.run(module.main(arguments.scale))
