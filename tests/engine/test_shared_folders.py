"""Two syncs that write into one folder: each knows its own contacts, and the folder is there as long as one of them needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from local.m365.mailbox import Contact
from sync_core import marks
from sync_core.engine import admin, runs
from sync_core.engine.exit import Exit, leave_mailbox
from sync_core.errors import InputError, NotFoundError
from sync_core.model import RunState
from sync_core.state.replicas import load_replica
from sync_core.state.runs import Check
from tests.engine.hazards import Fuse, Hazards, Site
from tests.engine.rooms import SYNC as CALENDAR
from tests.engine.rooms import TEAM, Rooms, our_calendars
from tests.engine.test_interruptions import quieten
from tests.engine.world import INSTALLATION, SYNC, TENANT, World

SECOND = "second"
BOTH = (SYNC, SECOND)
PEOPLE = 3


async def shared(world: World | None = None, *, people: int = PEOPLE, mailboxes: int = 1) -> tuple[World, str]:
    """Two syncs of everybody in the folder of one mailbox or more."""
    world = world or World()
    mailbox = world.hire_many(people, mailboxes=mailboxes)[0]
    await world.connect()
    await world.define({}, sync=SECOND)
    for sync in BOTH:
        await world.run(sync=sync)
    world.clock.advance(timedelta(days=1))
    return world, mailbox


def other(sync: str) -> str:
    return SECOND if sync == SYNC else SYNC


def places(world: World, mailbox: str) -> dict[str, str | None]:
    """The folders below Contacts, and whose mark each bears."""
    return {
        folder.name: marks.installed_by(folder.extended.get(marks.KEY_PROPERTY), INSTALLATION)
        for folder in world.tenant.mailbox(mailbox).contacts.children.values()
    }


def where(world: World, mailbox: str, sync: str) -> list[str]:
    """In which folder each contact of a sync is."""
    return [contact.folder.name for contacts in world.ours(mailbox, sync=sync).values() for contact in contacts]


def contacts(world: World, mailbox: str, sync: str) -> list[Contact]:
    return sorted((one for found in world.ours(mailbox, sync=sync).values() for one in found), key=lambda one: one.uid)


async def delete(world: World, sync: str, *, keep: bool = False) -> None:
    await admin.delete_sync(world.context, TENANT, sync, keep_contacts=keep)
    await world.settle()


async def all_is_quiet(world: World, *syncs: str) -> None:
    for check in (Check.DUE, Check.CHANGES, Check.EVERYTHING):
        for sync in syncs:
            run = await world.run(sync=sync, check=check)
            assert run.state is RunState.SUCCEEDED
            assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0), f"{sync}, {check}"


async def test_both_write_into_one_folder_and_leave_each_other_s_contacts_alone() -> None:
    world, mailbox = await shared()
    assert places(world, mailbox) == {"Colleagues": SYNC}
    assert where(world, mailbox, SYNC) == where(world, mailbox, SECOND) == ["Colleagues"] * PEOPLE
    await all_is_quiet(world, *BOTH)
    await world.context.purge(TENANT, None)
    await all_is_quiet(world, *BOTH)


async def test_a_folder_of_the_user_s_own_is_not_shared_but_what_ours_is_called_instead() -> None:
    world = World()
    mailbox = world.hire_many(PEOPLE, mailboxes=1)[0]
    box = world.tenant.mailbox(mailbox)
    box.create_folder(box.contacts, "Colleagues")
    await world.connect()
    await world.define({"folder": "colleagues"}, sync=SECOND)
    for sync in BOTH:
        await world.run(sync=sync)
    assert places(world, mailbox) == {"Colleagues": None, "Colleagues (2)": SYNC}
    assert where(world, mailbox, SYNC) == where(world, mailbox, SECOND) == ["Colleagues (2)"] * PEOPLE


async def test_a_folder_that_its_user_has_renamed_and_moved_is_shared_where_it_is() -> None:
    world = World()
    mailbox = world.hire_many(PEOPLE, mailboxes=1)[0]
    box = world.tenant.mailbox(mailbox)
    await world.connect()
    await world.run()
    folder = world.tenant.folder(mailbox, "Colleagues")
    box.rename_folder(folder, "Work")
    box.move_folder(folder, box.create_folder(box.contacts, "Mine"))
    await world.define({}, sync=SECOND)
    await world.run(sync=SECOND)
    assert where(world, mailbox, SECOND) == ["Work"] * PEOPLE
    assert places(world, mailbox) == {"Mine": None}


async def test_a_folder_of_another_name_is_not_shared_because_its_user_calls_it_like_ours() -> None:
    world = World()
    mailbox = world.hire_many(PEOPLE, mailboxes=1)[0]
    await world.connect({"folder": "Team"})
    await world.run()
    world.tenant.mailbox(mailbox).rename_folder(world.tenant.folder(mailbox, "Team"), "Colleagues")
    await world.define({}, sync=SECOND)
    await world.run(sync=SECOND)
    assert places(world, mailbox) == {"Colleagues": SYNC, "Colleagues (2)": SECOND}


async def test_the_folder_of_another_installation_is_not_shared() -> None:
    world = World()
    mailbox = world.hire_many(PEOPLE, mailboxes=1)[0]
    await world.connect()
    await world.run()
    elsewhere = World(beside=world, installation="installation-two")
    await elsewhere.connect({}, sync=SECOND)
    await elsewhere.run(sync=SECOND)
    assert sorted(places(world, mailbox)) == ["Colleagues", "Colleagues (2)"]


@pytest.mark.parametrize("keep", [False, True], ids=["removed", "kept"])
@pytest.mark.parametrize("goes", BOTH, ids=["who made it goes", "who came in goes"])
async def test_who_goes_takes_their_own_and_the_folder_stays_until_the_last_one_has_gone(goes: str, keep: bool) -> None:
    world, mailbox = await shared()
    folder = world.tenant.folder(mailbox, "Colleagues")
    stays = contacts(world, mailbox, other(goes))
    await delete(world, goes, keep=keep)
    assert places(world, mailbox) == {"Colleagues": other(goes)}
    assert contacts(world, mailbox, other(goes)) == stays
    assert len(folder.contacts) == PEOPLE * (1 + keep)
    await all_is_quiet(world, other(goes))
    await delete(world, other(goes))
    assert places(world, mailbox) == ({"Colleagues": None} if keep else {})
    assert world.ours(mailbox) == world.ours(mailbox, sync=SECOND) == {}


@pytest.mark.parametrize("leaves", BOTH)
async def test_a_mailbox_that_leaves_one_of_two_keeps_the_other_and_may_come_back(leaves: str) -> None:
    world, mailbox = await shared(mailboxes=2)
    await world.define({"targets": {"exclude": [mailbox]}}, sync=leaves)
    await world.run(sync=leaves)
    assert places(world, mailbox) == {"Colleagues": other(leaves)}
    assert len(contacts(world, mailbox, other(leaves))) == PEOPLE
    assert contacts(world, mailbox, leaves) == []
    await world.define({}, sync=leaves)
    await world.run(sync=leaves)
    assert where(world, mailbox, leaves) == ["Colleagues"] * PEOPLE
    await all_is_quiet(world, *BOTH)


async def test_what_a_user_put_into_a_shared_folder_keeps_it_when_both_have_gone() -> None:
    world, mailbox = await shared()
    mine = world.tenant.mailbox(mailbox).create(world.tenant.folder(mailbox, "Colleagues"), {"displayName": "Mine"})
    for sync in BOTH:
        await delete(world, sync)
    assert places(world, mailbox) == {"Colleagues": None}
    assert world.tenant.contacts(mailbox, "Colleagues") == [mine]


@pytest.mark.parametrize("renamed", BOTH)
async def test_who_is_renamed_moves_out_and_nobody_else_notices(renamed: str) -> None:
    world, mailbox = await shared()
    stays = contacts(world, mailbox, other(renamed))
    await world.define({"folder": "People"}, sync=renamed)
    run = await world.run(sync=renamed)
    assert run.counts.created == PEOPLE
    assert places(world, mailbox) == {"Colleagues": other(renamed), "People": renamed}
    assert where(world, mailbox, renamed) == ["People"] * PEOPLE
    assert contacts(world, mailbox, other(renamed)) == stays
    await all_is_quiet(world, *BOTH)
    replica = await load_replica(world.tables, TENANT, renamed, mailbox)
    assert replica is not None
    assert replica.left_folders == ()
    await world.define({}, sync=renamed)
    await world.run(sync=renamed)
    assert places(world, mailbox) == {"Colleagues": other(renamed)}
    assert where(world, mailbox, renamed) == ["Colleagues"] * PEOPLE
    await all_is_quiet(world, *BOTH)


async def test_where_both_are_renamed_alike_the_folder_is_renamed_and_nothing_written() -> None:
    world, mailbox = await shared()
    before = [contacts(world, mailbox, sync) for sync in BOTH]
    for sync in BOTH:
        await world.define({"folder": "People"}, sync=sync)
    for sync in BOTH:
        run = await world.run(sync=sync)
        assert run.counts.created == 0
    assert places(world, mailbox) == {"People": SYNC}
    assert [contacts(world, mailbox, sync) for sync in BOTH] == before
    await all_is_quiet(world, *BOTH)


async def test_another_spelling_of_the_name_is_the_same_name() -> None:
    world, mailbox = await shared()
    await world.define({"folder": "COLLEAGUES"}, sync=SECOND)
    run = await world.run(sync=SECOND)
    assert run.counts.created == 0
    assert places(world, mailbox) == {"COLLEAGUES": SYNC}
    await all_is_quiet(world, *BOTH)


async def test_who_is_moved_to_the_default_folder_leaves_the_shared_one_to_the_other_and_may_return() -> None:
    world, mailbox = await shared()
    for folder, named in ((None, "Contacts"), ("Colleagues", "Colleagues"), ("Team", "Team"), (None, "Contacts")):
        await world.define({"folder": folder})
        await world.run()
        assert where(world, mailbox, SYNC) == [named] * PEOPLE
        assert where(world, mailbox, SECOND) == ["Colleagues"] * PEOPLE
        assert set(places(world, mailbox)) == {"Colleagues", *([named] if named == "Team" else [])}
        await all_is_quiet(world, *BOTH)


@pytest.mark.parametrize("permanently", [False, True])
@pytest.mark.parametrize("notices", BOTH, ids=["who made it notices", "who came in notices"])
async def test_a_folder_that_its_user_deletes_is_made_anew_once(notices: str, permanently: bool) -> None:
    world, mailbox = await shared()
    box, folder = world.tenant.mailbox(mailbox), world.tenant.folder(mailbox, "Colleagues")
    box.delete_folder(folder, permanently=permanently)
    for sync in (notices, other(notices)):
        await world.run(sync=sync, check=Check.EVERYTHING)
    assert places(world, mailbox) == {"Colleagues": notices}
    assert where(world, mailbox, SYNC) == where(world, mailbox, SECOND) == ["Colleagues"] * PEOPLE
    if not permanently:  # its user takes it back
        box.rename_folder(folder, "Old")
        box.move_folder(folder, box.contacts)
    for sync in BOTH:
        await world.run(sync=sync, check=Check.EVERYTHING)
    for sync in BOTH:
        await world.run(sync=sync, check=Check.EVERYTHING)
    assert places(world, mailbox) == {"Colleagues": notices}
    assert len(world.tenant.contacts(mailbox, "Colleagues")) == 2 * PEOPLE
    await all_is_quiet(world, *BOTH)


async def test_what_the_other_sync_writes_is_neither_repaired_nor_counted_and_listed_at_most_once() -> None:
    world, mailbox = await shared(people=30)
    for sync in BOTH:
        await world.run(sync=sync, check=Check.CHANGES)
    for user in list(world.tenant.directory.users.objects):
        world.tenant.change_user(user, {"department": "Legal"})
    await world.run(sync=SECOND)
    world.cloud.counters.reset()
    world.clock.advance(timedelta(days=1))
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 30, 0)
    assert world.cloud.counters.mailboxes[mailbox] <= 30 + 3  # the audit, and one page of marks of what is unknown
    assert len(contacts(world, mailbox, SECOND)) == 30


async def test_a_user_s_deletion_is_respected_by_one_and_repaired_by_the_other() -> None:
    world, mailbox = await shared()
    await world.define({"on_user_delete": "respect"}, sync=SECOND)
    await world.run(sync=SECOND)
    box = world.tenant.mailbox(mailbox)
    for sync in BOTH:
        box.delete(contacts(world, mailbox, sync)[0])
        await world.run(sync=sync, check=Check.CHANGES)
    assert len(contacts(world, mailbox, SYNC)) == PEOPLE
    assert len(contacts(world, mailbox, SECOND)) == PEOPLE - 1
    await all_is_quiet(world, *BOTH)


async def test_who_leaves_without_our_tables_takes_all_and_what_users_moved_elsewhere_stays() -> None:
    world, mailbox = await shared()
    box = world.tenant.mailbox(mailbox)
    moved = contacts(world, mailbox, SECOND)[0]
    box.move(moved, box.contacts)
    left = await leave_mailbox(world.context.graph.mailboxes(TENANT), mailbox, installation=INSTALLATION, action=Exit.REMOVE)
    assert (left.deleted, left.unmarked, left.folders_deleted) == (2 * PEOPLE - 1, 1, 1)
    assert world.tenant.contacts(mailbox) == [moved]


# --- side by side, and killed ------------------------------------------------------------------------------------------


async def at_once(site: Site, *syncs: str) -> None:
    """Let the syncs run at the same time, every step of one between two of the other."""
    for sync in syncs:
        await runs.request_run(site.context, TENANT, sync, check=Check.EVERYTHING, by_hand=True)
    site.hazards.interleave = True
    while await site.deliver_next(at_once=len(syncs)):
        pass
    site.hazards.interleave = False


async def settled(site: Site, *syncs: str) -> None:
    """What came to an end too early is done by the next run."""
    for sync in syncs:
        await runs.request_run(site.context, TENANT, sync, check=Check.EVERYTHING, by_hand=True)
    await quieten(site)


async def test_two_that_make_the_folder_at_the_same_time_share_it() -> None:
    site = Site(Hazards())
    mailbox = site.hire_many(PEOPLE, mailboxes=1)[0]
    await site.connect()
    await site.define({}, sync=SECOND)
    await at_once(site, *BOTH)
    assert list(places(site, mailbox)) == ["Colleagues"]
    assert where(site, mailbox, SYNC) == where(site, mailbox, SECOND) == ["Colleagues"] * PEOPLE
    site.tenant.mailbox(mailbox).delete_folder(site.tenant.folder(mailbox, "Colleagues"))
    await at_once(site, *BOTH)
    assert list(places(site, mailbox)) == ["Colleagues"]
    assert where(site, mailbox, SYNC) == where(site, mailbox, SECOND) == ["Colleagues"] * PEOPLE


async def test_two_that_leave_at_the_same_time_leave_nothing() -> None:
    site = Site(Hazards())
    _, mailbox = await shared(site)
    for sync in BOTH:
        await admin.delete_sync(site.context, TENANT, sync)
    site.hazards.interleave = True
    while await site.deliver_next(at_once=2):
        pass
    assert places(site, mailbox) == {}
    assert site.tenant.contacts(mailbox) == []


@pytest.mark.parametrize("moment", ["before network", "before storage"])
@pytest.mark.parametrize("waits", BOTH, ids=["who goes waits", "who comes waits"])
async def test_one_may_go_while_another_comes(waits: str, moment: str) -> None:
    """One of them stands still at some moment, until the other one has done everything."""
    for after in range(1, 400, 1 if "network" in moment else 5):
        site = Site(Hazards(), permanent_delete=False)
        mailbox = site.hire_many(PEOPLE, mailboxes=1)[0]
        await site.connect()
        await site.run()
        await site.define({}, sync=SECOND)
        for sync in (waits, other(waits)):
            ask = (
                runs.request_run(site.context, TENANT, SECOND)
                if sync == SECOND
                else admin.delete_sync(site.context, TENANT, SYNC)
            )
            await ask
        for _ in BOTH:
            await site.deliver_next()  # the start

        async def the_other(site: Site = site) -> None:
            site.process(1)
            site.processes.reverse()  # in another process
            await site.deliver_next()

        fuse = Fuse(the_other, after, moment)
        site.hazards.fuses.append(fuse)
        await site.drain()
        assert list(places(site, mailbox).values()) == [SECOND], after
        assert where(site, mailbox, SECOND) == list(places(site, mailbox)) * PEOPLE, after
        if fuse in site.hazards.fuses:
            assert after > 3
            return
    raise AssertionError("there is no end to the moments")


async def delete_soon(site: Site, sync: str) -> None:
    await site.call(lambda context: admin.delete_sync(context, TENANT, sync), accepted=(InputError, NotFoundError))


async def comes_in(site: Site) -> None:
    await site.define({}, sync="third")
    await site.call(lambda context: runs.request_run(context, TENANT, "third", by_hand=True))


async def goes(site: Site) -> None:
    await delete_soon(site, SYNC)


async def moves_out(site: Site) -> None:
    await site.define({"folder": "People"})
    await site.call(lambda context: runs.request_run(context, TENANT, SYNC, by_hand=True))


async def both_go(site: Site) -> None:
    for sync in BOTH:
        await delete_soon(site, sync)


ACTS: dict[Callable[[Site], Awaitable[None]], dict[str, str]] = {
    comes_in: {SYNC: "Colleagues", SECOND: "Colleagues", "third": "Colleagues"},
    goes: {SECOND: "Colleagues"},
    moves_out: {SYNC: "People", SECOND: "Colleagues"},
    both_go: {},
}


@pytest.mark.parametrize("moment", ["after storage", "after network"])
@pytest.mark.parametrize("act", ACTS, ids=[act.__name__ for act in ACTS])
async def test_a_worker_may_be_killed_while_a_folder_is_shared_or_left(
    act: Callable[[Site], Awaitable[None]], moment: str
) -> None:
    for after in range(1, 1000, 1 if "network" in moment else 11):
        hazards = Hazards()
        site = Site(hazards)
        _, mailbox = await shared(site, people=2)
        hazards.fuses.append(Fuse(hazards.kill, after, moment))
        await act(site)
        await quieten(site)
        if hazards.fired:  # perhaps before it could ask for a run
            await act(site)
            await settled(site, *ACTS[act])
        assert set(places(site, mailbox)) == set(ACTS[act].values()), f"killed {moment}, {after}"
        for sync, folder in ACTS[act].items():
            assert where(site, mailbox, sync) == [folder] * 2, f"killed {moment}, {after}"
        if not hazards.fired:
            assert after > 3
            return
    raise AssertionError("there is no end to the moments")


# --- calendars ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("goes", [CALENDAR, SECOND])
async def test_two_calendars_of_one_name_are_one(goes: str) -> None:
    rooms = Rooms()
    reader = rooms.hire("Reader One")
    rooms.book("Standup", "2026-11-03T09:00:00")
    await rooms.mirror()
    values: dict[str, Any] = {"folder": TEAM, "sources": [rooms.source()], "events": {"subject": "Busy"}}
    await rooms.define(values, sync=SECOND)
    for _ in range(2):
        for sync in (CALENDAR, SECOND):
            await rooms.run(sync=sync, check=Check.EVERYTHING)
    (calendar,) = our_calendars(rooms.tenant, reader, INSTALLATION, CALENDAR)
    assert our_calendars(rooms.tenant, reader, INSTALLATION, SECOND) == []
    assert sorted(event.values["subject"] for event in calendar.events.values()) == ["Busy", "Standup"]
    await delete(rooms, goes)
    stays = SECOND if goes == CALENDAR else CALENDAR
    assert our_calendars(rooms.tenant, reader, INSTALLATION, stays) == [calendar]
    assert [event.values["subject"] for event in calendar.events.values()] == ["Standup" if stays == CALENDAR else "Busy"]
    run = await rooms.run(sync=stays, check=Check.EVERYTHING)
    assert (run.counts.created, run.counts.deleted) == (0, 0)
    await delete(rooms, stays)
    assert TEAM not in {one.name for one in rooms.kept(reader).listed()}
