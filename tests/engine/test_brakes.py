"""What looks like an accident is held for a person, and stays held until one decides or the source recovers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from local.m365.faults import Fault, FaultKind
from sync_core import marks
from sync_core.engine import runs
from sync_core.errors import InputError, Reason
from sync_core.model import Counts, RunState
from sync_core.state.runs import Check, load_run
from tests.engine.world import INSTALLATION, NIGHTLY, SYNC, TENANT, World

NIGHT = timedelta(days=1)
SENSITIVE = {"percent": 20, "at_least": 2}


async def synced(definition: dict[str, Any] | None = None, *, people: int = 6) -> tuple[World, list[str]]:
    world = World()
    mailboxes = world.hire_many(people, mailboxes=people - 2)[: people - 2]
    await world.connect({"brakes": SENSITIVE, "schedule": NIGHTLY, **(definition or {})})
    await world.run()
    world.clock.advance(NIGHT)
    return world, mailboxes


def drop_two(world: World) -> list[str]:
    """Two people without a mailbox vanish from the directory at once."""
    gone = list(world.tenant.directory.users.objects)[-2:]
    for user in gone:
        world.tenant.remove_user(user)
    return gone


async def scheduled(world: World) -> Any:
    """The next scheduled run, to its end."""
    world.clock.advance(NIGHT)
    await world.tick()
    await world.settle()
    return await world.last_run()


async def test_a_source_that_shrinks_suddenly_deletes_nothing() -> None:
    world, mailboxes = await synced()
    drop_two(world)
    run = await world.run()
    assert (run.state, run.reason, run.detail) == (RunState.HELD, Reason.SOURCE_DROPPED, "6 -> 4")
    assert run.counts == Counts()
    assert len(world.names(mailboxes[0])) == 6


async def test_a_held_source_stays_held_for_the_next_scheduled_runs_after_a_restart_and_a_purge_too() -> None:
    world, mailboxes = await synced()
    drop_two(world)
    held = [await world.run()]
    world.context = world.worker("worker-two")
    held.append(await scheduled(world))
    await world.context.purge(TENANT, None)
    held.append(await scheduled(world))
    world.context = world.worker("worker-three")
    await world.context.purge(TENANT, None)
    held.append(await scheduled(world))
    assert [(run.state, run.reason) for run in held] == [(RunState.HELD, Reason.SOURCE_DROPPED)] * 4
    assert len({run.run for run in held}) == 4
    assert len(world.names(mailboxes[0])) == 6


async def test_a_source_that_recovers_is_no_longer_held() -> None:
    world, _ = await synced()
    gone = drop_two(world)
    await world.run()
    for user in gone:
        world.tenant.restore_user(user)
    run = await world.run()
    assert (run.state, run.counts) == (RunState.SUCCEEDED, Counts())


async def test_a_released_drop_is_carried_out_and_the_next_one_is_held_again() -> None:
    world, mailboxes = await synced()
    drop_two(world)
    held = await world.run()
    released = await runs.release(world.context, TENANT, held.run)
    await world.settle()
    run = await load_run(world.tables, TENANT, released)
    assert (run.state, run.counts.deleted) == (RunState.SUCCEEDED, 2 * len(mailboxes))
    drop_two(world)
    assert (await world.run()).reason == Reason.SOURCE_DROPPED


async def test_a_release_lets_through_what_a_person_saw_and_no_further_drop() -> None:
    world, mailboxes = await synced(people=8)
    drop_two(world)
    held = await world.run()
    drop_two(world)
    released = await runs.release(world.context, TENANT, held.run)
    await world.settle()
    run = await load_run(world.tables, TENANT, released)
    assert (run.state, run.detail) == (RunState.HELD, "8 -> 4")
    assert len(world.names(mailboxes[0])) == 8


async def test_a_dropped_run_changes_nothing_and_the_next_one_looks_again() -> None:
    world, mailboxes = await synced()
    gone = drop_two(world)
    held = await world.run()
    await runs.drop(world.context, TENANT, held.run)
    assert (await load_run(world.tables, TENANT, held.run)).state is RunState.DROPPED
    assert (await world.run()).state is RunState.HELD
    world.tenant.restore_user(gone[0])
    world.tenant.restore_user(gone[1])
    assert (await world.run()).state is RunState.SUCCEEDED
    assert len(world.names(mailboxes[0])) == 6


async def test_targets_that_drop_suddenly_are_held() -> None:
    world, mailboxes = await synced()
    await world.define({"brakes": SENSITIVE, "schedule": NIGHTLY, "targets": {"exclude": mailboxes[:2]}})
    run = await world.run()
    assert (run.state, run.reason, run.detail) == (RunState.HELD, Reason.TARGETS_DROPPED, "4 -> 2")
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [6, 6, 6, 6]
    released = await runs.release(world.context, TENANT, run.run)
    await world.settle()
    assert (await load_run(world.tables, TENANT, released)).outcomes == {"removed": 2, "done": 2}


async def test_a_mailbox_that_would_lose_too_much_is_held_alone_and_can_be_released() -> None:
    # the directory changes a little every night while one mailbox is out of reach
    world, mailboxes = await synced(people=10)
    world.tenant.set_mailbox_state(mailboxes[0], "outOfScope")
    for user in list(world.tenant.directory.users.objects)[-1:-4:-1]:
        world.tenant.remove_user(user)
        assert (await scheduled(world)).state in (RunState.SUCCEEDED, RunState.PARTIAL)
    world.tenant.set_mailbox_state(mailboxes[0], "ok")
    run = await scheduled(world)
    result = (await world.results(run))[mailboxes[0]]
    assert (run.state, result.outcome, result.reason) == (RunState.PARTIAL, "held", Reason.DELETIONS_HELD)
    assert result.detail == "3 of 10"
    assert len(world.names(mailboxes[0])) == 10
    assert len(world.names(mailboxes[1])) == 7

    released = await runs.release(world.context, TENANT, run.run)
    await world.settle()
    assert (await load_run(world.tables, TENANT, released)).counts.deleted == 3
    assert len(world.names(mailboxes[0])) == 7


async def test_first_runs_are_exempt() -> None:
    world = World()
    world.hire_many(3)
    await world.connect({"brakes": {"percent": 1, "at_least": 1}})
    assert (await world.run()).state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.ERROR, template="/users/delta", status=500),
        Fault(FaultKind.ERROR, template="/users/delta", status=400, code="Request_BadRequest"),
        Fault(FaultKind.DROPPED, template="/users/delta"),
    ],
    ids=["500", "400", "dropped"],
)
async def test_a_source_that_cannot_be_read_holds_and_deletes_nothing(fault: Fault) -> None:
    world, mailboxes = await synced()
    drop_two(world)
    world.cloud.faults.add(fault)
    for _ in range(4):
        run = await scheduled(world)
        assert (run.state, run.reason, run.counts) == (RunState.HELD, Reason.SOURCE_UNREADABLE, Counts())
    assert len(world.names(mailboxes[0])) == 6
    with pytest.raises(InputError, match="could not be read"):
        await runs.release(world.context, TENANT, run.run)


async def test_a_source_that_ends_early_holds_and_deletes_nothing() -> None:
    world, mailboxes = await synced()
    await world.context.purge(TENANT, None)
    world.cloud.settings.directory_delta_page = 2
    pages = 0

    def third(_: object) -> bool:
        nonlocal pages
        pages += 1
        return pages > 2

    world.cloud.faults.add(Fault(FaultKind.ERROR, template="/users/delta", status=404, code="Gone", predicate=third))
    for _ in range(2):
        pages = 0
        run = await scheduled(world)
        assert (run.state, run.reason, run.counts) == (RunState.HELD, Reason.SOURCE_UNREADABLE, Counts())
    assert len(world.names(mailboxes[0])) == 6
    world.cloud.faults.clear()
    assert (await scheduled(world)).state is RunState.SUCCEEDED


async def test_when_many_mailboxes_fail_alike_the_run_holds() -> None:
    world = World()
    mailboxes = world.hire_many(8)
    await world.connect()
    for mailbox in mailboxes[:4]:
        world.tenant.set_mailbox_state(mailbox, "outOfScope")
    run = await world.run()
    assert (run.state, run.reason, run.detail) == (RunState.HELD, Reason.TOO_MANY_FAILURES, Reason.OUT_OF_SCOPE)
    world.clock.advance(NIGHT)
    assert (await world.run()).state is RunState.PARTIAL  # they are known by now


async def test_only_a_held_run_can_be_released_or_dropped() -> None:
    world, _ = await synced()
    run = await world.last_run()
    with pytest.raises(InputError, match="only a held run"):
        await runs.release(world.context, TENANT, run.run)
    with pytest.raises(InputError, match="only a held run"):
        await runs.drop(world.context, TENANT, run.run)


async def test_a_mailbox_held_for_orphans_alone_is_cleaned_by_the_release() -> None:
    world = World()
    mailbox = world.hire_many(6, mailboxes=1)[0]
    await world.connect({"brakes": {"percent": 20, "at_least": 2}})
    await world.run()
    box, folder = world.tenant.mailbox(mailbox), world.tenant.folder(mailbox, "Colleagues")
    for number in range(4):
        mark = marks.item_mark(INSTALLATION, SYNC, f"u:orphan-{number}")
        box.create(folder, {"displayName": f"Orphan {number}"}, {marks.KEY_PROPERTY: mark})
    held = await world.run(check=Check.EVERYTHING)
    assert (held.counts.deleted, held.reasons) == (0, {"deletions_held": 1})
    run = await runs.release(world.context, TENANT, held.run)
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).counts.deleted == 4
    assert len(world.names(mailbox)) == 6
