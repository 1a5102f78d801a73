"""Leaving a tenant by marks alone, and taking another product's folder away."""

from __future__ import annotations

import os
from typing import Any

import pytest

from commands.leave import leave
from commands.old_folder import old_folder
from local.m365.faults import Fault, FaultKind
from sync_core import marks
from sync_core.engine.exit import Exit
from tests.engine.phones import Phones
from tests.engine.world import INSTALLATION, TENANT, World

OTHER = "installation-two"


async def synced(people: int = 3) -> tuple[World, list[str]]:
    world = World()
    mailboxes = world.hire_many(people)
    await world.connect()
    await world.run()
    return world, mailboxes


def marked(world: World, installation: str = INSTALLATION) -> int:
    """What carries a mark of an installation anywhere in the tenant, Deleted Items aside."""
    found = 0
    for user in world.tenant.mailboxes:
        box = world.tenant.mailbox(user)
        texts = [contact.extended.get(marks.KEY_PROPERTY) for contact in world.tenant.live_contacts(user)]
        texts += [folder.extended.get(marks.KEY_PROPERTY) for folder in box.folders() if box.contacts in box.ancestors(folder)]
        found += sum((mark := marks.parse(text or "")) is not None and mark.installation == installation for text in texts)
    return found


def everything(world: World) -> Any:
    """All contacts and folders of all mailboxes with their properties."""
    return {
        user: [
            (folder.name, folder.extended, [(c.values, c.extended) for c in folder.contacts.values()]) for folder in box.folders()
        ]
        for user, box in world.tenant.mailboxes.items()
    }


async def test_without_a_choice_it_only_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    world, _ = await synced()
    before = repr(everything(world))
    assert await leave(world.context, TENANT, Exit.REPORT)
    assert repr(everything(world)) == before
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines[1:]] == ["3", "9", "0", "3", "0"]


async def test_everything_goes_without_our_tables_and_nothing_of_anybody_else() -> None:
    world, mailboxes = await synced()
    other = World(beside=world, installation=OTHER)
    await other.connect({"folder": "Others"})
    await other.run()
    phones = Phones(world.tenant)
    phones.create(mailboxes[0], phones.box(mailboxes[0]).contacts, mail="own@example.org")
    kept = phones.create(mailboxes[1], world.tenant.folder(mailboxes[1], "Colleagues"), mail="own@example.org")
    world.tables = None  # type: ignore[assignment] # whoever asks for them fails
    stranger = World(beside=world)
    assert await leave(stranger.context, TENANT, Exit.REMOVE)
    assert marked(world) == 0
    assert marked(world, OTHER) == 3 * 4
    assert phones.wrongs() == []
    names = [folder.name for folder in phones.live_folders(mailboxes[0])]
    assert names == ["Others"]
    assert kept.folder.name == "Colleagues"  # it holds something of the user's


async def test_what_users_moved_or_copied_is_theirs() -> None:
    world, (first, second, third) = await synced()
    phones = Phones(world.tenant)
    moved, copied = world.tenant.contacts(first, "Colleagues")[0], world.tenant.contacts(second, "Colleagues")[0]
    phones.move(first, moved, phones.box(first).contacts)
    own = phones.box(second).create_folder(phones.box(second).contacts, "Mine")
    phones.copy(second, copied, own)
    assert await leave(world.context, TENANT, Exit.REMOVE)
    assert marked(world) == 0
    assert [len(phones.live(user)) for user in (first, second, third)] == [1, 1, 0]


async def test_folders_renamed_and_nested_are_found() -> None:
    world, (first, second, _) = await synced()
    phones = Phones(world.tenant)
    box = phones.box(first)
    parent = box.create_folder(box.create_folder(box.contacts, "Outer"), "Inner")
    box.move_folder(world.tenant.folder(first, "Colleagues"), parent)
    world.tenant.folder(second, "Colleagues").name = "Renamed"
    assert await leave(world.context, TENANT, Exit.REMOVE)
    assert marked(world) == 0
    assert [folder.name for folder in phones.live_folders(first)] == ["Outer", "Inner"]
    assert phones.live_folders(second) == []


async def test_a_list_in_the_default_folder_is_removed_there() -> None:
    world, mailboxes = await synced()
    box = world.tenant.mailbox(mailboxes[0])
    theirs = Phones(world.tenant)
    theirs.create(mailboxes[0], box.contacts, mail="own@example.org")
    for number in range(25):
        mark = marks.item_mark(INSTALLATION, "in-default", f"u:{number}")
        box.create(box.contacts, {"displayName": "A"}, {marks.KEY_PROPERTY: mark})
    assert await leave(world.context, TENANT, Exit.REMOVE)
    assert len(box.contacts.contacts) == 1
    assert theirs.wrongs() == []


async def test_marks_alone_come_off() -> None:
    world, mailboxes = await synced()
    assert await leave(world.context, TENANT, Exit.UNMARK)
    assert marked(world) == 0
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [3, 3, 3]


async def test_it_goes_on_where_it_was_broken_off(capsys: pytest.CaptureFixture[str]) -> None:
    world, mailboxes = await synced()
    world.tenant.set_mailbox_state(mailboxes[1], "outOfScope")
    world.cloud.faults.add(
        Fault(FaultKind.ERROR, template="/users/{id}/contactfolders/{id}/contacts/{id}/permanentdelete", status=500, times=40)
    )
    assert not await leave(world.context, TENANT, Exit.REMOVE)
    out = capsys.readouterr().out
    assert f"{mailboxes[1]} out_of_scope" in out
    assert "mailbox_busy" in out
    world.tenant.set_mailbox_state(mailboxes[1], "ok")
    world.cloud.faults.clear()
    assert await leave(world.context, TENANT, Exit.REMOVE)
    assert marked(world) == 0


async def test_the_old_folder_is_counted_and_goes_to_deleted_items_on_request_only(capsys: pytest.CaptureFixture[str]) -> None:
    world, mailboxes = await synced()
    box = world.tenant.mailbox(mailboxes[0])
    old = box.create_folder(box.contacts, "Company List")
    for number in range(3):
        box.create(old, {"displayName": f"Old {number}"})
    assert await old_folder(world.context, TENANT, "company list", delete=False)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{mailboxes[0]} 3"
    assert [line.split()[0] for line in out[2:]] == ["3", "1", "1", "3"]
    assert len(old.contacts) == 3
    await world.run()
    assert len(world.names(mailboxes[0], "Company List")) == 3  # we sync beside it and adopt nothing
    assert await old_folder(world.context, TENANT, "company list", delete=True)
    assert box.deleted_items in box.ancestors(old)
    assert len(old.contacts) == 3
    assert len(world.names(mailboxes[0])) == 3


async def test_neither_our_own_folder_nor_the_default_one_is_ever_an_old_one() -> None:
    world, mailboxes = await synced()
    default = world.tenant.mailbox(mailboxes[0]).contacts.name
    for name in ("Colleagues", default):
        assert await old_folder(world.context, TENANT, name, delete=True)
    assert [len(world.names(mailbox)) for mailbox in mailboxes] == [3, 3, 3]


def test_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from commands.leave import main
    from composition import context

    for name in [name for name in os.environ if name.startswith(("ROLLCALL_", "AzureWebJobs"))]:
        monkeypatch.delenv(name)
    context.cache_clear()
    assert main([TENANT]) == 2
    assert "ROLLCALL_" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([TENANT, "--remove", "--unmark"])
