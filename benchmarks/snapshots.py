"""Planning a night of a large tenant: what is read, looked at and stored when nobody, few or all of the people have changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from benchmarks.isolated import Watch, isolated
from benchmarks.lists import FIELDS, SELECTION
from benchmarks.people import directory
from benchmarks.progress import Step
from cloud.tables import AzureTables
from sync_core.model import SourcePage, Spent

PEOPLE = 50_000
FROM_FILE = 10_000
CHANGED = 50

SHAPES: dict[str, dict[str, Any]] = {
    "directory": {"targets": {"include": []}},
    "merged": {
        "sources": [{"kind": "directory"}, {"kind": "file", "id": "partners"}],
        "selection": SELECTION,
        "fields": FIELDS,
        "targets": {"include": []},
    },
}
_PAGE = 999
LIMITS: dict[str, dict[str, float]] = {
    "nothing": {"cpuSeconds": 0.2, "storage": 40, "peakMB": 150},
    "few": {"cpuSeconds": 2.0, "storage": 250, "peakMB": 250},
    "anew": {"storage": 100, "peakMB": 500},
}


def measure(step: Step) -> dict[str, Any]:
    """Nights in processes of their own, on Azurite; Microsoft 365 answers within the process and sends what it is told to."""
    from local.azurite import Azurite

    results: dict[str, Any] = {"people": PEOPLE, "fromFile": FROM_FILE, "changed": CHANGED}
    for shape in SHAPES:
        results[shape] = {}
        with Azurite() as storage:
            step.say(f"{PEOPLE:,} people ({shape}): preparing")
            isolated("benchmarks.snapshots:first_night", storage=storage.connection_string, shape=shape)
            for name, limits in LIMITS.items():
                step.say(f"{PEOPLE:,} people ({shape}): {name}")
                night = isolated(
                    "benchmarks.snapshots:night",
                    storage=storage.connection_string,
                    shape=shape,
                    changed=CHANGED if name == "few" else 0,
                    anew=name == "anew",
                )
                results[shape]["listed"] = night.pop("listed")
                results[shape][name] = {
                    key: {"value": value, "atMost": limits[key]} if key in limits else value for key, value in night.items()
                }
    return results


@dataclass(slots=True)
class _Directory:
    """Tells everybody, and from then on of those who have changed."""

    changed: list[dict[str, Any]]
    spent: Spent = field(default_factory=Spent)

    async def users(self, link: str | None) -> AsyncIterator[SourcePage]:
        users = self.changed if link is not None else list(directory(PEOPLE, 0))
        for start in range(0, len(users), _PAGE):
            yield SourcePage(users[start : start + _PAGE], [], None)
        yield SourcePage([], [], "link")


@dataclass(slots=True)
class _Graph:
    changed: list[dict[str, Any]] = field(default_factory=list)

    def directory(self, _tenant: str) -> _Directory:
        return _Directory(self.changed)


async def first_night(storage: str, shape: str) -> dict[str, Any]:
    """Connect a tenant, upload a file, and make the first snapshot."""
    from benchmarks.installation import TENANT, Installation
    from sync_core.engine import uploads

    house = Installation(AzureTables(connection_string=storage))
    house.context = replace(house.context, graph=_Graph())  # type: ignore[arg-type] # all that is asked of it
    await house.make_tables()
    await house.connect(**SHAPES[shape])
    numbers = range(PEOPLE - FROM_FILE // 2, PEOPLE + FROM_FILE // 2)
    people = "".join(f"Partner {number},person{number}@example.com,Sales\n" for number in numbers)
    await uploads.upload_file(house.context, TENANT, "partners", f"Name,E-mail,Department\n{people}".encode(), "text/csv")
    run = await house.night()
    assert run.state == "succeeded", run
    await house.close()
    return {}


async def night(storage: str, shape: str, changed: int, anew: bool) -> dict[str, Any]:
    """The second of two nights, on which so many people have changed or, `anew`, a rule; the first one loads what is needed."""
    from benchmarks.installation import Installation

    tables, graph = AzureTables(connection_string=storage), _Graph()
    house = Installation(tables)
    house.context = replace(house.context, graph=graph)  # type: ignore[arg-type] # all that is asked of it
    quiet = await house.night()
    assert quiet.state == "succeeded", quiet
    everybody = directory(PEOPLE, 0)
    graph.changed = [{**user, "jobTitle": "Changed"} for user in islice(everybody, 0, None, PEOPLE // CHANGED)][:changed]
    if anew:
        await house.define(**{**SHAPES[shape], "fields": {"names": "given_surname"}})
    before = Counter(tables.transactions)
    watch = Watch.start()
    run = await house.night()
    taken = watch.read()
    assert run.state == "succeeded", run
    stored = Counter(tables.transactions) - before
    await house.close()
    return {
        "seconds": round(taken["seconds"], 2),
        "cpuSeconds": round(taken["cpuSeconds"], 2),
        "storage": stored.total(),
        "peakMB": round(taken["peakMB"]),
        "listed": run.people,
    }
