"""Whoever is suppressed comes into no mailbox, by no way."""

from __future__ import annotations

import pytest

from local.m365.faults import Fault, FaultKind
from sync_core.engine import admin, runs, undo, uploads
from sync_core.errors import Reason
from sync_core.model import RunState
from sync_core.policies import Policies
from sync_core.state.names import SOURCES
from sync_core.state.runs import load_run
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.sources import SourceStore
from sync_core.state.suppressions import Kind, lift, suppress
from sync_core.state.syncs import load_sync
from sync_core.suppression import by_key, by_mail, by_phone
from tests.engine.world import SYNC, TENANT, World

CSV = "Display name,E-mail address\nGuest One,guest.one@elsewhere.example\nGuest Two,guest.two@elsewhere.example\n"


async def suppressed(world: World, *identifiers: str, kind: Kind = Kind.OBJECTION, request: str = "request-1") -> None:
    keys = await world.context.keyring.keys(TENANT)
    await suppress(world.tables, keys.suppression_key, TENANT, request, identifiers, kind=kind, now=world.clock.now())


@pytest.mark.parametrize("identifier", [by_key("u:{id}"), by_mail("Anna.Berg@EXAMPLE.com"), by_phone("+49 (151) 777-77777")])
async def test_a_suppressed_person_leaves_all_mailboxes_and_comes_back_when_lifted(identifier: str) -> None:
    world = World()
    anna = world.hire("Anna Berg", mobilePhone="+49 151 77777777")
    ben = world.hire("Ben Ohm")
    await world.connect()
    await world.run()
    await suppressed(world, identifier.replace("{id}", anna))
    assert (await world.run()).counts.deleted == 2
    assert world.names(ben) == ["Ben Ohm"]
    assert world.names(anna) == ["Ben Ohm"]
    assert await lift(world.tables, TENANT, "request-1") == 1
    await world.run()
    assert world.names(ben) == ["Anna Berg", "Ben Ohm"]


async def test_a_suppression_that_another_request_made_too_stays() -> None:
    world = World()
    anna = world.hire("Anna Berg")
    await world.connect()
    await suppressed(world, by_key(f"u:{anna}"), request="one")
    await suppressed(world, by_key(f"u:{anna}"), request="two", kind=Kind.ERASURE)
    await lift(world.tables, TENANT, "two")
    await world.run()
    assert world.names(anna) == []


async def test_a_new_account_with_the_same_address_stays_away() -> None:
    world = World()
    anna, ben = world.hire("Anna Berg"), world.hire("Ben Ohm")
    await world.connect()
    await suppressed(world, by_key(f"u:{anna}"), by_mail("anna.berg@example.com"), kind=Kind.ERASURE)
    await world.run()
    world.tenant.remove_user(anna, permanently=True)
    again = world.hire("A Berg", mail="Anna.Berg@example.com")
    assert again != anna
    await world.run()
    assert world.names(ben) == ["Ben Ohm"]
    world.tenant.change_user(again, {"displayName": "Anna Newname", "department": "Other"})
    await world.run()
    assert world.names(ben) == ["Ben Ohm"]
    assert world.names(again) == ["Ben Ohm"], "who is erased from others' lists has a list of their own all the same"
    keys = await world.context.keyring.keys(TENANT)
    store = SourceStore(world.tables, keys, TENANT, "users")
    head = await store.head()
    assert head
    stored = {key: value async for key, value in store.objects(head)}
    assert stored[again] == {"id": again, "accountEnabled": True, "userType": "Member", "mailbox": True}


async def test_an_upload_does_not_bring_an_erased_person_back() -> None:
    world = World()
    ben = world.hire("Ben Ohm")
    await world.connect({"sources": [{"kind": "file", "id": "guests"}]})
    await uploads.upload_file(world.context, TENANT, "guests", CSV.encode(), "text/csv")
    await world.run()
    assert world.names(ben) == ["Guest One", "Guest Two"]
    await suppressed(world, by_mail("guest.one@elsewhere.example"), kind=Kind.ERASURE)
    await uploads.upload_file(world.context, TENANT, "guests", CSV.encode(), "text/csv")
    await world.run()
    assert world.names(ben) == ["Guest Two"]
    keys = await world.context.keyring.keys(TENANT)
    store = SourceStore(world.tables, keys, TENANT, "file-guests")
    head = await store.head()
    assert head
    assert [value["displayName"] async for _, value in store.objects(head)] == ["Guest Two"]
    assert [entity async for entity in world.tables.scan(SOURCES)]


async def test_a_snapshot_of_an_older_epoch_is_not_written() -> None:
    world = World()
    anna, ben = world.hire("Anna Berg"), world.hire("Ben Ohm")
    await world.connect()
    run = await runs.request_run(world.context, TENANT, SYNC)
    await world.settle(most=1)  # planned: the chunk waits
    await suppressed(world, by_key(f"u:{anna}"))
    await world.settle()
    assert world.names(ben) == ["Ben Ohm"]
    assert world.names(anna) == ["Ben Ohm"]
    assert (await load_run(world.tables, TENANT, run)).counts.created == 0
    assert (await world.last_run()).counts.created == 2


async def test_a_suppression_stops_a_mailbox_that_is_being_written() -> None:
    world = World()
    people = world.hire_many(60, mailboxes=1)
    await world.connect()
    written = 0

    async def hook(moment: str, operation: str, target: str) -> None:
        nonlocal written
        there = len(list(world.tenant.live_contacts(people[0])))
        if (moment, operation, target) == ("before", "get", "tenants") and 0 < there < 60 and not written:
            written = there
            await suppressed(world, by_key(f"u:{people[7]}"))

    world.cloud.faults.add(Fault(FaultKind.LATENCY, times=100, delay=6))
    world.tables.hook = hook
    await world.run()
    assert 0 < written < 59
    assert "Person Number00007" not in world.names(people[0])
    assert len(world.names(people[0])) == 59


async def test_stripping_takes_a_person_out_of_both_snapshots_so_that_undo_and_pause_keep_them_out() -> None:
    world = World()
    anna, ben = world.hire("Anna Berg"), world.hire("Ben Ohm")
    await world.connect()
    await world.run()
    world.hire("Carl Uhl", mailbox="none")
    second = await world.run()
    await admin.pause_sync(world.context, TENANT, SYNC)
    await suppressed(world, by_key(f"u:{anna}"))
    held = await world.run()
    assert (held.state, held.reason) == (RunState.HELD, Reason.SNAPSHOT_GONE)
    keys = await world.context.keyring.keys(TENANT)
    store = SnapshotStore(world.tables, keys.sealer, TENANT, SYNC)
    sync = await load_sync(world.tables, TENANT, SYNC)
    policies = Policies.of(sync.definition).name
    for stripped in (2, 0):
        left = await store.strip(lambda item: None if item.key == f"u:{anna}" else item, epoch=1, policies=policies)
        assert left == stripped
    assert (await world.run()).state is RunState.SUCCEEDED
    assert world.names(ben) == ["Ben Ohm", "Carl Uhl"]
    with pytest.raises(Exception, match="not kept"):
        await undo.undo(world.context, TENANT, second.run)
    for head in (await store.head(), await store.previous()):
        assert head
        for number in range(len(head.digests)):
            assert f"u:{anna}" not in await store.page(head, number)
