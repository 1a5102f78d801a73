"""A snapshot for which only those are looked at who have changed is the one that looking at everybody makes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_core.contacts import item_of
from sync_core.engine import uploads
from sync_core.engine.material import gather_material
from sync_core.engine.snapshot import Proposal, photo_reader, propose, roster_of
from sync_core.model import Item, RunState, Spent
from sync_core.state.runs import Run
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.suppressions import Kind, suppress
from sync_core.state.syncs import load_sync
from sync_core.state.tenants import load_tenant
from sync_core.suppression import by_key
from tests.engine.world import SYNC, TENANT, World

GROUP = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa"
LEFT_OUT = "aaaaaaaa-2222-4222-8222-aaaaaaaaaaaa"
FILE = "Name,E-mail,Mobile\nNew Desk,desk@supplier.example,0151 2352800{}\nOwn One,own1@example.com,\nLone Wolf,,0151 23528001\n"
SALES = {"attribute": "department", "operator": "is", "values": ["Sales"]}
SOURCES: list[dict[str, Any]] = [
    {"sources": [{"kind": "directory"}]},
    {"sources": [{"kind": "group", "id": GROUP}], "photos": "240x240"},
    {
        "sources": [{"kind": "orgContacts"}, {"kind": "directory"}],
        "selection": {"rule": SALES},
    },
    {
        "sources": [{"kind": "directory"}, {"kind": "orgContacts"}],
        "fields": {"rules": {"jobTitle": {"policy": "fill"}, "categories": {"constant": ["Work"]}}},
        "on_user_edit": "keep",
    },
    {
        "sources": [
            {"kind": "file", "id": "partners"},
            {"kind": "group", "id": GROUP, "selection": {"exclude_groups": [LEFT_OUT]}},
            {"kind": "orgContacts"},
            {"kind": "directory", "selection": {"rule": SALES}},
        ],
        "selection": {"rule": {"not": {"attribute": "displayName", "operator": "contains", "values": ["3"]}}},
        "targets": {"include": {"groups": [GROUP], "rule": SALES}, "exclude": {"groups": [LEFT_OUT]}},
        "photos": "240x240",
    },
    {
        "sources": [{"kind": "directory"}, {"kind": "file", "id": "partners"}, {"kind": "orgContacts"}],
        "selection": {"exclude_groups": [LEFT_OUT]},
        "fields": {"rules": {"personalNotes": {"source": "department"}}, "phones": "as_is"},
    },
]


@dataclass
class Made:
    """What a run would make of the sources: all items and those of them that were mapped; and what the last one has stored."""

    items: dict[str, Item]
    stored: dict[str, Item]
    mapped: list[str]
    proposal: Proposal


async def proposals(world: World) -> tuple[Made, Made]:
    """What the next run would make of the sources, with what is remembered and without."""
    context = world.context
    keys = await context.keyring.keys(TENANT)
    sync = await load_sync(context.tables, TENANT, SYNC)
    tenant = await load_tenant(context.tables, TENANT)
    material = await gather_material(context, keys, sync, in_full=False, spent=Spent())
    store = SnapshotStore(context.tables, keys.sealer, TENANT, SYNC)
    head = await store.head()
    before = await roster_of(store, head)
    stored: dict[str, Item] = {}
    for number in range(len(head.digests) if head is not None else 0):
        assert head is not None
        stored |= await store.page(head, number)
    made = []
    for known in (before, None):
        photos = photo_reader(context, keys, sync, spent=Spent(), everybody=True)
        proposal = await propose(context, keys, sync, tenant.settings, material, photos, known)
        assert proposal.items.keys().isdisjoint(proposal.kept)
        items = {**proposal.items, **{key: item for key, item in stored.items() if key in proposal.kept}}
        assert len(items) == proposal.people
        made.append(Made(items, stored, sorted(proposal.items), proposal))
    return made[0], made[1]


def change(world: World, people: list[str], what: str, who: int) -> None:
    user, directory = people[who % len(people)], world.tenant.directory
    live = user in directory.users.objects
    match what:
        case "hire":
            people.append(world.hire(f"New Hire{len(people)}", mailbox="none"))
        case "leave" if live:
            world.tenant.remove_user(user)
        case "return" if user in directory.users.deleted:
            world.tenant.restore_user(user)
        case "department" if live:
            world.tenant.change_user(user, {"department": "Legal" if who % 2 else "Sales"})
        case "address" if live:
            world.tenant.change_user(user, {"mail": "desk@supplier.example" if who % 2 else f"own{who}@example.com"})
        case "join" if live:
            directory.join(GROUP, [user])
        case "part" if live:
            directory.leave(GROUP, [user])
        case "out":
            directory.join(LEFT_OUT, [user] if live and who % 2 else ["c0"])
        case "in":
            directory.leave(LEFT_OUT, [user] if who % 2 else ["c0"])
        case "photo" if live:
            world.tenant.set_photo(user, who if who % 3 else None)
        case "unseen" if live:
            world.tenant.change_user(user, {"employeeType": f"kind {who}"})
        case "contact":
            directory.org_contacts.change("c0", {"department": "Sales" if who % 2 else "Legal", "jobTitle": f"Desk {who}"})


WHAT = (
    *("hire", "leave", "return", "department", "address", "join", "part", "photo", "unseen", "contact"),
    *("out", "in", "run", "run", "upload", "erase", "define", "purge", "week"),
)


async def suppress_somebody(world: World, user: str) -> None:
    key = (await world.context.keyring.keys(TENANT)).suppression_key
    await suppress(world.tables, key, TENANT, user, [by_key(f"u:{user}")], kind=Kind.ERASURE, now=world.clock.now())


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, len(SOURCES) - 1), st.lists(st.tuples(st.sampled_from(WHAT), st.integers(0, 6)), max_size=12))
def test_the_same_snapshot_as_without_memory(shape: int, history: list[tuple[str, int]]) -> None:
    async def play() -> None:
        world = World()
        people = world.hire_many(4, mailboxes=1)
        directory = world.tenant.directory
        directory.groups.add({"id": GROUP, "displayName": "Group"})
        directory.groups.add({"id": LEFT_OUT, "displayName": "Left out"})
        directory.join(GROUP, people[:3])
        directory.org_contacts.add({"id": "c0", "displayName": "Desk", "mail": "desk@supplier.example", "department": "Sales"})
        definition = dict(SOURCES[shape])
        await world.connect({**definition, "brakes": {"at_least": 1000}})
        await uploads.upload_file(world.context, TENANT, "partners", FILE.format(0).encode(), "text/csv")
        await world.run()
        for what, who in [*history, ("run", 0)]:
            run: Run | None = None
            match what:
                case "run":
                    run = await world.run()
                case "define":
                    definition["fields"] = {"names": "surname_given" if who % 2 else "as_is"}
                    await world.define({**definition, "brakes": {"at_least": 1000}})
                case "upload":
                    await uploads.upload_file(world.context, TENANT, "partners", FILE.format(who).encode(), "text/csv")
                case "erase":
                    await suppress_somebody(world, people[who % len(people)])
                case "purge":
                    await world.context.purge(TENANT, SYNC)
                case "week":
                    world.clock.advance(timedelta(days=8))
                case _:
                    change(world, people, what, who)
            with_memory, without = await proposals(world)
            assert with_memory.items == without.items
            assert with_memory.proposal.targets == without.proposal.targets
            assert with_memory.proposal.sources == without.proposal.sources
            assert with_memory.proposal.roster == without.proposal.roster
            assert without.mapped == sorted(without.items)
            if run is not None and run.state is not RunState.HELD:
                assert with_memory.stored == without.items
                assert with_memory.mapped == []

    asyncio.run(play())


async def test_only_those_are_mapped_who_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    people = world.hire_many(300, mailboxes=1)
    await world.connect({"targets": {"include": people[:1]}})
    await world.run()
    mapped: list[str] = []

    def noting(*args: Any, **more: Any) -> Item:
        mapped.append(more["key"])
        return item_of(*args, **more)

    monkeypatch.setattr("sync_core.engine.snapshot.item_of", noting)
    world.tenant.change_user(people[7], {"department": "Legal"})
    world.tenant.remove_user(people[8])
    newcomer = world.hire("New Hire", mailbox="none")
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (1, 1, 1)
    assert sorted(mapped) == sorted([f"u:{people[7]}", f"u:{newcomer}"])


async def test_another_definition_and_a_full_reading_map_everybody() -> None:
    world = World()
    world.hire_many(20, mailboxes=1)
    await world.connect()
    await world.run()
    assert not (await proposals(world))[0].mapped
    await world.define({"fields": {"phones": "as_is"}})
    assert len((await proposals(world))[0].mapped) == 20
    await world.run()
    world.clock.advance(timedelta(days=8))
    assert len((await proposals(world))[0].mapped) == 20
