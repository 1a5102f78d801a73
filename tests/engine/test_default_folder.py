"""Replicas in the default contacts folder, among the user's own contacts: those stay untouched and unread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import Contact
from local.m365.transport import Microsoft365Transport
from sync_core import marks
from sync_core.definition import SyncDefinition
from sync_core.engine import admin, runs
from sync_core.engine.preview import Page, preview
from sync_core.errors import NotFoundError
from sync_core.model import RunState
from sync_core.state.replicas import load_replica
from sync_core.state.runs import Check
from sync_core.state.syncs import load_sync
from tests.engine.hazards import Fuse, Hazards, Site
from tests.engine.oracle import our_folders
from tests.engine.world import INSTALLATION, SYNC, TENANT, World

NIGHT = timedelta(days=1)
DEFAULT: dict[str, Any] = {"folder": None}
ALWAYS_SENT = {"id", "@odata.etag", "@odata.type", "@odata.context", "@removed"}


class Watched(World):
    """A world that looks into every answer Microsoft 365 gives us."""

    def __init__(self) -> None:
        self.theirs: dict[str, Contact] = {}
        self.likeness: dict[str, tuple[Any, ...]] = {}
        self.read: list[set[str]] = []
        super().__init__()

    def network(self) -> httpx.AsyncBaseTransport:
        return _Watch(self)

    def own(self, mailbox: str, count: int = 3, **values: Any) -> None:
        """Contacts of the user's own in the default folder."""
        box = self.tenant.mailbox(mailbox)
        for number in range(count):
            contact = box.create(box.contacts, {"displayName": f"Own {number}", "personalNotes": "private", **values})
            self.theirs[contact.id] = contact
            self.likeness[contact.id] = _likeness(contact)

    def edit(self, contact: Contact, values: dict[str, Any]) -> None:
        """The user changes one of them."""
        contact_box = next(box for box in self.tenant.mailboxes.values() if contact in box.items())
        contact_box.change(contact, values)
        self.likeness[contact.id] = _likeness(contact)

    def check(self) -> None:
        """Untouched and unread."""
        assert {item_id: _likeness(contact) for item_id, contact in self.theirs.items()} == self.likeness
        assert [names for names in self.read if not names <= ALWAYS_SENT] == []


class _Watch(Microsoft365Transport):
    def __init__(self, world: Watched) -> None:
        super().__init__(world.cloud)
        self._world = world

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        body = await response.aread()
        if body.startswith(b"{"):
            self._world.read += [set(thing) for thing in _objects(orjson.loads(body)) if thing.get("id") in self._world.theirs]
        return response


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _likeness(contact: Contact) -> tuple[Any, ...]:
    return dict(contact.values), dict(contact.extended), contact.folder.id, contact.version


async def synced(people: int = 3, own: int = 3) -> tuple[Watched, str]:
    """A world after its first night and its first audit, and one mailbox in it."""
    world = Watched()
    mailbox = world.hire_many(people, mailboxes=1)[0]
    world.own(mailbox, own, emailAddresses=[{"address": "person.number00001@example.com"}])
    await world.connect(DEFAULT)
    await world.run()
    world.clock.advance(NIGHT)
    await world.run()
    world.clock.advance(NIGHT)
    return world, mailbox


def ours(world: World, mailbox: str) -> list[Contact]:
    """What lies in the default folder with our mark, by name."""
    box = world.tenant.mailbox(mailbox)
    found = [contact for contact in box.contacts.contacts.values() if is_marked(contact)]
    return sorted(found, key=lambda contact: str(contact.values["displayName"]))


def is_marked(contact: Contact) -> bool:
    return marks.parse(contact.extended.get(marks.KEY_PROPERTY, "")) is not None


async def test_people_are_put_beside_the_users_own_contacts_and_no_folder_is_touched() -> None:
    world, mailbox = await synced()
    box = world.tenant.mailbox(mailbox)
    assert [contact.values["displayName"] for contact in ours(world, mailbox)] == [f"Person Number{n:05d}" for n in range(3)]
    assert (box.contacts.children, box.contacts.extended, box.contacts.name) == ({}, {}, "Contacts")
    world.check()


