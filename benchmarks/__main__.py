"""`python -m benchmarks`: run all programs, show them, keep the results. With names: run those and show them only.

With names and --keep their results take the place of those kept before.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from benchmarks import (
    api,
    budgets,
    calendars,
    engine,
    erasure,
    estimates,
    lists,
    mapping,
    photos,
    report,
    results,
    scale,
    snapshots,
    startup,
    width,
)
from benchmarks.progress import Step

PROGRAMS: dict[str, Callable[[Step], dict[str, Any]]] = {
    "startup": startup.measure,
    "mapping": mapping.measure,
    "lists": lists.measure,
    "photos": photos.measure,
    "snapshots": snapshots.measure,
    "engine": engine.measure,
    "width": width.measure,
    "budgets": budgets.measure,
    "calendars": calendars.measure,
    "scale": scale.measure,
    "api": api.measure,
    "erasure": erasure.measure,
}


def main() -> int:
    """Run. Returns 1 when a limit does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what the product costs.")
    parser.add_argument(
        "names", nargs="*", metavar="program", help=f"one or more of: {', '.join(PROGRAMS)} (default: all, and keep)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the results of the named programs")
    options = parser.parse_args()
    names = options.names
    if unknown := set(names) - set(PROGRAMS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    console = Console()
    kept = results.read() if names and options.keep else {"busyCores": {}}
    measured: dict[str, dict[str, Any]] = {}
    for name in names or PROGRAMS:
        started = time.monotonic()
        others = results.Others.start()
        with console.status(name) as status:
            measured[name] = PROGRAMS[name](Step(name, status))
        kept["busyCores"][name] = others.read()
        console.print(results.table(f"{name} ({time.monotonic() - started:.0f} s)", measured[name]), "")
    if options.keep or not names:
        kept |= {"machine": results.machine(), **measured}
        kept["estimates"] = estimates.hours(kept["budgets"])
        results.write(kept)
        results.PAGE.parent.mkdir(exist_ok=True)
        results.PAGE.write_text(report.page(kept))
    broken = [path for path, _, _, holds in results.leaves(measured) if holds is False]
    for path in broken:
        console.print(f"[bold red]over its limit:[/] {path}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
