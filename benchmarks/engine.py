"""A first sync against a bare client that sends the same batches and only parses the answers.

Both keep one batch in flight for each of the twenty mailboxes, over connections of the same kind, to the same server, which uses
a sixth of a second in all. The engine's time is that of a whole run in its own process, from its request to its closing: it
includes reading and mapping the directory, planning, encryption and what it takes to talk to storage. Storage itself is another
process on the same cores, which no bare client waits for and which is nothing of ours: so there is a run with storage in memory,
too. What the two differ by is the price of storage.

From a server that answers at once nobody ever waits for Graph: the wall time of either client is then its processor time, plus
what the engine waits for storage. Only where answers take time, as Graph's do, the wall time tells whether the engine keeps the
batches in flight while it thinks and stores.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.isolated import ROOT, Watch, isolated
from benchmarks.people import person_id
from benchmarks.progress import Step

PEOPLE = 1000
MAILBOXES = 20
RUNS = 3
LATENCY = 0.1
"""Seconds that a batch of twenty takes in the runs that do not answer at once: 20 ms for each item, four at a time."""
MOST_CPU = 2.0
MOST_WALL = 1.25


@contextmanager
def canned(people: int, mailboxes: int, *, record: Path | None = None, latency: float = 0.0) -> Iterator[str]:
    """The canned Graph in a process of its own; gives its address."""
    from local.processes import Child

    options = ["--people", str(people), "--mailboxes", str(mailboxes), "--latency", str(latency)]
    if record is not None:
        options += ["--record", str(record)]
    with Child([sys.executable, "-m", "benchmarks.canned", *options], cwd=ROOT) as child:
        yield child.expect(r"listening at (\S+)", timeout=60)[1]


def measure(step: Step) -> dict[str, Any]:
    """Run engine and bare clients in turn; the ratios are those of neighbouring runs."""
    turns: list[tuple[dict[str, Any], ...]] = []
    with tempfile.TemporaryDirectory(prefix="rollcall-") as folder:
        batches = Path(folder, "batches")
        step.say("recording the batches")
        _engine(record=batches)
        for turn in range(RUNS):
            step.say(f"run {turn + 1} of {RUNS}")
            at_once = (_engine(), _bare(batches, own=False), _bare(batches, own=True), _engine(in_memory=True))
            turns.append((*at_once, _engine(latency=LATENCY), _bare(batches, own=True, latency=LATENCY)))
    assert len({measured["serverBatches"] for turn in turns for measured in turn}) == 1, turns

    def median(name: str, side: int) -> float:
        return round(float(statistics.median(turn[side][name] for turn in turns)), 2)

    def ratio(name: str, side: int, engine: int = 0) -> float:
        return round(float(statistics.median(turn[engine][name] / turn[side][name] for turn in turns)), 2)

    return {
        "people": PEOPLE,
        "mailboxes": MAILBOXES,
        "batches": turns[0][0]["serverBatches"],
        "runs": RUNS,
        "engine": {"cpuSeconds": median("cpuSeconds", 0), "seconds": median("seconds", 0), "peakMB": median("peakMB", 0)},
        "bareOnPlainHttpx": {
            "cpuSeconds": median("cpuSeconds", 1),
            "seconds": median("seconds", 1),
            "cpuRatio": {"value": ratio("cpuSeconds", 1), "atMost": MOST_CPU},
            "wallRatio": {"value": ratio("seconds", 1), "atMost": MOST_WALL},
        },
        # against a slower HTTP client the ratio speaks of that client: this one has the engine's own
        "bare": {
            "cpuSeconds": median("cpuSeconds", 2),
            "seconds": median("seconds", 2),
            "cpuRatio": {"value": ratio("cpuSeconds", 2), "atMost": MOST_CPU},
            # from a server that answers at once nobody waits for anything: this is processor time once more
            "wallRatio": ratio("seconds", 2),
        },
        "inMemory": {
            "cpuSeconds": median("cpuSeconds", 3),
            "seconds": median("seconds", 3),
            "cpuRatio": ratio("cpuSeconds", 2, engine=3),
            "wallRatio": ratio("seconds", 2, engine=3),
        },
        "withLatency": {
            "latencyMs": round(LATENCY * 1000),
            "engineSeconds": median("seconds", 4),
            "bareSeconds": median("seconds", 5),
            "wallRatio": {"value": ratio("seconds", 5, engine=4), "atMost": MOST_WALL},
        },
        "server": {"cpuSeconds": median("serverCpuSeconds", 0)},
    }


def _bare(batches: Path, *, own: bool, latency: float = 0.0) -> dict[str, Any]:
    with canned(PEOPLE, MAILBOXES, latency=latency) as url:
        return isolated("benchmarks.engine:bare_client", url=url, batches=str(batches), own=own)


def _engine(*, record: Path | None = None, latency: float = 0.0, in_memory: bool = False) -> dict[str, Any]:
    from local.azurite import Azurite

    if in_memory:
        with canned(PEOPLE, MAILBOXES) as url:
            return isolated("benchmarks.engine:first_sync", url=url, storage="")
    with Azurite() as storage, canned(PEOPLE, MAILBOXES, record=record, latency=latency) as url:
        return isolated("benchmarks.engine:first_sync", url=url, storage=storage.connection_string)


async def first_sync(url: str, storage: str) -> dict[str, Any]:
    """The engine's part: a run from its request to its closing, in a worker that has served another tenant before.

    Without an address of a `storage` it is in memory.
    """
    from benchmarks.installation import OTHER_TENANT, Installation
    from cloud.tables import AzureTables
    from local.memory import MemoryTables

    house: Installation[Any] = Installation(AzureTables(connection_string=storage) if storage else MemoryTables(), url=url)
    await house.connect(OTHER_TENANT, targets={"include": [person_id(0)]})
    await house.night(OTHER_TENANT)
    await house.connect()
    before = await _ask(f"{url}/record")
    watch = Watch.start()
    run = await house.night()
    taken: dict[str, Any] = dict(watch.read())
    served = await _ask(f"{url}/statistics")
    assert (run.state, run.counts.created) == ("succeeded", PEOPLE * MAILBOXES), run
    await house.close()
    return {**taken, **{f"server{name[0].upper()}{name[1:]}": served[name] - before[name] for name in before}}


async def bare_client(url: str, batches: str, own: bool) -> dict[str, Any]:
    """The same batches, one at a time per mailbox, without any thought; over httpx as it comes, or over our `own` connections."""
    import httpx
    import orjson

    from cloud.graph.transport import AiohttpTransport

    lanes: dict[bytes, list[bytes]] = defaultdict(list)
    for body in _recorded(Path(batches).read_bytes()):  # noqa: ASYNC240 - before anything is measured
        mailboxes = set(re.findall(rb'"url":"/users/([^/]+)/', body))
        lanes[mailboxes.pop() if len(mailboxes) == 1 else b""].append(body)
    shared = lanes.pop(b"", [])
    headers = {"Authorization": "Bearer " + "t" * 1200, "Content-Type": "application/json"}

    async with httpx.AsyncClient(headers=headers, timeout=100, transport=AiohttpTransport() if own else None) as client:

        async def lane(bodies: list[bytes]) -> int:
            answered = 0
            for body in bodies:
                response = await client.post(f"{url}/v1.0/$batch", content=body)
                answered += len(orjson.loads(response.content)["responses"])
            return answered

        await client.get(f"{url}/statistics")
        watch = Watch.start()
        answered = await lane(shared) + sum(await asyncio.gather(*(lane(bodies) for bodies in lanes.values())))
        taken: dict[str, Any] = dict(watch.read())
        served = (await client.get(f"{url}/statistics")).json()
    assert answered == served["requests"]
    return {**taken, "serverBatches": served["batches"]}


def _recorded(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : end]
        at = end


async def _ask(url: str) -> dict[str, Any]:
    import httpx

    async with httpx.AsyncClient() as client:
        answer: dict[str, Any] = (await client.get(url)).json()
    return answer
