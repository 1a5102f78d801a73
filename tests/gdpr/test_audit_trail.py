"""The audit trail: who did what, in an order that nobody can change unnoticed."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import orjson
import pytest

from gdpr import audit_trail
from gdpr.audit_chain import ANCHOR, HEAD, SYSTEM, WITNESS, Actor, row_of
from gdpr.audit_check import Fault, verify
from gdpr.audit_trail import record
from sync_core.errors import InputError, TransientError
from sync_core.ports import Put, Remove, Scalar
from sync_core.state.names import AUDIT, TENANTS
from tests.engine.world import TENANT, World

ANNA = Actor("user", "11111111-aaaa-4aaa-8aaa-111111111111", TENANT)
BEN = Actor("user", "22222222-bbbb-4bbb-8bbb-222222222222", TENANT)


async def written(world: World, count: int = 5) -> None:
    for number in range(count):
        await record(world.context, TENANT, actor=(ANNA, BEN)[number % 2], action="sync.replaced", subject=f"sync/{number}")


async def faults(world: World) -> list[tuple[int, str]]:
    return [(fault.sequence, fault.kind) for fault in (await verify(world.context, TENANT)).faults]


async def test_an_entry_says_who_did_what_and_what_changed() -> None:
    world = World()
    link = await record(
        world.context,
        TENANT,
        actor=ANNA,
        action="sync.replaced",
        subject="sync/people",
        before={"folder": "Old", "name": "n"},
        after={"folder": "New", "name": "n"},
    )
    [entry] = [entry async for entry in audit_trail.entries(world.context, TENANT)]
    assert (entry.sequence, entry.hash) == (1, link.hash)
    assert entry.at == world.clock.now()
    assert entry.actor == ANNA
    assert entry.details == {"subject": "sync/people", "before": {"folder": "Old"}, "after": {"folder": "New"}}
    assert (await verify(world.context, TENANT)).sound


async def test_what_it_holds_of_people_is_sealed() -> None:
    world = World()
    await record(world.context, TENANT, actor=ANNA, action="request.made", subject="about zilpzalp", after={"mail": "kanarie@x"})
    stored = repr([entity async for entity in world.tables.query(AUDIT, TENANT)])
    assert "request.made" in stored
    assert not any(text in stored for text in ("zilpzalp", "kanarie", ANNA.id, TENANT + "|"))


@pytest.mark.parametrize("action", ["", "sync", "Sync.replaced", "sync replaced", "sync.", "a@b.example", "sync." + "x" * 50])
async def test_an_action_is_words_joined_by_dots(action: str) -> None:
    with pytest.raises(InputError, match="action"):
        await record(World().context, TENANT, actor=SYSTEM, action=action)


async def test_large_settings_leave_the_names_of_their_fields() -> None:
    world = World()
    await record(world.context, TENANT, actor=ANNA, action="sync.replaced", before={"a": "x" * 40_000}, after={"a": "", "b": 1})
    [entry] = [entry async for entry in audit_trail.entries(world.context, TENANT)]
    assert entry.details == {
        "subject": "",
        "before": {"tooLarge": 40_008, "fields": ["a"]},
        "after": {"tooLarge": 14, "fields": ["a", "b"]},
    }
    assert (await verify(world.context, TENANT)).sound


async def test_writers_at_the_same_time_make_one_chain() -> None:
    world = World()
    links = await asyncio.gather(
        *(record(world.context, TENANT, actor=ANNA, action="sync.replaced", subject=str(number)) for number in range(12))
    )
    assert sorted(link.sequence for link in links) == list(range(1, 13))
    verdict = await verify(world.context, TENANT)
    assert verdict.sound
    assert (verdict.entries, verdict.first, verdict.last) == (12, 1, 12)
    assert verdict.newest == max(links, key=lambda link: link.sequence)


async def test_what_is_recorded_once_is_there_once() -> None:
    world = World()
    first = await record(world.context, TENANT, actor=SYSTEM, action="erasure.done", once="request-1")
    await record(world.context, TENANT, actor=SYSTEM, action="erasure.done", once="request-2")
    assert await record(world.context, TENANT, actor=SYSTEM, action="erasure.done", once="request-1") == first
    assert (await verify(world.context, TENANT)).entries == 2


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_write_whose_answer_is_lost_is_not_repeated(moment: str) -> None:
    world = World()
    await written(world, 1)
    failures = [TransientError("lost"), TransientError("lost")]

    async def hook(when: str, operation: str, target: str) -> None:
        if (when, operation, target) == (moment, "commit", AUDIT) and failures:
            raise failures.pop()

    world.tables.hook = hook
    await record(world.context, TENANT, actor=ANNA, action="sync.replaced")
    assert (await verify(world.context, TENANT)).entries == 2
    assert await faults(world) == []


@pytest.mark.parametrize("name", ["At", "Action", "ActorCommitment", "DetailsCommitment", "Previous", "Hash", "Tag", "Sequence"])
async def test_a_changed_value_is_found_at_its_place(name: str) -> None:
    world = World()
    await written(world)
    entity = await world.tables.get(AUDIT, TENANT, row_of(3))
    assert entity
    others: dict[str, Scalar] = {"At": world.clock.now() + timedelta(seconds=1), "Sequence": 9}
    await world.tables.commit(AUDIT, TENANT, [Put(entity.row, {**entity.values, name: others.get(name, "f" * 32)})])
    assert await faults(world) == [(3, "changed")]
    await world.tables.commit(AUDIT, TENANT, [Put(entity.row, {key: v for key, v in entity.values.items() if key != name})])
    assert await faults(world) == [(3, "changed")]


async def test_who_computes_the_hashes_anew_is_found_out_by_the_tag() -> None:
    from gdpr.audit_chain import hash_of

    world = World()
    await written(world)
    previous = ""
    for number in range(3, 6):
        entity = await world.tables.get(AUDIT, TENANT, row_of(number))
        assert entity
        values = {**entity.values, "Action": "sync.created"} if number == 3 else {**entity.values, "Previous": previous}
        previous = hash_of(values)
        await world.tables.commit(AUDIT, TENANT, [Put(entity.row, {**values, "Hash": previous})])
    assert (await faults(world))[0] == (3, "changed")


@pytest.mark.parametrize("name", ["Actor", "Details"])
async def test_sealed_parts_cannot_be_taken_from_another_entry(name: str) -> None:
    world = World()
    await written(world)
    one, other = await world.tables.get(AUDIT, TENANT, row_of(2)), await world.tables.get(AUDIT, TENANT, row_of(4))
    assert one
    assert other
    await world.tables.commit(AUDIT, TENANT, [Put(one.row, {**one.values, name: other.values[name]})])
    assert await faults(world) == [(2, "changed")]


async def test_missing_moved_and_copied_entries_are_found_at_their_places() -> None:
    world = World()
    await written(world, 8)
    rows = {number: await world.tables.get(AUDIT, TENANT, row_of(number)) for number in range(1, 9)}
    await world.tables.commit(AUDIT, TENANT, [Remove(row_of(1)), Remove(row_of(4)), Remove(row_of(5))])
    assert await faults(world) == [(1, "missing"), (4, "missing"), (5, "missing")]
    second, third, seventh = rows[2], rows[3], rows[7]
    assert second
    assert third
    assert seventh
    swap = [Put(row_of(2), third.values), Put(row_of(3), second.values), Put(row_of(4), seventh.values)]
    await world.tables.commit(AUDIT, TENANT, swap)
    assert await faults(world) == [(1, "missing"), (2, "moved"), (3, "moved"), (4, "moved"), (5, "missing")]


async def test_a_cut_off_end_is_found() -> None:
    world = World()
    await written(world)
    fourth = await world.tables.get(AUDIT, TENANT, HEAD)
    assert fourth
    await written(world, 1)
    exported = await audit_trail.newest_link(world.tables, TENANT)
    await world.tables.commit(AUDIT, TENANT, [Remove(row_of(6))])
    assert await faults(world) == [(6, "missing")]
    await world.tables.commit(AUDIT, TENANT, [Put(HEAD, fourth.values)])  # the head rolled back with it
    assert await faults(world) == [(6, "missing")]
    await world.tables.commit(TENANTS, TENANT, [Put(WITNESS, fourth.values)])  # and the witness: only an export tells now
    assert await faults(world) == []
    assert (await verify(world.context, TENANT, known=exported)).faults == [Fault(6, "missing")]
    await world.tables.commit(AUDIT, TENANT, [Put(HEAD, {**fourth.values, "Sequence": 4})])
    assert (5, "forged") in await faults(world) or (4, "forged") in await faults(world)


async def test_an_actor_is_shredded_and_the_chain_holds() -> None:
    world = World()
    await written(world)
    assert await audit_trail.shred_actor(world.context, TENANT, ANNA) == 3
    assert await audit_trail.shred_actor(world.context, TENANT, ANNA) == 0
    actors = [entry.actor async for entry in audit_trail.entries(world.context, TENANT)]
    assert actors == [None, BEN, None, BEN, None]
    verdict = await verify(world.context, TENANT)
    assert verdict.sound
    assert verdict.shredded == 3


async def test_what_is_left_after_pruning_verifies_from_its_anchor() -> None:
    world = World()
    await record(world.context, TENANT, actor=SYSTEM, action="erasure.done", once="request-1")
    await written(world, 2)
    world.clock.advance(timedelta(days=10))
    assert await audit_trail.prune(world.context, TENANT, before=world.clock.now()) == 2  # the newest stays
    assert await audit_trail.prune(world.context, TENANT, before=world.clock.now()) == 0
    await written(world, 3)
    verdict = await verify(world.context, TENANT)
    assert verdict.sound
    assert (verdict.first, verdict.last, verdict.entries) == (3, 6, 4)
    assert [entity async for entity in world.tables.query(AUDIT, TENANT, start="o:", end="o;")] == []
    anchor = await world.tables.get(AUDIT, TENANT, ANCHOR)
    assert anchor
    await world.tables.commit(AUDIT, TENANT, [Put(ANCHOR, {**anchor.values, "Hash": "0" * 64})])
    assert (2, "forged") in await faults(world)
    await world.tables.commit(AUDIT, TENANT, [Remove(ANCHOR)])
    assert await faults(world) == [(1, "missing"), (2, "missing")]


async def test_a_death_while_pruning_leaves_a_sound_chain() -> None:
    world = World()
    await written(world, 4)
    world.clock.advance(timedelta(days=1))
    commits = 0

    async def hook(when: str, operation: str, target: str) -> None:
        nonlocal commits
        if (when, operation, target) == ("before", "commit", AUDIT):
            commits += 1
            if commits == 2:
                raise SystemError

    world.tables.hook = hook
    with pytest.raises(SystemError):
        await audit_trail.prune(world.context, TENANT, before=world.clock.now())
    assert await faults(world) == []
    assert await audit_trail.prune(world.context, TENANT, before=world.clock.now()) == 3
    assert await faults(world) == []


async def test_an_export_can_be_checked_by_anyone() -> None:
    world = World()
    await written(world, 3)
    await audit_trail.shred_actor(world.context, TENANT, BEN)
    first, *lines = [orjson.loads(line) async for line in audit_trail.export(world.context, TENANT)]
    previous = first["after"]["hash"]
    for line in lines:
        chained = orjson.dumps([line[name] for name in first["chained"]])
        assert line["previous"] == previous
        assert hashlib.sha256(chained).hexdigest() == line["hash"]
        for name in ("actor", "details"):
            if line[name] is not None:
                part = orjson.dumps(line[name], option=orjson.OPT_SORT_KEYS)
                assert hashlib.sha256(part).hexdigest() == line[f"{name}Commitment"]
        previous = line["hash"]
    assert first["newest"] == {"sequence": 3, "hash": previous}
    assert [line["actor"] is None for line in lines] == [False, True, False]
