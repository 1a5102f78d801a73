"""What it takes to load the app: an instance that scales out does it before its first message."""

from __future__ import annotations

import statistics
import sys
from typing import Any

from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step

RUNS = 5
MOST_SECONDS = 1.0
MOST_MB = 120
HEAVY = (
    "msgraph",
    "msgraph_core",
    "azure.data.tables",
    "azure.identity",
    "azure.keyvault",
    "azure.storage.queue",
    "aiohttp",
    "httpx",
    "cryptography",
    "phonenumbers",
    "stripe",
)
"""What only its first use may load."""


def measure(step: Step) -> dict[str, Any]:
    """Import the app in fresh processes."""
    runs = []
    for turn in range(RUNS):
        step.say(f"run {turn + 1} of {RUNS}")
        runs.append(isolated("benchmarks.startup:import_app"))
    early = sorted({name for run in runs for name in run["early"]})
    return {
        "runs": RUNS,
        "seconds": {"value": round(statistics.median(run["seconds"] for run in runs), 2), "atMost": MOST_SECONDS},
        "peakMB": {"value": round(statistics.median(run["peakMB"] for run in runs)), "atMost": MOST_MB},
        "modules": runs[0]["modules"],
        "functions": runs[0]["functions"],
        "heavyModules": {"value": len(early), "atMost": 0},
    }


def import_app() -> dict[str, Any]:
    """The import alone, and what of the heavy packages came with it."""
    watch = Watch.start()
    import function_app

    taken: dict[str, Any] = dict(watch.read())
    early = [name for name in HEAVY if name in sys.modules]
    functions = len(function_app.app.get_functions())
    return {**taken, "modules": len(sys.modules), "functions": functions, "early": early}
