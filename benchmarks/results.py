"""Results: where they are kept, what is to be held, how they are shown."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.isolated import ROOT

FILE = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "requests.md"


def machine() -> dict[str, Any]:
    """What the numbers were taken on."""
    import psutil

    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": _processor(),
        "cores": psutil.cpu_count(),
        "memoryGB": round(psutil.virtual_memory().total / 1e9),
        "system": platform.system(),
        "python": ".".join(map(str, sys.version_info[:3])),
    }


@dataclass(slots=True)
class Others:
    """Tells how much other work the machine does, from its making on."""

    wall: float
    processor: float

    @classmethod
    def start(cls) -> Others:
        """Begin now."""
        return cls(time.monotonic(), _processor_of_others())

    def read(self) -> float:
        """How many cores were busy with anything but this process and its children, on average."""
        return max(0.0, round((_processor_of_others() - self.processor) / (time.monotonic() - self.wall), 1))


def _processor_of_others() -> float:
    import psutil

    everything, ours = psutil.cpu_times(), psutil.Process().cpu_times()
    return float(everything.user + everything.system - sum(ours[:4]))


def write(results: dict[str, Any]) -> None:
    """Keep results."""
    FILE.write_text(json.dumps(results, indent=2) + "\n")


def read() -> dict[str, Any]:
    """The results last kept."""
    results: dict[str, Any] = json.loads(FILE.read_text())
    return results


def table(name: str, measured: dict[str, Any]) -> Table:
    """A program's numbers, those with a limit beside it."""
    shown = Table(title=name, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    shown.add_column("measured")
    shown.add_column("value", justify="right")
    shown.add_column("limit", justify="right")
    shown.add_column("")
    for path, value, limit, holds in leaves(measured):
        mark = "" if holds is None else "[green]holds[/]" if holds else "[bold red]BROKEN[/]"
        shown.add_row(path, f"{value:,}" if isinstance(value, int | float) else str(value), limit, mark)
    return shown


def leaves(measured: Any, path: str = "") -> Iterator[tuple[str, Any, str, bool | None]]:
    """Every number: where it stands, the number, its limit in words, and whether it holds (None without a limit)."""
    if isinstance(measured, list):
        for index, value in enumerate(measured):
            yield from leaves(value, f"{path}[{index}]")
    elif not isinstance(measured, dict):
        yield path, measured, "", None
    elif "value" in measured:
        value = measured["value"]
        if "atMost" in measured:
            yield path, value, f"<= {measured['atMost']:,}", value <= measured["atMost"]
        else:
            yield path, value, f">= {measured['atLeast']:,}", value >= measured["atLeast"]
    else:
        for name, value in measured.items():
            yield from leaves(value, f"{path}.{name}" if path else name)


def _processor() -> str:
    proc = Path("/proc/cpuinfo")
    if proc.exists():
        lines = proc.read_text().splitlines()
        found = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
        if found:
            return found
    return platform.processor() or platform.machine()
