"""People named in events: shown to them, taken out of all mirrors when they are erased, and not brought back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest

from gdpr.privacy_queue import start_request
from gdpr.requests import Request, RequestKind, RequestState, confirm, identifiers_of, make_request
from gdpr.retention import purge_caches
from gdpr.subject import find_people
from sync_core.engine import admin
from sync_core.model import RunState
from sync_core.named import owned_by
from sync_core.ports import TenantKeys
from sync_core.state.replicas import load_replica, save_replicas
from sync_core.state.suppressions import lift
from sync_core.suppression import by_mail
from tests.engine.rooms import SYNC, Rooms, daily
from tests.engine.world import TENANT
from tests.gdpr.privacy import DEATHS_EVERY, OFFICER, asked, done, dying, operations
from tests.gdpr.test_export import fetched

VERA = "vera.gast@partner.example"


def guests(*people: str) -> list[dict[str, Any]]:
    return [
        {"emailAddress": {"name": name, "address": f"{name.lower().replace(' ', '.')}@partner.example"}, "type": "required"}
        for name in people
    ]


class Named(Rooms):
    """A room whose events name a guest, and two readers of its mirror."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.readers = [self.hire("Reader One"), self.hire("Reader Two")]

    async def begin(self, **values: Any) -> None:
        both = guests("Vera Gast", "Otto Rest")
        self.book("Both", "2026-11-05T10:00:00", attendees=both, body={"contentType": "text", "content": "Organiser: Vera Gast"})
        self.book("Series", "2026-11-09T09:00:00", attendees=guests("Vera Gast"), recurrence=daily("2026-11-09"))
        self.book("Other", "2026-11-06T10:00:00", attendees=guests("Otto Rest"))
        await self.mirror(**{"events": {"attendees": True, "days_ahead": 10}, **values})
        assert (await self.run(sync=SYNC)).state is RunState.SUCCEEDED

    async def keys(self) -> TenantKeys:
        """The tenant's keys."""
        return await self.context.keyring.keys(TENANT)

    def naming(self, text: str) -> list[str]:
        """The subjects of mirrored events in which a text stands below what the event says itself, deleted or not."""
        return [
            str(event.values["subject"])
            for reader in self.readers
            for event in self.kept(reader).events()
            if text in str(event.values["body"]["content"]).partition("Attendees:")[2]
        ]


async def erased(world: Named, kind: RequestKind = RequestKind.ERASURE) -> Any:
    request = await done(world, await asked(world, kind, VERA))
    assert request.state is RequestState.DONE
    return request


async def test_an_erasure_takes_a_name_out_of_sources_snapshots_and_mirrors() -> None:
    world = Named()
    await world.begin()
    assert len(world.naming("Vera Gast")) == 2 * (1 + 3)
    [(key, match)] = (await find_people(world.context, TENANT, [by_mail(VERA)])).items()
    assert (key[:2], match.person["displayName"], len(match.places)) == ("n:", "Vera Gast", 1)
    before = world.cloud.counters.templates.total()
    request = await erased(world)
    assert world.naming("Vera Gast") == []
    assert len(world.naming("Otto Rest")) == 2 * 2
    assert (request.counts["events"] >= 4, request.counts["eventsRewritten"]) == (True, 8)
    assert "eventsNotRewritten" not in request.counts
    assert world.cloud.counters.templates.total() - before == request.counts["requests"] == 8 * 3
    assert await find_people(world.context, TENANT, [by_mail(VERA)]) == {}
    [body] = {
        str(event.values["body"]["content"]).split("\r\n")[0]
        for event in world.mirrored(world.readers[0]).events.values()
        if event.values["subject"] == "Both"
    }
    assert body == "Organiser: Vera Gast", "what people write themselves is not searched"
    run = await world.run(sync=SYNC)
    assert (run.state, run.counts.updated, run.counts.created) == (RunState.SUCCEEDED, 0, 0), (
        "what stands there is as it should be"
    )


async def begun() -> tuple[Named, Request]:
    world = Named()
    await world.begin()
    return world, await asked(world, RequestKind.ERASURE, VERA)


async def test_it_survives_a_death_at_any_step() -> None:
    total = await operations(*await begun())
    assert total > 50
    for at in range(0, total, DEATHS_EVERY):
        world, request = await begun()
        request = await dying(world, request, at)
        assert request.state is RequestState.DONE, at
        assert world.naming("Vera Gast") == [], at
        assert len(world.naming("Otto Rest")) == 2 * 2, at
        assert await find_people(world.context, TENANT, [by_mail(VERA)]) == {}, at
        run = await world.run(sync=SYNC)
        assert (run.state, run.counts.created, run.counts.deleted) == (RunState.SUCCEEDED, 0, 0), at


async def test_nothing_brings_the_name_back_until_it_is_lifted() -> None:
    world = Named()
    await world.begin()
    request = await erased(world)
    world.book("New", "2026-11-07T10:00:00", attendees=guests("Vera Gast", "Otto Rest"))
    world.clock.advance(timedelta(days=2))
    await world.run(sync=SYNC)
    assert set(world.naming("Otto Rest")) == {"Both", "Other", "New"}
    assert world.naming("Vera Gast") == []
    assert await find_people(world.context, TENANT, [by_mail(VERA)]) == {}
    await lift(world.tables, TENANT, request.request)
    world.clock.advance(timedelta(days=2))
    await world.run(sync=SYNC)
    assert "New" in world.naming("Vera Gast")


