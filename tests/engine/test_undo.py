"""A run can be taken back, and stays taken back until somebody resumes the sync."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gdpr.retention import purge_expired
from local.m365.faults import Fault, FaultKind
from sync_core.engine import admin, runs
from sync_core.engine.undo import undo
from sync_core.errors import InputError, NotFoundError, Reason
from sync_core.model import Counts, RunState
from sync_core.state.runs import Check, Run, load_run, newest_runs
from sync_core.state.syncs import load_sync
from tests.engine.world import NIGHTLY, SYNC, TENANT, World

NIGHT = timedelta(days=1)


class Bad:
    """A night that nobody wanted: two people gone, one new, one changed."""

    def __init__(self, world: World, mailboxes: list[str]) -> None:
        self.world, self.mailboxes = world, mailboxes
        self.before = self.contents()
        self.run: Run

    def contents(self) -> Any:
        """Key and what phones show, of all mailboxes."""
        return {
            mailbox: {
                key: [
                    {name: contact.values.get(name) for name in ("displayName", "jobTitle", "mobilePhone")}
                    for contact in contacts
                ]
                for key, contacts in self.world.ours(mailbox).items()
            }
            for mailbox in self.mailboxes
        }

    async def undone(self) -> Run:
        run = await undo(self.world.context, TENANT, self.run.run)
        await self.world.settle()
        return await load_run(self.world.tables, TENANT, run)


async def after_a_bad_night(definition: dict[str, Any] | None = None) -> Bad:
    world = World()
    mailboxes = world.hire_many(6, mailboxes=3)[:3]
    gone = list(world.tenant.directory.users.objects)[-2:]
    await world.connect({"schedule": NIGHTLY, **(definition or {})})
    await world.run()
    bad = Bad(world, mailboxes)
    world.clock.advance(NIGHT)
    for user in gone:
        world.tenant.remove_user(user)
    world.hire("New Hire", mailbox="none")
    world.tenant.change_user(mailboxes[0], {"jobTitle": "Boss", "mobilePhone": None})
    bad.run = await world.run()
    assert bad.run.counts == Counts(created=3, updated=3, deleted=6)
    return bad


async def scheduled(world: World) -> None:
    world.clock.advance(NIGHT)
    await world.tick()
    await world.settle()


async def test_every_mailbox_is_as_before_and_stays_so_until_the_sync_is_resumed() -> None:
    bad = await after_a_bad_night()
    run = await bad.undone()
    assert (run.state, run.counts, run.undoes) == (RunState.SUCCEEDED, Counts(created=6, updated=3, deleted=3), bad.run.run)
    assert bad.contents() == bad.before
    for _ in range(3):
        await scheduled(bad.world)
    assert (await bad.world.last_run()).run == run.run
    assert bad.contents() == bad.before

    await admin.resume_sync(bad.world.context, TENANT, SYNC)
    await bad.world.tick()
    await bad.world.settle()
    assert (await bad.world.last_run()).counts == Counts(created=3, updated=3, deleted=6)


async def test_runs_of_a_paused_sync_repair_and_bring_nothing_new() -> None:
    bad = await after_a_bad_night()
    await bad.undone()
    contact = bad.world.tenant.contacts(bad.mailboxes[1], "Colleagues")[0]
    bad.world.tenant.mailbox(bad.mailboxes[1]).delete(contact)
    bad.world.hire("Another Hire", mailbox="none")
    run = await bad.world.run(check=Check.CHANGES)
    assert (run.state, run.counts) == (RunState.SUCCEEDED, Counts(created=1))
    assert bad.contents() == bad.before


async def test_what_it_deletes_counts_as_released_and_the_brakes_compare_with_what_was_restored() -> None:
    bad = await after_a_bad_night({"brakes": {"percent": 40, "at_least": 1}})
    await bad.world.run()
    for number in range(6):
        bad.world.hire(f"Extra Number{number}", mailbox="none")
    bad.run = await bad.world.run()
    run = await bad.undone()
    assert (run.state, run.counts) == (RunState.SUCCEEDED, Counts(deleted=18))
    sync = await load_sync(bad.world.tables, TENANT, SYNC)
    assert (sync.people, sync.paused) == (5, True)


async def test_an_undo_can_itself_be_undone() -> None:
    bad = await after_a_bad_night()
    now = bad.contents()
    first = await bad.undone()
    bad.run = first
    assert (await bad.undone()).state is RunState.SUCCEEDED
    assert bad.contents() == now


@pytest.mark.parametrize("moment", range(1, 40, 3))
async def test_an_undo_that_dies_anywhere_is_finished_without_doubles(moment: int) -> None:
    bad = await after_a_bad_night()
    world = bad.world
    run = await undo(world.context, TENANT, bad.run.run)
    seen = 0

    class DiedError(Exception):
        """The process is gone."""

    async def die(when: str, operation: str, _table: str) -> None:
        nonlocal seen
        seen += when == "after" and operation == "commit"
        if seen == moment:
            seen += 1
            raise DiedError

    world.tables.hook = die
    for _ in range(3):
        try:
            await world.settle()
        except DiedError:
            # the message comes again, or the schedule revives the run
            world.clock.advance(timedelta(minutes=31))
            await world.tick()
    world.clock.advance(timedelta(minutes=31))
    await world.tick()
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).state.final
    if (await load_run(world.tables, TENANT, run)).state is not RunState.SUCCEEDED:
        await world.run()
    assert bad.contents() == bad.before


async def test_a_create_that_commits_late_is_found_though_the_sync_is_paused() -> None:
    bad = await after_a_bad_night()
    world = bad.world
    template = "/users/{id}/contactfolders/{id}/contacts"
    world.cloud.faults.add(Fault(FaultKind.LATE, method="POST", template=template, delay=400, times=1))
    await bad.undone()
    for _ in range(3):
        world.clock.advance(timedelta(minutes=11))
        await world.tick()
        await world.settle()
    assert bad.contents() == bad.before


async def test_the_same_content_read_anew_does_not_cost_the_undo() -> None:
    bad = await after_a_bad_night()
    for _ in range(8):  # over a week: the directory is read in full once
        await scheduled(bad.world)
    assert (await bad.undone()).state is RunState.SUCCEEDED
    assert bad.contents() == bad.before


async def test_what_cannot_be_undone_says_why() -> None:
    bad = await after_a_bad_night()
    world = bad.world
    with pytest.raises(NotFoundError):
        await undo(world.context, TENANT, "0000000000000-00000000")
    quiet = await world.run()
    with pytest.raises(InputError, match="has not changed the list"):
        await undo(world.context, TENANT, quiet.run)
    first = [run async for run in newest_runs(world.tables, TENANT)][-1]
    with pytest.raises(InputError, match="first one"):
        await undo(world.context, TENANT, first.run)
    world.hire("Later Hire", mailbox="none")
    later = await world.run()
    with pytest.raises(InputError, match="not kept any more"):
        await undo(world.context, TENANT, bad.run.run)
    active = await runs.request_run(world.context, TENANT, SYNC)
    with pytest.raises(InputError, match="under way"):
        await undo(world.context, TENANT, later.run)
    with pytest.raises(InputError, match="under way"):
        await undo(world.context, TENANT, active)
    await world.settle()
    bad.run = later
    await bad.undone()
    with pytest.raises(InputError, match="nothing to undo"):
        await undo(world.context, TENANT, later.run)
    assert not (await load_sync(world.tables, TENANT, SYNC)).active_run


@pytest.mark.parametrize("how", ["purged", "expired"])
async def test_without_the_snapshot_it_is_refused(how: str) -> None:
    bad = await after_a_bad_night({"schedule": {"kind": "manual"}})
    if how == "purged":
        await bad.world.context.purge(TENANT, SYNC)
    else:
        bad.world.clock.advance(timedelta(days=58))
        await purge_expired(bad.world.tables, TENANT, bad.world.clock.now())
    with pytest.raises(InputError, match="not kept any more"):
        await undo(bad.world.context, TENANT, bad.run.run)
    assert not (await load_sync(bad.world.tables, TENANT, SYNC)).paused


async def test_a_snapshot_that_is_purged_at_the_last_moment_holds_the_run() -> None:
    bad = await after_a_bad_night()
    now = bad.contents()
    run = await undo(bad.world.context, TENANT, bad.run.run)
    await bad.world.context.purge(TENANT, SYNC)
    await bad.world.settle()
    held = await load_run(bad.world.tables, TENANT, run)
    assert (held.state, held.reason) == (RunState.HELD, Reason.SNAPSHOT_GONE)
    assert (await bad.world.run()).reason == Reason.SNAPSHOT_GONE  # paused still
    assert bad.contents() == now


async def test_pausing_and_resuming_keep_to_the_schedule() -> None:
    bad = await after_a_bad_night()
    world = bad.world
    await world.define({"schedule": {"kind": "manual"}})
    paused = await admin.pause_sync(world.context, TENANT, SYNC)
    assert (paused.paused, paused.next_run) == (True, None)
    await world.define({"schedule": NIGHTLY})
    assert (await load_sync(world.tables, TENANT, SYNC)).next_run is None
    resumed = await admin.resume_sync(world.context, TENANT, SYNC)
    assert (resumed.paused, resumed.next_run) == (False, world.clock.now())
    world.clock.advance(timedelta(hours=1))
    assert (await admin.resume_sync(world.context, TENANT, SYNC)).next_run == resumed.next_run


# --- after a change of what is written ---------------------------------------------------------------------------------------

FIELDS = ("displayName", "jobTitle", "department", "officeLocation", "categories", "personalNotes", "mobilePhone")


@pytest.mark.parametrize("policy", [{}, {"on_user_edit": "keep"}, {"on_user_delete": "respect"}])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"categories": {"constant": ["Colleagues"]}}),
        ({"categories": {"constant": ["Colleagues"]}}, {}),
        ({}, {"officeLocation": {"policy": "leave"}}),
        ({}, {"jobTitle": {"policy": "fill"}}),
        ({"jobTitle": {"policy": "fill"}}, {}),
        ({}, {"department": {"policy": "clear"}}),
        ({"personalNotes": {"source": "officeLocation"}}, {}),
        ({}, {"personalNotes": {"source": "officeLocation"}}),
    ],
)
async def test_a_change_of_the_fields_is_taken_back_too(
    policy: dict[str, Any], before: dict[str, Any], after: dict[str, Any]
) -> None:
    world = World()
    mailboxes = world.hire_many(4, mailboxes=2)[:2]
    for user in world.tenant.directory.users.objects:
        world.tenant.change_user(user, {"jobTitle": "Clerk", "officeLocation": "Berlin 1"})

    def shown() -> Any:
        return {
            (mailbox, key): [{name: contact.values.get(name) or None for name in FIELDS} for contact in contacts]
            for mailbox in mailboxes
            for key, contacts in world.ours(mailbox).items()
        }

    await world.connect({"schedule": NIGHTLY, "fields": {"rules": before}, **policy})
    await world.run()
    await scheduled(world)
    was = shown()
    await world.define({"schedule": NIGHTLY, "fields": {"rules": after}, **policy})
    world.clock.advance(NIGHT)
    changed = await world.run()
    assert changed.state is RunState.SUCCEEDED
    run = await undo(world.context, TENANT, changed.run)
    await world.settle()
    assert (await load_run(world.tables, TENANT, run)).state is RunState.SUCCEEDED
    assert shown() == was
    for _ in range(2):
        world.clock.advance(NIGHT)
        quiet = await world.run()  # paused: it looks, and finds everything as it should be
        assert (quiet.state, quiet.counts) == (RunState.SUCCEEDED, Counts())
    assert shown() == was
