"""A preview says exactly what a run would do, and does nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gdpr.encryption import TenantKeyring
from sync_core.definition import SyncDefinition
from sync_core.engine import admin
from sync_core.engine import preview as previews
from sync_core.engine.difference import Hold
from sync_core.engine.preview import UNSAVED, Page, Preview, preview
from sync_core.errors import InputError, NotFoundError, Reason
from sync_core.model import RunState
from sync_core.ports import Calendars, Entity, Mailboxes, MicrosoftGraph, Write
from sync_core.state.runs import Check
from sync_core.state.syncs import Sync, load_sync
from tests.engine.phones import Phones
from tests.engine.world import SYNC, TENANT, OneSecret, World

READ_ONLY = frozenset({"User.Read.All", "Contacts.Read"})
WRITES = (
    *("create_folder", "rename_folder", "color_folder", "delete_folder", "discard_folder", "mark_folder", "unmark_folder"),
    *("unmark", "write", "write_photos"),
)


class WriteError(Exception):
    """Something was written."""


class ReadOnlyTables:
    """Tables that anybody may read."""

    def __init__(self, world: World) -> None:
        self._tables = world.tables

    async def get(self, table: str, partition: str, row: str, **options: Any) -> Entity | None:
        return await self._tables.get(table, partition, row, **options)

    def query(self, table: str, partition: str, **options: Any) -> AsyncIterator[Entity]:
        return self._tables.query(table, partition, **options)

    def scan(self, table: str, **options: Any) -> AsyncIterator[Entity]:
        return self._tables.scan(table, **options)

    async def commit(self, table: str, partition: str, writes: Sequence[Write]) -> list[str]:
        raise WriteError(table)


class NoQueues:
    async def send(self, queue: str, message: Any, *, delay: float = 0) -> None:
        raise WriteError(queue)


class ReadOnlyGraph:
    """Microsoft 365 as far as it can be read."""

    def __init__(self, graph: MicrosoftGraph) -> None:
        self._graph = graph
        self.directory = graph.directory
        self.photos = graph.photos

    def mailboxes(self, tenant: str) -> Mailboxes:
        mailboxes = self._graph.mailboxes(tenant)
        _refuse_writes(mailboxes)
        return mailboxes

    def calendars(self, tenant: str, *, color: str = "") -> Calendars:
        calendars = self._graph.calendars(tenant, color=color)
        _refuse_writes(calendars)
        return calendars


def _refuse_writes(mailboxes: Mailboxes) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise WriteError("mailbox")

    for name in WRITES:
        assert callable(getattr(mailboxes, name))
        setattr(mailboxes, name, refuse)


async def shown(world: World, page: Page | None = None, *, sync: Sync | None = None) -> Preview:
    """A preview by a process that can write nowhere."""
    tables = ReadOnlyTables(world)

    async def no_purge(tenant: str, sync: str | None) -> None:
        raise WriteError("purge")

    worker = world.worker("reader")
    context = replace(
        worker,
        graph=ReadOnlyGraph(worker.graph),
        tables=tables,
        queues=NoQueues(),
        keyring=TenantKeyring(tables, OneSecret()),
        purge=no_purge,
    )
    return await preview(context, sync or await load_sync(tables, TENANT, SYNC), page or Page())


async def synced(people: int = 4, definition: dict[str, Any] | None = None) -> tuple[World, list[str]]:
    world = World()
    mailboxes = world.hire_many(people)
    await world.connect(definition)
    await world.run()
    world.clock.advance(timedelta(days=1))
    return world, mailboxes


def totals(result: Preview) -> tuple[int, int, int]:
    return (
        sum(one.created for one in result.mailboxes),
        sum(one.updated for one in result.mailboxes),
        sum(one.deleted for one in result.mailboxes),
    )


async def test_a_first_run_before_there_is_any_with_read_permissions_only() -> None:
    world = World()
    world.hire_many(3)
    world.tenant.app.permissions = READ_ONLY
    await world.connect()
    result = await shown(world)
    assert result.holds == []
    assert (result.people, result.targets, totals(result)) == (3, 3, (9, 0, 0))
    one = result.mailboxes[0]
    assert (one.outcome, one.folder, one.folder_is_new) == ("done", "Colleagues", True)
    change = one.changes[0]
    assert (change.operation, change.before) == ("create", {})
    assert change.after["mobilePhone"] == "+4915123456789"
    assert "jobTitle" not in change.after


@pytest.mark.parametrize("purged", [False, True])
async def test_before_and_after_come_from_the_mailbox_and_the_directory(purged: bool) -> None:
    world = World()
    first, second, third, fourth = world.hire_many(4)
    await world.connect()
    await world.run()
    world.tenant.change_user(second, {"mobilePhone": None, "department": "Legal"})
    world.tenant.remove_user(third)
    new = world.hire("New Hire")
    edited = next(c for c in world.tenant.contacts(first, "Colleagues") if c.values["displayName"].endswith("3"))
    Phones(world.tenant).edit(first, edited, "+1 555 0100")
    if purged:
        await world.context.purge(TENANT, None)
    result = await shown(world, Page(named=[first]))
    (one,) = result.mailboxes
    assert {(change.operation, change.key): (change.before, change.after) for change in one.changes} == {
        ("create", f"u:{new}"): ({}, one.changes[0].after),
        ("update", f"u:{second}"): (
            {"department": "Sales", "mobilePhone": "+4915123456789"},
            {"department": "Legal", "mobilePhone": None},
        ),
        ("update", f"u:{fourth}"): ({"mobilePhone": "+1 555 0100"}, {"mobilePhone": "+4915123456789"}),
        ("delete", f"u:{third}"): (one.changes[-1].before, {}),
    }
    assert one.changes[-1].before["displayName"] == "Person Number00002"
    assert one.unchanged == 1
    assert result.difference is not None
    if purged:
        assert result.difference.people is None
    else:
        assert result.difference.counts() == {
            "people_added": 1, "people_changed": 1, "people_removed": 1, "targets_added": 1, "targets_removed": 1,
        }  # fmt: skip
        assert result.removed == [(f"u:{third}", "Person Number00002")]


async def test_a_run_does_just_what_its_preview_said() -> None:
    world, mailboxes = await synced(5)
    world.tenant.change_user(mailboxes[0], {"jobTitle": "Boss"})
    world.tenant.remove_user(mailboxes[1])
    world.hire("New Hire")
    result = await shown(world)
    run = await world.run()
    assert run.state is RunState.SUCCEEDED
    assert totals(result) == (run.counts.created, run.counts.updated, run.counts.deleted)
    by_mailbox = await world.results(run)
    assert {one.mailbox: (one.outcome, one.created) for one in result.mailboxes} == {
        mailbox: (did.outcome, did.counts.created) for mailbox, did in by_mailbox.items()
    }
    again = await shown(world)
    assert totals(again) == (0, 0, 0)


async def test_it_says_what_would_hold_and_what_stands_in_the_way_of_mailboxes() -> None:
    world, mailboxes = await synced(6, {"brakes": {"percent": 20, "at_least": 2}})
    for user in mailboxes[4:]:
        world.tenant.remove_user(user)
    world.tenant.set_mailbox_state(mailboxes[0], "outOfScope")
    result = await shown(world)
    assert result.holds[0] == Hold(Reason.SOURCE_DROPPED, "6 -> 4")
    assert result.holds[-1] == Hold(Reason.TARGETS_DROPPED, "6 -> 4")
    by_mailbox = {one.mailbox: one for one in result.mailboxes}
    assert (by_mailbox[mailboxes[0]].outcome, by_mailbox[mailboxes[0]].reason) == ("set_aside", Reason.OUT_OF_SCOPE)
    held = by_mailbox[mailboxes[1]]
    assert (held.outcome, held.reason, held.detail, held.deleted) == ("held", Reason.DELETIONS_HELD, "2 of 6", 2)


async def test_a_source_that_cannot_be_read_and_a_tenant_without_consent_are_said() -> None:
    world = World()
    world.hire_many(2)
    await world.connect()
    world.tenant.app.permissions = frozenset({"Contacts.Read"})
    result = await shown(world)
    assert result.holds == [Hold(Reason.CONSENT_MISSING, "Authorization_RequestDenied")]
    world.tenant.app.consent = "revoked"
    assert (await shown(world)).holds[0].reason == Reason.CONSENT_MISSING
    assert (await world.run()).state is RunState.FAILED


async def test_a_changed_definition_and_one_that_is_not_saved_can_be_tried() -> None:
    world, mailboxes = await synced(3)
    sync = await load_sync(world.tables, TENANT, SYNC)
    rule = {"attribute": "displayName", "operator": "ends_with", "values": ["1"]}
    values = {"name": "x", "folder": "Colleagues", "targets": {"include": mailboxes[:1]}, "selection": {"rule": rule}}
    definition = SyncDefinition.model_validate(values)
    result = await shown(world, sync=replace(sync, definition=definition))
    assert (result.people, result.targets) == (1, 1)
    assert {one.mailbox: (one.outcome, one.deleted) for one in result.mailboxes} == {
        mailboxes[0]: ("done", 2),
        mailboxes[1]: ("removed", 3),
        mailboxes[2]: ("removed", 3),
    }
    assert ("selection.rule", 1) in [(line.path, line.lets_in) for line in result.lines]
    unsaved = await shown(world, sync=Sync(TENANT, UNSAVED, definition))
    (one,) = unsaved.mailboxes
    assert (one.folder, one.folder_is_new, one.created, one.deleted) == ("Colleagues", False, 1, 0)
    assert unsaved.holds == []


async def test_mailboxes_come_page_by_page() -> None:
    world = World()
    mailboxes = sorted(world.hire_many(23))
    await world.connect()
    seen: list[str] = []
    page = Page(most=9)
    for _ in range(3):
        result = await shown(world, page)
        seen += [one.mailbox for one in result.mailboxes]
        if result.next is not None:
            page = Page(most=9, start=result.next[0], skip=result.next[1])
    assert seen == mailboxes
    assert result.next is None
    assert len((await shown(world, Page(most=500))).mailboxes) == previews.MOST_MAILBOXES


async def test_an_answer_has_a_size_and_the_rest_comes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "MOST_BYTES", 4000)
    world = World()
    world.hire_many(12, mailboxes=3)
    await world.connect()
    found: Counter[tuple[str, str]] = Counter()
    page: Page | None = Page()
    pages = 0
    while page is not None:
        result = await shown(world, page)
        found.update((one.mailbox, change.key) for one in result.mailboxes for change in one.changes)
        assert all(one.created == 12 for one in result.mailboxes)
        page = Page(start=result.next[0], skip=result.next[1]) if result.next else None
        pages += 1
    assert (len(found), set(found.values())) == (36, {1})
    assert pages > 2


async def test_doubles_copies_and_strangers() -> None:
    world, mailboxes = await synced(3)
    phones = Phones(world.tenant)
    folder = world.tenant.folder(mailboxes[0], "Colleagues")
    phones.create(mailboxes[0], folder, mail="own@example.org")
    phones.copy(mailboxes[0], world.tenant.contacts(mailboxes[0], "Colleagues")[0], folder)
    (one,) = (await shown(world, Page(named=[mailboxes[0]]))).mailboxes
    assert (one.copies, one.doubles, one.unchanged, one.changes) == (1, 0, 3, [])
    (nobody,) = (await shown(world, Page(named=["00000000-0000-4000-8000-000000000000"]))).mailboxes
    assert nobody.outcome == "not_a_target"


async def test_what_cannot_be_previewed() -> None:
    world, _ = await synced(2)
    sync = await load_sync(world.tables, TENANT, SYNC)
    with pytest.raises(InputError):
        await shown(world, sync=replace(sync, deleting=True))
    with pytest.raises(NotFoundError):
        await shown(world, sync=replace(sync, tenant="22222222-2222-4333-8444-555555555555"))


async def test_a_held_run_says_what_it_would_do() -> None:
    world, mailboxes = await synced(6, {"brakes": {"percent": 20, "at_least": 2}})
    for user in mailboxes[4:]:
        world.tenant.remove_user(user)
    world.tenant.change_user(mailboxes[0], {"jobTitle": "Boss"})
    world.hire("New Hire", mailbox="none")
    run = await world.run()
    assert (run.state, run.reason) == (RunState.HELD, Reason.TARGETS_DROPPED)
    assert run.would == {"people_added": 1, "people_changed": 1, "people_removed": 2, "targets_added": 0, "targets_removed": 2}
    await world.context.purge(TENANT, None)
    assert (await world.run()).would == {"targets_added": 0, "targets_removed": 2}


async def test_policies_are_part_of_the_plan() -> None:
    rules = {"officeLocation": {"policy": "fill", "constant": "Head office"}, "personalNotes": {"constant": "See the intranet"}}
    definition = {"on_user_edit": "keep", "on_user_delete": "respect", "fields": {"rules": rules}}
    world, mailboxes = await synced(4, definition)
    phones = Phones(world.tenant)
    first = {str(contact.values["displayName"]): contact for contact in world.tenant.contacts(mailboxes[0], "Colleagues")}
    phones.edit(mailboxes[0], first["Person Number00000"], "+1 555 0100")
    phones.delete(mailboxes[0], first["Person Number00001"])
    await world.run(check=Check.CHANGES)
    world.clock.advance(timedelta(days=1))
    for mailbox in mailboxes[:3]:
        world.tenant.change_user(mailbox, {"mobilePhone": "+49 30 9876543", "jobTitle": "Boss"})
    result = await shown(world)
    one = next(one for one in result.mailboxes if one.mailbox == mailboxes[0])
    assert {change.key: sorted(change.after) for change in one.changes} == {
        f"u:{mailboxes[0]}": ["jobTitle"],
        f"u:{mailboxes[2]}": ["jobTitle", "mobilePhone"],
    }
    run = await world.run()
    assert totals(result) == (run.counts.created, run.counts.updated, run.counts.deleted)


async def test_a_list_in_the_default_folder_and_leavers_who_keep_theirs() -> None:
    world, mailboxes = await synced(3, {"folder": None, "targets": {"leavers": "keep"}})
    default = world.tenant.mailbox(mailboxes[0]).contacts
    Phones(world.tenant).create(mailboxes[0], default, mail="own@example.org")
    world.tenant.change_user(mailboxes[1], {"jobTitle": "Boss"})
    (one,) = (await shown(world, Page(named=[mailboxes[0]]))).mailboxes
    assert (one.folder, one.folder_is_new, one.unchanged) == (default.name, False, 2)
    assert [(change.operation, change.key, change.after) for change in one.changes] == [
        ("update", f"u:{mailboxes[1]}", {"jobTitle": "Boss"})
    ]
    await world.define({"folder": None, "targets": {"include": mailboxes[:2], "leavers": "keep"}})
    (leaver,) = (await shown(world, Page(named=[mailboxes[2]]))).mailboxes
    assert (leaver.outcome, leaver.changes) == ("kept", [])


async def test_it_says_which_other_syncs_write_under_the_same_name() -> None:
    world = World()
    mailboxes = world.hire_many(4, mailboxes=3)
    await world.connect({"targets": {"include": mailboxes[:2]}})
    await world.define(
        {"folder": "COLLEAGUES", "targets": {"include": mailboxes[1:3]}, "selection": {"exclude": mailboxes[:1]}}, sync="second"
    )
    await world.define({"folder": "Elsewhere"}, sync="third")
    await world.define({"targets": {"include": mailboxes[2:3]}}, sync="fourth")
    for sync in (SYNC, "second", "third", "fourth"):
        await world.run(sync=sync)

    async def met(sync: str) -> list[tuple[str, int, int]]:
        found = await preview(world.context, await load_sync(world.tables, TENANT, sync), Page())
        return [(other.sync, other.mailboxes, other.people) for other in found.same_folder]

    assert await met(SYNC) == [("second", 1, 3)]
    assert await met("second") == [("fourth", 1, 3), (SYNC, 1, 3)]
    assert await met("third") == []
    await world.context.purge(TENANT, SYNC)
    assert await met("second") == [("fourth", 1, 3), (SYNC, 1, 0)]
    await admin.delete_sync(world.context, TENANT, "fourth")
    assert await met("second") == [(SYNC, 1, 0)]


async def test_a_shared_folder_is_shown_and_one_that_a_renamed_sync_moves_to() -> None:
    world, mailboxes = await synced(3)
    await world.define({}, sync="second")
    for named, new in (("colleagues", False), ("Team", True)):
        definition = SyncDefinition.model_validate({"name": "x", "folder": named})
        for one in (await shown(world, sync=Sync(TENANT, UNSAVED, definition))).mailboxes:
            assert (one.folder, one.folder_is_new, one.created) == ("Team" if new else "Colleagues", new, 3)
    await world.run(sync="second")
    for sync in (SYNC, "second"):
        saved = await load_sync(world.tables, TENANT, sync)
        renamed = replace(saved, definition=SyncDefinition.model_validate({"name": "x", "folder": "Team"}))
        result = await shown(world, sync=renamed)
        assert totals(result) == (9, 0, 0)
        assert {(one.folder, one.folder_is_new) for one in result.mailboxes} == {("Team", True)}
    assert [folder.name for folder in world.tenant.mailbox(mailboxes[0]).contacts.children.values()] == ["Colleagues"]
