"""Runs one measured function in a process of its own: `isolated("benchmarks.mapping:measure", people=50_000)`."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def isolated(function: str, **arguments: Any) -> dict[str, Any]:
    """The function's answer, a JSON object. Raises CalledProcessError when it fails; what it printed stands on stderr."""
    command = [sys.executable, "-m", "benchmarks.isolated", function, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def peak_memory() -> float:
    """The most memory this process has ever had resident, in MB (10**6 bytes)."""
    proc = Path("/proc/self/status")
    if proc.exists():
        # not ru_maxrss: that one begins with what the parent had when it forked
        status = proc.read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6
    import psutil

    info = psutil.Process().memory_info()
    return float(getattr(info, "peak_wset", info.rss)) / 1e6


@dataclass(slots=True)
class Watch:
    """Measures wall and processor time of this process from its making on."""

    wall: float
    processor: float

    @classmethod
    def start(cls) -> Watch:
        """Begin now."""
        return cls(time.perf_counter(), time.process_time())

    def read(self) -> dict[str, float]:
        """Seconds so far, and the peak of memory."""
        return {
            "seconds": round(time.perf_counter() - self.wall, 3),
            "cpuSeconds": round(time.process_time() - self.processor, 3),
            "peakMB": round(peak_memory(), 1),
        }


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    function = getattr(importlib.import_module(module), name)
    answer = function(**json.loads(sys.argv[2]))
    if inspect.iscoroutine(answer):
        answer = asyncio.run(answer)
    print(json.dumps(answer))


if __name__ == "__main__":
    _main()
