"""Calendars and what the engine does for contacts too: previews, undo, purges, ways out; and calendars that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from local.m365.calendars.events import Shown
from sync_core.definition import SyncDefinition, parse
from sync_core.engine import admin
from sync_core.engine.exit import Exit, Left, leave_mailbox
from sync_core.engine.preview import Page, preview
from sync_core.engine.undo import undo
from sync_core.errors import InputError, Reason
from sync_core.model import RunState
from sync_core.state.runs import Check
from sync_core.state.syncs import load_sync
from tests.engine.rooms import SYNC, TEAM, Watched, watched
from tests.engine.world import INSTALLATION, TENANT


@pytest.fixture
def world() -> Watched:
    return watched()


# --- the same machinery ----------------------------------------------------------------------------------------------


async def test_a_preview_shows_events_and_writes_nothing(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    await world.mirror()
    sync = await load_sync(world.tables, TENANT, SYNC)
    shown = await preview(world.context, sync, Page())
    assert (shown.people, [one.folder for one in shown.mailboxes]) == (1, [TEAM])
    assert [change.after["subject"] for change in shown.mailboxes[0].changes] == ["One"]
    assert world.kept(world.reader).events() == []
    await world.good()
    (event,) = world.mirrored(world.reader).events.values()
    world.kept(world.reader).change(Shown(event), {"subject": "Mine"})
    (mailbox,) = (await preview(world.context, sync, Page())).mailboxes
    assert [(change.operation, change.before, change.after) for change in mailbox.changes] == [
        ("update", {"subject": "Mine"}, {"subject": "One"})
    ]


async def test_a_run_can_be_undone(world: Watched) -> None:
    one = world.book("One", "2026-11-10T10:00:00")
    await world.mirror()
    await world.good()
    world.kept(world.room).change(Shown(one), {"subject": "Wrong"})
    wrong = await world.good()
    assert world.subjects(world.reader) == ["Wrong"]
    await undo(world.context, TENANT, wrong.run)
    await world.settle()
    assert world.subjects(world.reader) == ["One"]


async def test_caches_may_be_purged_at_any_moment(world: Watched) -> None:
    for number in range(5):
        world.book(f"Event {number}", "2026-11-10T10:00:00")
    await world.mirror(purge_after_sync=True)
    await world.good()
    world.cloud.counters.reset()
    run = await world.good()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
    assert world.cloud.counters.mailboxes[world.reader] == 0
    await world.context.purge(TENANT, None)
    run = await world.good(check=Check.CHANGES)
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)


async def test_deleting_the_sync_takes_everything_back(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    await world.mirror()
    await world.good()
    await admin.delete_sync(world.context, TENANT, SYNC)
    await world.settle()
    assert [calendar.name for calendar in world.kept(world.reader).listed()] == ["Calendar"]
    assert world.kept(world.reader).events() == []
    world.check()


async def test_what_is_there_is_found_by_marks_alone(world: Watched) -> None:
    world.book("One", "2026-11-10T10:00:00")
    await world.mirror()
    await world.good()
    kept = world.kept(world.reader)
    kept.move(next(iter(world.mirrored(world.reader).events.values())), kept.default)
    await world.good(check=Check.CHANGES)
    calendars = world.context.graph.calendars(TENANT)
    left = await leave_mailbox(calendars, world.reader, installation=INSTALLATION, action=Exit.REMOVE)
    assert left == Left(deleted=1, folders_deleted=1)
    assert [event.values["subject"] for event in kept.events()] == ["One"]  # the one that was moved


async def test_people_do_not_turn_into_calendars(world: Watched) -> None:
    await world.mirror()
    with pytest.raises(InputError) as refused:
        await world.define({"sources": [{"kind": "directory"}]}, sync=SYNC)
    assert refused.value.field == "sources"


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"folder": None}, "sources"),
        ({"sources": [{"kind": "directory"}]}, "events"),
        ({"fields": {"phones": "as_is"}}, "fields"),
        ({"on_user_edit": "keep"}, "on_user_edit"),
        ({"events": {"days_ahead": 5000}}, "events.days_ahead"),
        ({"events": {"color": "pink"}}, "events.color"),
    ],
)
def test_a_definition_that_does_not_fit_is_refused(values: dict[str, Any], field: str) -> None:
    room = {"kind": "calendar", "mailbox": "11111111-2222-4333-8444-555555555556"}
    with pytest.raises(InputError) as refused:
        parse(SyncDefinition, {"name": "x", "folder": "y", "sources": [room], "events": {}, **values})
    assert refused.value.field == field


async def test_unreadable_calendars_say_why(world: Watched) -> None:
    directory = world.tenant.directory
    group = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    directory.groups.add({"id": group, "displayName": "Group"})
    outside = world.hire("Out Side", mailbox="outOfScope")
    for mailbox, why in (
        (group, "group calendars"),
        ("aaaaaaaa-bbbb-4ccc-8ddd-ffffffffffff", "no such mailbox"),
        (outside, "access scope"),
    ):
        await world.mirror({"kind": "calendar", "mailbox": mailbox})
        run = await world.run(sync=SYNC)
        assert (run.state, run.reason) == (RunState.HELD, Reason.SOURCE_UNREADABLE)
        assert why in run.detail
    await world.mirror(world.source(calendar="Nowhere"))
    assert "no calendar of this name" in (await world.run(sync=SYNC)).detail


async def test_one_calendar_that_cannot_be_read_does_not_hold_up_the_others(world: Watched) -> None:
    other = world.hire("Second Room")
    world.book("Workshop", "2026-11-05T10:00:00")
    world.book("Interview", "2026-11-05T10:00:00", user=other)
    sources = [world.source(), {"kind": "calendar", "mailbox": other}, world.source(calendar="Nowhere")]
    await world.mirror(*sources, targets={"include": [world.reader]})
    run = await world.run(sync=SYNC)
    assert run.state is RunState.PARTIAL
    assert "no calendar of this name" in run.source_problem
    assert world.subjects(world.reader) == ["Interview", "Workshop"]
    world.tenant.set_mailbox_state(other, "outOfScope")
    world.book("Retrospective", "2026-11-06T10:00:00")
    run = await world.run(sync=SYNC)
    assert "access scope" in run.source_problem
    assert world.subjects(world.reader) == ["Interview", "Retrospective", "Workshop"]
    await world.context.purge(TENANT, None)
    run = await world.run(sync=SYNC)  # what the second room said last is not known any more
    assert (run.state, run.reason) == (RunState.HELD, Reason.SOURCE_UNREADABLE)
    assert world.subjects(world.reader) == ["Interview", "Retrospective", "Workshop"]
    world.tenant.set_mailbox_state(other, "ok")
    await world.mirror(*sources[:2], targets={"include": [world.reader]})
    run = await world.good()
    assert (run.counts.created, run.counts.deleted, run.source_problem) == (0, 0, "")
