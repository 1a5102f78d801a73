"""People's photos: what reading them takes for the first time, and in a night in which none has changed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sync_core.model import PhotoAt, Portrait
    from sync_core.sources.base import Reading
    from sync_core.sources.photos import Album

PEOPLE = 50_000
READ = 2_000
SIDE = 240


def measure(step: Step) -> dict[str, Any]:
    """Each in a process of its own: Graph answers from memory, and storage is in memory too."""
    step.say(f"the photos of {READ:,} people for the first time")
    first = isolated("benchmarks.photos:first_reading")
    step.say(f"a night in which no photo of {PEOPLE:,} people has changed")
    quiet = isolated("benchmarks.photos:quiet_night")
    return {
        "first": {
            "people": READ,
            "requestsPerPerson": {"value": first["requests"] / READ, "atMost": 2.0},
            "cpuMsPerPerson": round(first["cpuSeconds"] * 1000 / READ, 2),
            "bytesPerPerson": round(first["bytes"] / READ),
            "peakMB": round(first["peakMB"]),
        },
        "quiet": {
            "people": PEOPLE,
            "requests": {"value": quiet["requests"], "atMost": PEOPLE // 7 + 500},
            "contents": {"value": quiet["contents"], "atMost": 0},
            "cpuSeconds": {"value": round(quiet["cpuSeconds"], 2), "atMost": 10.0},
            "peakMB": {"value": round(quiet["peakMB"]), "atMost": 300},
        },
    }


class _Photos:
    """Everybody has the same picture. Counts what is asked."""

    def __init__(self) -> None:
        from local.m365.photos import drawn
        from sync_core.model import Spent

        self.spent = Spent()
        self.contents_asked = 0
        self._picture = drawn(7, SIDE)

    async def versions(self, places: Sequence[PhotoAt]) -> list[str]:
        self.spent.requests += len(places)
        return ["version"] * len(places)

    async def contents(self, places: Sequence[PhotoAt], _side: int) -> list[bytes]:
        self.spent.requests += len(places)
        self.contents_asked += len(places)
        return [self._picture] * len(places)


class _Graph:
    def __init__(self) -> None:
        self.asked = _Photos()

    def photos(self, _tenant: str) -> _Photos:
        return self.asked


def _portraits(count: int) -> list[Portrait]:
    from uuid import NAMESPACE_OID, uuid5

    from sync_core.photos import user_portrait

    found = [user_portrait(f"u:{uuid5(NAMESPACE_OID, str(number))}") for number in range(count)]
    return [portrait for portrait in found if portrait is not None]


async def _reading(graph: _Graph) -> Reading:
    from typing import cast

    from benchmarks.installation import TENANT, Installation
    from local.clock import VirtualClock
    from local.memory import MemoryTables
    from sync_core.model import Spent
    from sync_core.ports import MicrosoftGraph
    from sync_core.sources.base import Reading

    house = Installation(MemoryTables())
    await house.connect()
    keys = await house.context.keyring.keys(TENANT)
    await house.close()
    return Reading(house.tables, keys, cast("MicrosoftGraph", graph), VirtualClock(), TENANT, False, Spent())


async def _read(reading: Reading, portraits: list[Portrait] | None) -> Album:
    from sync_core.sources.photos import PhotoReader

    return await PhotoReader(reading, SIDE, reading.clock.now() + timedelta(hours=1)).bring_up_to_date(portraits)


async def first_reading() -> dict[str, Any]:
    """All photos are fetched, made and stored."""
    from sync_core.state.names import SOURCES

    reading = await _reading(graph := _Graph())
    portraits = _portraits(READ)
    watch = Watch.start()
    album = await _read(reading, portraits)
    taken: dict[str, Any] = dict(watch.read())
    assert album.counts["photos"] == READ, album.counts
    stored = 0
    async for entity in reading.tables.scan(SOURCES):
        stored += sum(len(value) for value in entity.values.values() if isinstance(value, bytes))
    return {**taken, "requests": graph.asked.spent.requests, "bytes": stored}


async def quiet_night() -> dict[str, Any]:
    """Everything is known; a seventh of the people are looked at."""
    from sync_core.photos import Known
    from sync_core.state.photos import PhotoStore, page_of

    reading = await _reading(graph := _Graph())
    store = PhotoStore(reading.tables, reading.keys, reading.tenant, SIDE)
    pages = await store.pages()
    now = reading.clock.now()
    before = now - timedelta(days=1)
    for portrait in _portraits(PEOPLE):
        pages[page_of(portrait.key)].known[portrait.key] = Known("version", f"{'n' * 16}-{SIDE}", before, before, before)
    for page in pages:
        await store.write_page(page)
    watch = Watch.start()
    album = await _read(reading, None)
    assert album.counts["photos"] == PEOPLE, album.counts
    return {**watch.read(), "requests": graph.asked.spent.requests, "contents": graph.asked.contents_asked}
