"""Leavers, mailboxes that leave the targets, and a sync that is deleted: nothing with our mark remains anywhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import Contact
from sync_core import marks
from sync_core.engine import admin, runs
from sync_core.errors import InputError, NotFoundError
from sync_core.model import ReplicaState, RunState
from sync_core.state.replicas import load_replica
from sync_core.state.runs import load_run, newest_runs
from sync_core.state.syncs import load_sync
from tests.engine.oracle import our_folders
from tests.engine.world import INSTALLATION, NIGHTLY, SYNC, TENANT, World


async def synced(people: int = 3, definition: dict[str, Any] | None = None) -> tuple[World, list[str]]:
    world = World()
    mailboxes = world.hire_many(people)
    await world.connect(definition)
    await world.run()
    world.clock.advance(timedelta(days=1))
    return world, mailboxes


def traces(world: World, mailbox: str) -> list[str]:
    """Whatever in a mailbox says that it is ours."""
    items: list[Contact] = world.tenant.contacts(mailbox)
    found = [str(item.values["displayName"]) for item in items if marks.parse(item.extended.get(marks.KEY_PROPERTY, ""))]
    return found + [folder.name for folder in our_folders(world.tenant, mailbox, INSTALLATION, SYNC)]


async def delete(world: World) -> None:
    await admin.delete_sync(world.context, TENANT, SYNC)
    await world.settle()


async def test_a_mailbox_that_is_excluded_is_cleaned() -> None:
    world, mailboxes = await synced()
    await world.define({"targets": {"exclude": [mailboxes[0]]}})
    run = await world.run()
    assert run.outcomes == {"removed": 1, "done": 2}
    assert traces(world, mailboxes[0]) == []
    assert await load_replica(world.tables, TENANT, SYNC, mailboxes[0]) is None
    assert len(world.names(mailboxes[1])) == 3


async def test_an_excluded_mailbox_that_returns_gets_everything_again() -> None:
    world, mailboxes = await synced()
    await world.define({"targets": {"exclude": [mailboxes[0]]}})
    await world.run()
    await world.define({})
    await world.run()
    assert len(world.names(mailboxes[0])) == 3


async def test_the_mailbox_of_a_disabled_account_is_cleaned_and_its_owner_leaves_the_others() -> None:
    world, mailboxes = await synced()
    world.tenant.enable_user(mailboxes[0], enabled=False)
    await world.run()
    assert traces(world, mailboxes[0]) == []
    assert "Person Number00000" not in world.names(mailboxes[1])
    world.tenant.enable_user(mailboxes[0])
    await world.run()
    assert len(world.names(mailboxes[0])) == len(world.names(mailboxes[1])) == 3


async def test_a_deleted_sync_leaves_nothing_and_is_forgotten() -> None:
    world, mailboxes = await synced()
    await delete(world)
    assert [traces(world, mailbox) for mailbox in mailboxes] == [[], [], []]
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)


async def test_with_all_caches_purged_a_removed_mailbox_and_a_deleted_sync_leave_nothing() -> None:
    world, mailboxes = await synced()
    await world.context.purge(TENANT, None)
    await world.define({"targets": {"exclude": [mailboxes[0]]}})
    await world.run()
    assert traces(world, mailboxes[0]) == []
    await world.context.purge(TENANT, None)
    await delete(world)
    assert [traces(world, mailbox) for mailbox in mailboxes] == [[], [], []]


async def test_what_users_moved_copied_and_nested_loses_our_mark_or_goes() -> None:
    world, mailboxes = await synced()
    box = world.tenant.mailbox(mailboxes[0])
    folder = world.tenant.folder(mailboxes[0], "Colleagues")
    moved, copied, _ = folder.contacts.values()
    friends = box.create_folder(box.contacts, "Friends")
    copy = box.create(box.contacts, dict(copied.values), dict(copied.extended))
    box.move(moved, friends)
    box.move_folder(folder, friends)
    await world.context.purge(TENANT, None)
    await delete(world)
    assert traces(world, mailboxes[0]) == []
    assert (moved.folder, copy.folder) == (friends, box.contacts)
    assert not friends.children


async def test_our_folder_stays_when_the_user_keeps_something_in_it() -> None:
    world, mailboxes = await synced()
    box = world.tenant.mailbox(mailboxes[0])
    folder = world.tenant.folder(mailboxes[0], "Colleagues")
    mine = box.create(folder, {"displayName": "Mine"})
    await delete(world)
    assert world.tenant.contacts(mailboxes[0], "Colleagues") == [mine]
    assert folder.parent is box.contacts
    assert traces(world, mailboxes[0]) == []


async def test_our_folder_stays_when_the_user_has_put_a_folder_into_it() -> None:
    world, mailboxes = await synced()
    box = world.tenant.mailbox(mailboxes[0])
    folder = world.tenant.folder(mailboxes[0], "Colleagues")
    friends = box.create_folder(folder, "Friends")
    mine = box.create(friends, {"displayName": "Mine"})
    await delete(world)
    assert mine in world.tenant.contacts(mailboxes[0], "Friends")
    assert (friends.parent, folder.parent) == (folder, box.contacts)
    assert traces(world, mailboxes[0]) == []


async def test_a_write_that_commits_after_the_removal_is_removed_too() -> None:
    """The answer to a create was lost, the mailbox left the targets at once, and ten minutes later the create is carried out."""
    world, mailboxes = await synced()
    world.tenant.mailbox(mailboxes[0]).create(world.tenant.folder(mailboxes[0], "Colleagues"), {"displayName": "Mine"})
    world.hire("New Colleague", mailbox="none")
    world.cloud.faults.add(Fault(FaultKind.LATE, method="POST", path="/contacts$", mailbox=mailboxes[0], delay=560, times=3))
    await world.run()
    await delete(world)
    world.clock.advance(timedelta(minutes=11))
    assert traces(world, mailboxes[0]) != []
    await world.tick()
    await world.settle()
    assert traces(world, mailboxes[0]) == []
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)


async def test_a_leaver_who_is_restored_but_no_target_any_more_is_still_cleaned() -> None:
    world, mailboxes = await synced()
    world.tenant.remove_user(mailboxes[0])
    run = await world.run()
    assert run.outcomes == {"removed": 1, "done": 2}
    world.clock.advance(timedelta(days=8))
    world.tenant.restore_user(mailboxes[0])
    world.tenant.enable_user(mailboxes[0], enabled=False)
    await world.run()
    assert traces(world, mailboxes[0]) == []
    assert await load_replica(world.tables, TENANT, SYNC, mailboxes[0]) is None


async def test_a_mailbox_that_is_gone_is_forgotten_when_it_cannot_come_back() -> None:
    world, mailboxes = await synced()
    world.tenant.remove_user(mailboxes[0], permanently=True)
    looks = 0
    for _ in range(33):
        run = await world.run()
        assert run.state is RunState.SUCCEEDED
        looks += run.outcomes.get("removed", 0)
        world.clock.advance(timedelta(days=1))
    assert await load_replica(world.tables, TENANT, SYNC, mailboxes[0]) is None
    assert looks <= 6


async def test_a_sync_is_deleted_as_soon_as_the_last_unreachable_mailbox_is_cleaned() -> None:
    world, mailboxes = await synced(3, {"schedule": NIGHTLY})
    world.tenant.set_mailbox_state(mailboxes[0], "outOfScope")
    await delete(world)
    replica = await load_replica(world.tables, TENANT, SYNC, mailboxes[0])
    assert replica is not None
    assert (replica.state, replica.reason) == (ReplicaState.LEAVING, "out_of_scope")
    with pytest.raises(InputError, match="being deleted"):
        await world.define({})
    world.tenant.set_mailbox_state(mailboxes[0], "ok")
    world.clock.advance(timedelta(days=1))
    await world.tick()
    await world.settle()
    assert traces(world, mailboxes[0]) == []
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)


async def test_a_sync_that_only_runs_on_request_is_deleted_without_being_asked_again() -> None:
    world, mailboxes = await synced()
    world.tenant.set_mailbox_state(mailboxes[0], "outOfScope")
    await delete(world)
    world.tenant.set_mailbox_state(mailboxes[0], "ok")
    world.clock.advance(timedelta(days=1))
    await world.tick()
    await world.settle()
    assert traces(world, mailboxes[0]) == []
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)


async def test_many_unreachable_mailboxes_do_not_hold_a_deletion() -> None:
    world, mailboxes = await synced(6)
    for mailbox in mailboxes[:4]:
        world.tenant.set_mailbox_state(mailbox, "outOfScope")
    await world.run()
    await delete(world)
    run = await world.last_run()
    assert run.state is RunState.PARTIAL
    assert run.outcomes == {"set_aside": 4, "removed": 2}


async def test_a_sync_deleted_in_the_middle_of_a_run_leaves_nothing_and_no_run_open() -> None:
    world, mailboxes = await synced()
    first = await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    await world.settle(most=1)
    await delete(world)
    assert [traces(world, mailbox) for mailbox in mailboxes] == [[], [], []]
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)
    assert (await load_run(world.tables, TENANT, first)).state.final
    assert (await world.last_run()).state.final


async def test_a_sync_can_be_made_anew_after_its_deletion() -> None:
    world, mailboxes = await synced()
    await delete(world)
    await world.define({})
    await world.run()
    assert len(world.names(mailboxes[0])) == 3


async def deleted_while_a_mailbox_is_gone(definition: dict[str, Any] | None = None) -> tuple[World, list[str]]:
    world, mailboxes = await synced(3, definition)
    world.tenant.remove_user(mailboxes[0])
    await delete(world)
    return world, mailboxes


async def weeks(world: World, count: int) -> None:
    for _ in range(count * 7):
        world.clock.advance(timedelta(days=1))
        await world.tick()
        await world.settle()


@pytest.mark.parametrize("definition", [{}, {"schedule": NIGHTLY}])
async def test_a_mailbox_that_is_gone_does_not_keep_a_deleted_sync(definition: dict[str, Any]) -> None:
    world, mailboxes = await deleted_while_a_mailbox_is_gone(definition)
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)
    for ask in (admin.delete_sync, admin.pause_sync, admin.resume_sync):
        with pytest.raises(NotFoundError):
            await ask(world.context, TENANT, SYNC)
    with pytest.raises(NotFoundError):
        await runs.request_run(world.context, TENANT, SYNC, by_hand=True)
    world.tenant.restore_user(mailboxes[0])
    assert traces(world, mailboxes[0]) != []
    await weeks(world, 1)
    assert traces(world, mailboxes[0]) == []


async def test_what_is_left_of_a_deleted_sync_is_forgotten_when_no_mailbox_can_come_back() -> None:
    world, mailboxes = await deleted_while_a_mailbox_is_gone({"schedule": NIGHTLY})
    before = len([run async for run in newest_runs(world.tables, TENANT)])
    await weeks(world, 6)
    assert await load_replica(world.tables, TENANT, SYNC, mailboxes[0]) is None
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC, ended=True)
    assert len([run async for run in newest_runs(world.tables, TENANT)]) - before <= 5  # a look a week


async def test_a_sync_made_anew_takes_over_what_a_restored_mailbox_holds_of_the_old_one() -> None:
    world, mailboxes = await deleted_while_a_mailbox_is_gone()
    await world.define({"folder": "People"})
    sync = await load_sync(world.tables, TENANT, SYNC)
    assert (sync.deleting, sync.people, sync.definition.folder) == (False, 0, "People")
    run = await world.run()
    assert (run.state, len(world.names(mailboxes[1], "People"))) == (RunState.SUCCEEDED, 2)
    world.tenant.restore_user(mailboxes[0])
    world.clock.advance(timedelta(days=1))
    await world.run()
    assert [len(world.names(mailbox, "People")) for mailbox in mailboxes] == [3, 3, 3]
    assert {len(contacts) for mailbox in mailboxes for contacts in world.ours(mailbox).values()} == {1}
    assert len(our_folders(world.tenant, mailboxes[0], INSTALLATION, SYNC)) == 1
