"""Reading over HTTP: the local host with the real app and real storage, and many clients at once."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.progress import Step
from tests.system.machine import Machine, person, tenant_file

CLIENTS = 50
EACH = 5  # requests; all together no more than a tenant may send at once
MAILBOXES = 10
MOST_SECONDS = 3.0
SYNC = "people"


def measure(step: Step) -> dict[str, Any]:
    """Every client reads syncs, runs and results, one after the other, all clients side by side."""
    users = [person(number, mailbox="ok" if number < MAILBOXES else "none") for number in range(4 * MAILBOXES)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        step.say("starting")
        host = Machine(stack, Path(folder), tenant_file(users)).host()
        host.define(SYNC, "Colleagues")
        run = host.start(SYNC)
        host.until_ended(run)
        time.sleep(3)  # the bucket of the tenant fills again
        paths = ["syncs", f"syncs/{SYNC}", "runs", f"runs/{run}", f"runs/{run}/mailboxes"]
        step.say(f"{CLIENTS} clients")
        taken, seconds = asyncio.run(_clients(host.url, host.token, paths))
    cuts = statistics.quantiles(taken, n=100)
    return {
        "clients": CLIENTS,
        "requests": len(taken),
        "requestsPerSecond": round(len(taken) / seconds),
        "seconds": {
            "median": round(cuts[49], 3),
            "95th": {"value": round(cuts[94], 3), "atMost": MOST_SECONDS},
            "longest": round(max(taken), 3),
        },
    }


async def _clients(url: str, token: str, paths: list[str]) -> tuple[list[float], float]:
    """Seconds of each request, and of all."""
    taken: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def read(path: str) -> None:
            began = time.perf_counter()
            async with session.get(f"{url}/api/{path}") as answer:
                await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{path} was answered {answer.status}")
            taken.append(time.perf_counter() - began)

        async def client(number: int) -> None:
            for at in range(EACH):
                await read(paths[(number + at) % len(paths)])

        await asyncio.gather(*(read(path) for path in paths))  # connections and keys are there
        taken.clear()
        began = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(CLIENTS)))
        return taken, time.perf_counter() - began