@pytest.mark.parametrize("own", [3, 60])
async def test_nights_with_all_sorts_of_changes_leave_the_users_contacts_unread(own: int) -> None:
    world, mailbox = await synced(own=own)
    for check in Check:
        world.own(mailbox, 30)
        for contact in list(world.theirs.values())[:25]:
            world.edit(contact, {"mobilePhone": "+49 30 1"})
        world.tenant.change_user(mailbox, {"department": str(check)})
        run = await world.run(check=check)
        assert run.state is RunState.SUCCEEDED
        assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 1, 0)
        world.clock.advance(NIGHT)
    await world.context.purge(TENANT, None)
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
    assert len(ours(world, mailbox)) == 3
    world.check()


async def test_what_the_user_edited_deleted_moved_or_copied_of_ours_is_noticed() -> None:
    world, mailbox = await synced(5)
    box = world.tenant.mailbox(mailbox)
    edited, deleted, moved, copied, _ = ours(world, mailbox)
    box.change(edited, {"mobilePhone": "+49 30 99999"})
    box.delete(deleted)
    box.move(moved, box.create_folder(box.contacts, "Friends"))
    copy = box.create(box.contacts, dict(copied.values), dict(copied.extended))
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (2, 1, 0)
    assert edited.values["mobilePhone"] == "+4915123456789"
    assert (is_marked(moved), is_marked(copy), moved.folder.name) == (False, False, "Friends")
    assert len(ours(world, mailbox)) == 5
    world.check()


async def test_a_lost_ledger_and_changed_ids_make_no_duplicate() -> None:
    world, mailbox = await synced()
    world.tenant.change_item_ids(mailbox)
    world.theirs = {contact.id: contact for contact in world.theirs.values()}
    world.likeness = {item_id: _likeness(contact) for item_id, contact in world.theirs.items()}
    world.tenant.change_user(mailbox, {"department": "Legal"})
    run = await world.run()
    assert (run.state, run.counts.created, run.counts.deleted) == (RunState.SUCCEEDED, 0, 0)
    await world.context.purge(TENANT, None)
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
    world.check()


async def test_a_lost_answer_is_looked_up() -> None:
    world, mailbox = await synced()
    world.hire("New Colleague", mailbox="none")
    world.cloud.faults.add(Fault(FaultKind.LOST, times=1, method="POST", path="/contacts$"))
    await world.run()
    assert len(ours(world, mailbox)) == 4
    assert all(len(items) == 1 for items in world.ours(mailbox).values())
    world.check()


async def test_removal_deletes_our_items_and_nothing_else() -> None:
    world, mailbox = await synced()
    await world.context.purge(TENANT, None)
    await admin.delete_sync(world.context, TENANT, SYNC)
    await world.settle()
    box = world.tenant.mailbox(mailbox)
    assert {contact.id for contact in box.contacts.contacts.values()} == world.theirs.keys()
    assert box.contacts.extended == {}
    with pytest.raises(NotFoundError):
        await load_sync(world.tables, TENANT, SYNC)
    world.check()


async def test_a_quiet_night_costs_one_request_and_an_edit_two_more() -> None:
    world, mailbox = await synced(own=50)
    world.cloud.counters.reset()
    await world.run()
    assert world.cloud.counters.mailboxes[mailbox] == 1
    world.clock.advance(NIGHT)
    world.tenant.mailbox(mailbox).change(ours(world, mailbox)[0], {"mobilePhone": "+49 30 99999"})
    world.cloud.counters.reset()
    await world.run()
    assert world.cloud.counters.mailboxes[mailbox] == 3  # the delta, a look, the repair


async def test_a_preview_reads_nothing_of_the_users_contacts_and_tells_what_a_move_would_create() -> None:
    world, mailbox = await synced()
    box = world.tenant.mailbox(mailbox)
    box.change(ours(world, mailbox)[0], {"mobilePhone": "+49 30 99999"})
    for definition, created, updated, folder in (({"folder": None}, 0, 1, "Contacts"), ({"folder": "Team"}, 3, 0, "Team")):
        wanted = SyncDefinition.model_validate({"name": "People", **definition})
        seen = await preview(world.context, replace(await load_sync(world.tables, TENANT, SYNC), definition=wanted), Page())
        (one,) = [each for each in seen.mailboxes if each.mailbox == mailbox]
        assert (one.created, one.updated, one.deleted, one.folder) == (created, updated, 0, folder)
    world.check()


