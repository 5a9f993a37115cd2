"""The menu of benchmarks: `python -m benchmarks [NAME …]`, all by default."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

import structlog

from benchmarks import ingest, latency

BENCHMARKS = {"ingest": ingest, "latency": latency}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the named benchmarks, one after the other."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}")
    parser.add_argument("--scale", type=float, default=1.0, help="of the messages sent")
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no {unknown[0]}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    for name in arguments.names or BENCHMARKS:
        module = BENCHMARKS[name]
        print(f"\n== {name}: {(module.__doc__ or '').splitlines()[0]}")
        asyncio.run(module.main(arguments.scale))
