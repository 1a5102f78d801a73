"""What an erasure meets on its way: work that began before it, people who share something, rows that do not open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from gdpr.audit_trail import entries
from gdpr.privacy_queue import start_request, take_steps
from gdpr.requests import Request, RequestKind, RequestState, confirm, extend, identifiers_of, load_request, make_request
from gdpr.retention import purge_caches
from gdpr.subject import find_people
from local.memory import MemoryBlobs
from sync_core import messages
from sync_core.engine import runs, uploads
from sync_core.errors import NotFoundError
from sync_core.ports import Put
from sync_core.state.names import SOURCES, partition
from sync_core.suppression import by_mail
from tests.engine.test_photos import staff
from tests.engine.world import SYNC, TENANT, World
from tests.gdpr.privacy import OFFICER, asked, done, everywhere, fetch_export
from tests.gdpr.test_photos import store_of

ANNA = "anna.berg@example.com"
CSV = b"Display name,E-mail address\nAnna Berg,anna.berg@example.com\nGuest Two,guest.two@elsewhere.example\n"


def nth(world: World, count: int, action: Callable[[], Awaitable[object]], moment: str = "before") -> None:
    """Do something before (or after) the nth write to sources from now on."""
    seen = 0

    async def hook(*now: str) -> None:
        nonlocal seen
        if now == (moment, "commit", SOURCES):
            seen += 1
            if seen == count:
                await action()

    world.tables.hook = hook


async def worked_off(world: World, request: Request) -> Request:
    """The request as far as it gets by itself, while everything else in the queues waits."""
    message = messages.PrivacyStep(TENANT, request.request)
    crew = replace(world.worker("officer's"), blobs=world.context.blobs)
    for _ in range(10):
        await take_steps(crew, message)
    return await load_request(world.context, TENANT, request.request)


async def test_what_a_run_reads_that_was_asked_for_before_the_suppression_does_not_stay() -> None:
    world = World()
    world.hire("Ben Ohm")
    await world.connect()
    await world.run()
    request = await asked(world, RequestKind.ERASURE, ANNA)
    world.clock.advance(timedelta(seconds=20))  # the request waits in its queue, and a run begins
    world.hire("Anna Berg")
    await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    states: list[RequestState] = []

    async def erase() -> None:
        states.append((await worked_off(world, request)).state)

    nth(world, 1, erase)
    assert (await done(world, request)).state is RequestState.DONE
    assert states == [RequestState.RUNNING], "it waits for the run"
    assert await find_people(world.context, TENANT, [by_mail(ANNA)]) == {}
    assert everywhere(world, "Anna") == []


@pytest.mark.parametrize("before", [False, True])
async def test_an_upload_under_way_does_not_store_whom_it_still_knew(before: bool) -> None:
    world = World()
    world.hire("Ben Ohm")
    await world.connect({"sources": [{"kind": "file", "id": "guests"}]})
    if before:
        await uploads.upload_file(world.context, TENANT, "guests", CSV.replace(b"Anna Berg,anna.berg", b"C,carl"), "text/csv")
    request = await asked(world, RequestKind.ERASURE, ANNA)

    async def erase() -> None:
        assert (await worked_off(world, request)).state is RequestState.DONE

    nth(world, 1 if before else 2, erase)
    await uploads.upload_file(world.context, TENANT, "guests", CSV, "text/csv")
    assert await find_people(world.context, TENANT, [by_mail(ANNA)]) == {}
    assert set(await find_people(world.context, TENANT, [by_mail("guest.two@elsewhere.example")]))


async def test_a_photo_that_was_stored_meanwhile_by_who_then_died_goes_too() -> None:
    world, people = await staff()
    store = await store_of(world)
    await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    request = await asked(world, RequestKind.ERASURE, ids=(people[0],))

    async def erase() -> None:
        assert (await worked_off(world, request)).state is RequestState.RUNNING

        async def die() -> None:
            raise SystemError

        nth(world, 2, die, "after")

    nth(world, 4, erase)  # the users' page and head stand: these are photos, then what is known of them
    with pytest.raises(SystemError):
        await world.settle()
    assert len(await store.of(f"u:{people[0]}")) == 1
    request = await done(world, request)
    assert request.state is RequestState.DONE
    assert await store.of(f"u:{people[0]}") == []
    assert f"u:{people[0]}" not in {key for page in await store.pages() for key in page.known}


@pytest.mark.parametrize("kind", [RequestKind.EXPORT, RequestKind.TENANT_EXPORT])
async def test_an_export_that_is_being_made_does_not_survive(kind: RequestKind) -> None:
    world = World()
    world.hire("Anna Berg")
    await world.connect()
    await world.run()
    export = await asked(world, kind, ANNA)
    erasure = await asked(world, RequestKind.ERASURE, ANNA)
    states: list[RequestState] = []

    class Slow(MemoryBlobs):
        """The erasure gets as far as it can while the first file is written."""

        async def put(self, name: str, content: AsyncIterator[bytes]) -> None:
            await super().put(name, content)
            if not states:
                states.append((await worked_off(world, erasure)).state)

    world.context = replace(world.context, blobs=(blobs := Slow()))
    assert (await done(world, erasure)).state is RequestState.DONE
    assert states == [RequestState.RUNNING], "it waits for the export"
    assert blobs.files == {}
    with pytest.raises(NotFoundError):
        await fetch_export(world.context, TENANT, export.request, by=OFFICER, is_officer=True)


async def test_who_shares_a_number_or_an_address_and_is_not_meant_stays() -> None:
    world = World()
    phones = ["+49 30 555000"]
    anna = world.hire("Anna Berg", proxyAddresses=[f"SMTP:{ANNA}", "smtp:sales@example.com"], businessPhones=phones)
    ben = world.hire("Ben Ohm", proxyAddresses=["SMTP:ben.ohm@example.com", "smtp:sales@example.com"], businessPhones=phones)
    await world.connect()
    await world.run()
    identifiers = identifiers_of(emails=("sales@example.com", ANNA), phones=("+49 30 555000",))
    request = await make_request(world.context, TENANT, RequestKind.ERASURE, identifiers, by=OFFICER)
    assert set(await find_people(world.context, TENANT, identifiers)) == {f"u:{anna}", f"u:{ben}"}
    request = await confirm(world.context, TENANT, request.request, by=OFFICER, keys=[f"u:{anna}"])
    await start_request(world.context, request)
    assert (await done(world, request)).state is RequestState.DONE
    await world.run()
    assert world.names(anna) == world.names(ben) == ["Ben Ohm"]
    assert set(await find_people(world.context, TENANT, identifiers)) == {f"u:{ben}"}


async def test_an_extension_while_it_works_does_not_stop_it() -> None:
    world = World()
    world.hire("Anna Berg")
    world.hire("Ben Ohm")
    await world.connect()
    await world.run()
    request = await asked(world, RequestKind.ERASURE, ANNA)

    async def extended() -> None:
        await extend(world.context, TENANT, request.request, reason="many requests")

    nth(world, 1, extended)
    request = await done(world, request)
    assert (request.state, request.extended) == (RequestState.DONE, True)
    assert everywhere(world, "Anna") == []
    assert [entry.action async for entry in entries(world.context, TENANT)] == ["erasure.done"]


async def test_a_page_that_does_not_open_holds_nothing_up() -> None:
    world = World()
    _, ben = world.hire("Anna Berg"), world.hire("Ben Ohm")
    await world.connect()
    await world.run()
    here = partition(TENANT, "users")
    [page] = [entity async for entity in world.tables.query(SOURCES, here, start="p:", end="p;")]
    await world.tables.commit(SOURCES, here, [Put(page.row, {**page.values, "Page0": b"damaged"})])
    request = await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert (request.state, request.rounds) == (RequestState.DONE, 0)
    await world.run()
    assert world.names(ben) == ["Ben Ohm"]
    assert await find_people(world.context, TENANT, [by_mail(ANNA)]) == {}


async def test_an_upload_counts_only_who_is_left() -> None:
    world = World()
    await world.connect({"sources": [{"kind": "file", "id": "guests"}]})
    await uploads.upload_file(world.context, TENANT, "guests", CSV, "text/csv")
    await done(world, await asked(world, RequestKind.ERASURE, ANNA))
    assert (await uploads.look_at(world.context, TENANT, "file-guests")).people == 1


async def test_an_object_id_alone_is_enough_when_no_cache_knows_the_person() -> None:
    world, people = await staff()
    await world.run()
    await done(world, await asked(world, RequestKind.EXPORT, "person.number00000@example.com"))
    await purge_caches(world.tables, TENANT)
    request = await done(world, await asked(world, RequestKind.ERASURE, ids=(people[0],)))
    assert (request.state, request.counts["itemsRemoved"], request.counts["exports"]) == (RequestState.DONE, 2, 1)
    assert everywhere(world, "Number00000") == []
    assert len(everywhere(world, "Number00001")) == 2
    await world.run()
    assert everywhere(world, "Number00000") == []