# --- moving in and out ----------------------------------------------------------------------------------------------------


async def moved(world: World, folder: str | None) -> None:
    await world.define({"folder": folder})
    await world.run()


async def test_a_sync_moves_from_its_folder_into_the_default_folder_and_back() -> None:
    world = Watched()
    mailbox = world.hire_many(30, mailboxes=1)[0]
    world.own(mailbox)
    await world.connect()
    await world.run()
    for folder in (None, "Colleagues", None, "Team"):
        await moved(world, folder)
        box = world.tenant.mailbox(mailbox)
        expected = [] if folder is None else [folder]
        assert [child.name for child in box.contacts.children.values()] == expected
        assert len(ours(world, mailbox)) == (30 if folder is None else 0)
        assert sorted(map(len, world.ours(mailbox).values())) == [1] * 30
        replica = await load_replica(world.tables, TENANT, SYNC, mailbox)
        assert replica is not None
        assert (replica.left_folders, replica.in_default_folder) == ((), folder is None)
        quiet = await world.run()
        assert (quiet.counts.created, quiet.counts.updated, quiet.counts.deleted) == (0, 0, 0)
        world.check()


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("start", ["Colleagues", None])
async def test_a_move_that_breaks_off_anywhere_is_finished_or_undone_without_a_double(start: str | None, back: bool) -> None:
    """The worker dies at some request of the move; meanwhile the definition stays, or goes back."""
    other = "Colleagues" if start is None else None
    end = start if back else other
    for moment in range(1, 100, 3):
        hazards = Hazards()
        world = Site(hazards)
        mailbox = world.hire_many(25, mailboxes=1)[0]
        box = world.tenant.mailbox(mailbox)
        mine = box.create(box.contacts, {"displayName": "Mine"})
        await world.connect({"folder": start})
        await runs.request_run(world.context, TENANT, SYNC)
        await world.drain()
        before = _likeness(mine)
        await world.define({"folder": other})
        await runs.request_run(world.context, TENANT, SYNC)
        hazards.fuses.append(Fuse(hazards.kill, moment, "network"))
        while hazards.fuses and await world.deliver_next():
            pass
        if hazards.fuses:
            assert moment > 20
            return
        await world.define({"folder": end})
        await world.drain()
        for _ in range(2):
            await runs.request_run(world.process().context, TENANT, SYNC)
            await world.drain()
            world.clock.advance(timedelta(minutes=11))
        assert sorted(map(len, world.ours(mailbox).values())) == [1] * 25
        assert len(ours(world, mailbox)) == (25 if end is None else 0)
        assert len(our_folders(world.tenant, mailbox, INSTALLATION, SYNC)) == (0 if end is None else 1)
        assert _likeness(mine) == before
    raise AssertionError("the move never ended")


async def test_a_folder_with_something_of_the_users_in_it_stays_when_the_sync_moves_out() -> None:
    world = Watched()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    await world.run()
    folder = world.tenant.folder(mailbox, "Colleagues")
    mine = world.tenant.mailbox(mailbox).create(folder, {"displayName": "Mine"})
    await moved(world, None)
    assert world.tenant.contacts(mailbox, "Colleagues") == [mine]
    assert our_folders(world.tenant, mailbox, INSTALLATION, SYNC) == []
    assert len(ours(world, mailbox)) == 3


async def test_a_write_to_the_old_folder_that_commits_late_is_removed_too() -> None:
    world = Watched()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect(DEFAULT)
    await world.run()
    world.hire("New Colleague", mailbox="none")
    world.cloud.faults.add(Fault(FaultKind.LATE, method="POST", path="/contacts$", delay=560, times=1))
    await world.run()
    await moved(world, "Colleagues")
    world.clock.advance(timedelta(minutes=11))
    assert len(ours(world, mailbox)) == 1
    await world.tick()
    await world.settle()
    assert ours(world, mailbox) == []
    assert sorted(map(len, world.ours(mailbox).values())) == [1] * 4