@pytest.mark.parametrize("kind", [RequestKind.RESTRICTION, RequestKind.OBJECTION])
async def test_a_restriction_takes_the_name_out_of_mirrors_and_leaves_the_source(kind: RequestKind) -> None:
    world = Named()
    await world.begin()
    await erased(world, kind)
    assert world.naming("Vera Gast") == []
    assert len(await find_people(world.context, TENANT, [by_mail(VERA)])) == 1
    await world.run(sync=SYNC)
    assert world.naming("Vera Gast") == []


async def test_a_namesake_with_another_address_stays() -> None:
    world = Named()
    other = [{"emailAddress": {"name": "Vera Gast", "address": "other.vera@partner.example"}, "type": "required"}]
    world.book("Twins", "2026-11-08T10:00:00", attendees=[*guests("Vera Gast"), *other])
    await world.begin()
    await erased(world)
    assert set(world.naming("Vera Gast")) == {"Twins"}


@pytest.mark.parametrize("lost", ["ledgers", "everything", "purged after each run"])
async def test_without_caches_a_run_or_a_look_at_the_mirror_does_it(lost: str) -> None:
    world = Named()
    await world.begin(purge_after_sync=lost == "purged after each run")
    if lost == "ledgers":
        for reader in world.readers:
            replica = await load_replica(world.tables, TENANT, SYNC, reader)
            assert replica
            replica.dirty = True
            await save_replicas(world.tables, TENANT, SYNC, [replica])
    elif lost == "everything":
        await purge_caches(world.tables, TENANT)
    request = await erased(world)
    assert world.naming("Vera Gast") == []
    assert "calendarsNotMirroredAnew" not in request.counts
    assert request.counts.get("eventsRewritten", 0) == (8 if lost == "ledgers" else 0)


async def test_a_paused_mirror_is_rewritten_and_where_it_cannot_be_the_receipt_says_so() -> None:
    world = Named()
    await world.begin()
    await admin.pause_sync(world.context, TENANT, SYNC)
    await erased(world)
    assert world.naming("Vera Gast") == []
    blind = Named()
    await blind.begin()
    await admin.pause_sync(blind.context, TENANT, SYNC)
    await purge_caches(blind.tables, TENANT)
    request = await erased(blind)
    assert request.counts["calendarsNotMirroredAnew"] == 1


async def test_an_export_shows_the_events_that_name_the_person() -> None:
    world = Named()
    await world.begin()
    request = await done(world, await asked(world, RequestKind.EXPORT, VERA))
    held = orjson.loads((await fetched(world, request))["person.json"])
    assert {event["subject"] for event in held["events"]} == {"Both", "Series"}
    assert all(event["as"] == ["attendee"] for event in held["events"])
    assert b"Otto" not in orjson.dumps(held)


async def test_the_calendar_of_an_erased_person_is_mirrored_no_more() -> None:
    world = Named()
    boss = world.hire("Boss Kal")
    for number in range(12):
        world.book(f"Boss {number}", f"2026-11-05T{number + 6:02d}:00:00", user=boss)
    await world.begin(sources=[world.source(), world.source(mailbox=boss)])
    before = {reader: len(world.subjects(reader)) for reader in world.readers}
    found = await find_people(world.context, TENANT, identifiers_of(object_ids=(boss,)))
    assert set(found) == {f"u:{boss}", f"n:{owned_by(boss, (await world.keys()).suppression_key)[1]}"}
    request = await done(world, await asked(world, RequestKind.ERASURE, ids=(boss,)))
    assert (request.state, request.counts["eventsRemoved"]) == (RequestState.DONE, 3 * 12)
    for reader in world.readers:
        assert len(world.subjects(reader)) == before[reader] - 12
        assert not [subject for subject in world.subjects(reader) if subject.startswith("Boss")]
    assert await find_people(world.context, TENANT, identifiers_of(object_ids=(boss,))) == {}
    run = await world.run(sync=SYNC)
    assert (run.state, run.counts.deleted) == (RunState.PARTIAL, 0), "no brake holds it"
    assert "take it out of the sync" in run.source_problem
    world.clock.advance(timedelta(days=9))
    await world.run(sync=SYNC)
    assert await find_people(world.context, TENANT, identifiers_of(object_ids=(boss,))) == {}
    assert not [subject for subject in world.subjects(boss) if subject.startswith("Boss")]
    assert len(world.kept(boss).default.events) == 12, "the calendar itself is the customer's"


async def test_an_organiser_is_a_person_too() -> None:
    world = Named()
    await world.begin()
    [event, *_] = world.mirrored(world.readers[0]).events.values()
    assert f"Organiser: {world.room}" in str(event.values["body"]["content"])
    await done(world, await asked(world, RequestKind.ERASURE, f"{world.room}@example.invalid"))
    for reader in world.readers:
        assert not [event for event in world.mirrored(reader).events.values() if world.room in str(event.values["body"])]
    assert (await world.run(sync=SYNC)).counts.updated == 0


async def test_who_is_found_by_an_object_id_is_found_in_events_too() -> None:
    world = Named()
    vera = world.hire("Vera Gast", mail=VERA, proxyAddresses=[f"SMTP:{VERA}"])
    await world.begin()
    await world.define({})
    await world.run(sync="people")
    identifiers = identifiers_of(object_ids=(vera,))
    request = await make_request(world.context, TENANT, RequestKind.ERASURE, identifiers, by=OFFICER)
    assert {key[:2] for key in await find_people(world.context, TENANT, identifiers)} == {"u:", "n:"}
    request = await confirm(world.context, TENANT, request.request, by=OFFICER, keys=[f"u:{vera}"])
    await start_request(world.context, request)
    assert (await done(world, request)).state is RequestState.DONE
    assert world.naming("Vera Gast") == []
