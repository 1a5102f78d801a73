"""Our folder, and what users do to it."""

from __future__ import annotations

from datetime import timedelta

from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import Folder, Mailbox
from sync_core.state.runs import Check
from tests.engine.oracle import our_folders
from tests.engine.world import INSTALLATION, SYNC, World

WEEK = timedelta(days=7)


async def synced() -> tuple[World, str, Mailbox, Folder]:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    await world.run()
    world.clock.advance(timedelta(days=1))
    return world, mailbox, world.tenant.mailbox(mailbox), world.tenant.folder(mailbox, "Colleagues")


def ours(world: World, mailbox: str) -> list[Folder]:
    return our_folders(world.tenant, mailbox, INSTALLATION, SYNC)


async def test_a_folder_of_the_users_with_our_name_is_theirs_and_ours_is_called_otherwise() -> None:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    box = world.tenant.mailbox(mailbox)
    theirs = box.create_folder(box.contacts, "colleagues")
    await world.connect()
    await world.run()
    assert [folder.name for folder in ours(world, mailbox)] == ["Colleagues (2)"]
    assert (theirs.contacts, theirs.extended) == ({}, {})


async def test_a_renamed_folder_is_still_ours() -> None:
    world, mailbox, box, folder = await synced()
    box.rename_folder(folder, "Work")
    world.hire("New Colleague", mailbox="none")
    await world.run(check=Check.EVERYTHING)
    assert ours(world, mailbox) == [folder]
    assert len(world.names(mailbox, "Work")) == 4


async def test_a_nested_folder_is_still_ours() -> None:
    world, mailbox, box, folder = await synced()
    box.move_folder(folder, box.create_folder(box.contacts, "Friends"))
    world.hire("New Colleague", mailbox="none")
    await world.run(check=Check.EVERYTHING)
    assert ours(world, mailbox) == [folder]
    assert len(folder.contacts) == 4


async def test_a_deleted_folder_is_made_anew_when_a_write_meets_it() -> None:
    world, mailbox, box, folder = await synced()
    box.delete_folder(folder, permanently=True)
    world.hire("New Colleague", mailbox="none")
    await world.run()
    assert len(world.names(mailbox)) == 4


async def test_a_folder_in_deleted_items_still_answers_and_is_noticed_within_a_week() -> None:
    world, mailbox, box, folder = await synced()
    box.delete_folder(folder)
    world.clock.advance(WEEK)
    await world.run()
    (anew,) = ours(world, mailbox)
    assert anew is not folder
    assert len(anew.contacts) == 3


async def test_of_two_folders_with_our_mark_the_registered_one_stays() -> None:
    """The user deletes our folder, gets another one, and takes the first one out of Deleted Items again."""
    world, mailbox, box, folder = await synced()
    box.rename_folder(folder, "Old")
    box.delete_folder(folder)
    await world.run(check=Check.EVERYTHING)
    (anew,) = ours(world, mailbox)
    mine = box.create(folder, {"displayName": "Mine"})
    box.move_folder(folder, box.contacts)
    await world.run(check=Check.EVERYTHING)
    assert ours(world, mailbox) == [anew]
    assert world.tenant.contacts(mailbox, "Old") == [mine]
    assert len(anew.contacts) == 3


async def test_a_folder_that_was_made_twice_because_an_answer_came_late_is_removed_once() -> None:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    late = Fault(FaultKind.LATE, method="POST", path="/contactFolders$", delay=300, times=1)
    world.cloud.faults.add(late)
    await world.run()
    world.tenant.mailbox(mailbox).rename_folder(world.tenant.folder(mailbox, "Colleagues"), "Mine now")
    world.clock.advance(timedelta(minutes=11))
    assert len(ours(world, mailbox)) == 2
    await world.tick()
    await world.settle()
    (folder,) = ours(world, mailbox)
    assert (folder.name, len(folder.contacts)) == ("Mine now", 3)


async def test_a_folder_whose_creation_was_answered_late_is_found_and_not_made_again() -> None:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.LOST, method="POST", path="/contactFolders$", times=1))
    await world.run()
    assert len(ours(world, mailbox)) == 1
    assert world.cloud.counters.templates["POST /users/{id}/contactfolders"] == 1
