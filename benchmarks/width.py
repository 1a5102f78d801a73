"""How much of the width that Graph allows is in use when Graph takes its time."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.isolated import ROOT, Watch, isolated
from benchmarks.progress import Step

PEOPLE = 1000
MAILBOXES = 20
LATENCY = 0.25
LEAST = 0.9
"""Of four requests at a time per mailbox: https://learn.microsoft.com/graph/throttling-limits#outlook-service-limits."""


def measure(step: Step) -> dict[str, Any]:
    """A first sync against the stand-in in a process of its own; the stand-in knows how many requests were in flight."""
    from benchmarks.people import directory
    from local.azurite import Azurite
    from local.processes import Child

    step.say(f"{PEOPLE} people into {MAILBOXES} mailboxes at {LATENCY * 1000:.0f} ms per request")
    with tempfile.TemporaryDirectory(prefix="rollcall-") as folder:
        tenant = Path(folder, "tenant.json")
        tenant.write_text(json.dumps(_tenant(list(directory(PEOPLE, MAILBOXES)))))
        command = [sys.executable, "-m", "local.m365", "--tenant", str(tenant), "--latency", str(LATENCY)]
        with Azurite() as storage, Child(command, cwd=ROOT) as server:
            url = server.expect(r"stand-in at (\S+)/v1.0", timeout=60)[1]
            measured = isolated("benchmarks.width:first_sync", url=url, storage=storage.connection_string)
    used: list[float] = measured["used"]
    return {
        "people": PEOPLE,
        "mailboxes": MAILBOXES,
        "latencyMs": int(LATENCY * 1000),
        "seconds": round(measured["seconds"], 1),
        "secondsAtFullWidth": PEOPLE * LATENCY / 4,
        "highestInFlight": {"value": measured["highest"], "atMost": 4},
        "used": {"value": round(statistics.mean(used), 3), "atLeast": LEAST},
        "usedByTheLeast": round(min(used), 3),
    }


async def first_sync(url: str, storage: str) -> dict[str, Any]:
    """The engine's part, and what the stand-in saw of it."""
    import httpx

    from benchmarks.installation import Installation
    from cloud.tables import AzureTables

    tables = AzureTables(connection_string=storage)
    house = Installation(tables, url=url)
    await house.make_tables()
    await house.connect()
    watch = Watch.start()
    run = await house.night()
    taken = watch.read()
    assert (run.state, run.counts.created) == ("succeeded", PEOPLE * MAILBOXES), run
    async with httpx.AsyncClient() as client:
        widths = (await client.get(f"{url}/control/counters")).json()["widths"].values()
    await house.close()
    assert len(widths) == MAILBOXES
    return {**taken, "used": [width["used"] for width in widths], "highest": max(width["highest"] for width in widths)}


def _tenant(users: list[dict[str, Any]]) -> dict[str, Any]:
    from benchmarks.installation import CLIENT, SECRET, TENANT

    for user in users:
        user["mailbox"] = "ok" if user["assignedPlans"] else "none"
    app = {"clientId": CLIENT, "clientSecret": SECRET.decode()}
    return {"id": TENANT, "displayName": "Example", "app": app, "users": users}
