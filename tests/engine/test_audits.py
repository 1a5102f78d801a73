"""What users did on their phones is noticed: the decision table, line by line, as mailboxes show it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import Contact
from sync_core import marks
from sync_core.engine.context import AUDIT_EVERY
from sync_core.engine.replicate import next_audit
from sync_core.errors import Reason
from sync_core.model import RunState
from sync_core.state.runs import Check
from tests.engine.world import SYNC, TENANT, World

NIGHT = timedelta(days=1)


async def synced(people: int = 3, *, mailboxes: int | None = None) -> tuple[World, str]:
    """A world after its first night, and one mailbox in it."""
    world = World()
    mailbox = world.hire_many(people, mailboxes=mailboxes)[0]
    await world.connect()
    await world.run()
    world.clock.advance(NIGHT)
    return world, mailbox


def ours(world: World, mailbox: str, number: int = 0) -> Contact:
    """One of our contacts."""
    contacts = world.tenant.contacts(mailbox, "Colleagues")
    return sorted(contacts, key=lambda contact: str(contact.values["displayName"]))[number]


def is_marked(contact: Contact) -> bool:
    return marks.parse(contact.extended.get(marks.KEY_PROPERTY, "")) is not None


# --- the snapshot has it -------------------------------------------------------------------------------------------------


async def test_a_new_colleague_is_created() -> None:
    world, mailbox = await synced()
    world.hire("New Colleague")
    run = await world.run()
    assert "New Colleague" in world.names(mailbox)
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (3 + 4, 0, 0)  # and all four in the new mailbox


async def test_an_item_with_our_mark_that_the_ledger_lacks_is_taken_in_and_brought_up_to_date() -> None:
    world, mailbox = await synced()
    await world.context.purge(TENANT, SYNC)
    world.tenant.change_user(mailbox, {"department": "Legal"})
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 3, 0)
    assert {contact.values["department"] for contact in world.tenant.contacts(mailbox, "Colleagues")} == {"Sales", "Legal"}


async def test_an_item_that_reads_back_equal_is_left_alone() -> None:
    world, mailbox = await synced()
    world.tenant.bump_change_keys(mailbox)
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)


async def test_a_changed_colleague_is_updated_and_a_removed_phone_number_goes() -> None:
    world, mailbox = await synced()
    world.tenant.change_user(mailbox, {"mobilePhone": None})
    run = await world.run()
    assert run.counts.updated == 3
    assert ours(world, mailbox).values["mobilePhone"] is None


async def test_a_contact_that_the_user_deleted_comes_back() -> None:
    world, mailbox = await synced()
    world.tenant.mailbox(mailbox).delete(ours(world, mailbox))
    run = await world.run()
    assert run.counts.created == 1
    assert len(world.names(mailbox)) == 3


async def test_a_contact_that_the_user_moved_is_theirs_and_ours_is_made_anew() -> None:
    world, mailbox = await synced()
    box, moved = world.tenant.mailbox(mailbox), ours(world, mailbox)
    before = dict(moved.values)
    box.move(moved, box.contacts)
    run = await world.run()
    assert run.counts.created == 1
    assert len(world.names(mailbox)) == 3
    assert (moved.folder, dict(moved.values), is_marked(moved)) == (box.contacts, before, False)


async def test_what_the_user_edited_is_overwritten() -> None:
    world, mailbox = await synced()
    contact = ours(world, mailbox)
    world.tenant.mailbox(mailbox).change(contact, {"mobilePhone": "+49 30 99999", "personalNotes": "likes tea"})
    run = await world.run()
    assert run.counts.updated == 1
    assert contact.values["mobilePhone"] == "+4915123456789"
    assert contact.values["personalNotes"] == "likes tea"  # not a field of ours


# --- the snapshot lacks it -----------------------------------------------------------------------------------------------


async def test_a_leaver_goes() -> None:
    world, mailbox = await synced(4)
    gone = world.hire("Gone Soon", mailbox="none")
    await world.run()
    world.tenant.remove_user(gone)
    run = await world.run()
    assert run.counts.deleted == 4
    assert "Gone Soon" not in world.names(mailbox)
    assert list(world.tenant.deleted_contacts(mailbox)) == []  # for good, not into Deleted Items


async def test_an_orphan_goes() -> None:
    world, mailbox = await synced(4)
    gone = world.hire("Gone Soon", mailbox="none")
    await world.run()
    await world.context.purge(TENANT, SYNC)  # nobody knows any more that it was written
    world.tenant.remove_user(gone)
    run = await world.run()
    assert run.counts.deleted == 4
    assert "Gone Soon" not in world.names(mailbox)


# --- doubles, copies and what is not ours ----------------------------------------------------------------------------------


async def test_the_users_copy_of_a_contact_stays_as_theirs() -> None:
    world, mailbox = await synced()
    contact = ours(world, mailbox)
    copy = world.tenant.mailbox(mailbox).create(contact.folder, dict(contact.values), dict(contact.extended))
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
    assert (is_marked(contact), is_marked(copy)) == (True, False)


async def test_of_two_copies_of_a_deleted_contact_one_becomes_ours() -> None:
    world, mailbox = await synced()
    contact, box = ours(world, mailbox), world.tenant.mailbox(mailbox)
    copies = [box.create(contact.folder, dict(contact.values), dict(contact.extended)) for _ in range(2)]
    box.delete(contact, permanently=True)
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 0, 0)
    assert sorted(map(is_marked, copies)) == [False, True]


async def test_what_was_written_twice_in_a_broken_run_is_deleted_once() -> None:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    # the first create is carried out five minutes after it was answered 504, long after its repetition
    world.cloud.faults.add(Fault(FaultKind.LATE, times=1, method="POST", path="/contacts$", delay=300))
    await world.run()
    world.clock.advance(timedelta(minutes=11))
    assert len(world.names(mailbox)) == 4
    await world.tick()
    await world.settle()
    assert len(world.names(mailbox)) == 3
    assert all(len(contacts) == 1 for contacts in world.ours(mailbox).values())


async def test_a_contact_of_the_users_own_is_never_touched() -> None:
    world, mailbox = await synced()
    box, contact = world.tenant.mailbox(mailbox), ours(world, mailbox)
    mine = [
        box.create(folder, {"displayName": "Mine", "emailAddresses": list(contact.values["emailAddresses"])})
        for folder in (contact.folder, box.contacts)
    ]
    before = [(dict(own.values), dict(own.extended), own.version) for own in mine]
    for check in Check:
        await world.run(check=check)
        world.clock.advance(NIGHT)
    assert [(dict(own.values), dict(own.extended), own.version) for own in mine] == before


async def test_another_installation_s_contacts_are_foreign() -> None:
    world, mailbox = await synced()
    other = World(beside=world, installation="installation-two")
    await other.connect()
    await other.run()
    await world.run(check=Check.EVERYTHING)
    await other.run(check=Check.EVERYTHING)
    assert len(world.ours(mailbox)) == len(world.ours(mailbox, installation="installation-two")) == 3
    assert sorted(folder.name for folder in world.tenant.mailbox(mailbox).contacts.children.values()) == [
        "Colleagues",
        "Colleagues (2)",
    ]


# --- ids and delta links ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edited", [True, False])
async def test_changed_item_ids_make_no_duplicate_and_nobody_loses_a_contact(edited: bool) -> None:
    world, mailbox = await synced()
    world.tenant.change_item_ids(mailbox)
    if edited:
        world.tenant.mailbox(mailbox).change(ours(world, mailbox), {"mobilePhone": "+49 30 99999"})
    else:
        world.tenant.change_user(mailbox, {"department": "Legal"})
    run = await world.run()
    assert run.state is RunState.SUCCEEDED
    assert len(world.names(mailbox)) == len(world.ours(mailbox)) == 3
    assert ours(world, mailbox).values["mobilePhone"] == "+4915123456789"


async def test_an_expired_delta_link_of_a_mailbox_costs_a_full_round_and_changes_nothing() -> None:
    world, mailbox = await synced()
    await world.run()
    world.clock.advance(NIGHT)
    world.tenant.mailbox(mailbox).delete(ours(world, mailbox))
    world.cloud.faults.add(Fault(FaultKind.TOKEN_EXPIRED, template="/users/{id}/contactfolders/{id}/contacts/delta", times=1))
    run = await world.run()
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (1, 0, 0)


async def test_a_round_of_changes_that_expires_before_its_end_is_for_the_next_run() -> None:
    world, mailbox = await synced(250, mailboxes=1)
    world.tenant.mailbox(mailbox).delete(ours(world, mailbox))
    world.cloud.faults.add(Fault(FaultKind.TOKEN_EXPIRED, path="/contacts/delta", mailbox=mailbox, times=2))
    run = await world.run()
    assert (run.state, run.reasons) == (RunState.PARTIAL, {Reason.MAILBOX_BUSY: 1})
    world.clock.advance(NIGHT)
    assert (await world.run()).counts.created == 1


async def test_a_close_look_finds_copies_in_other_folders_and_makes_them_the_users() -> None:
    world, mailbox = await synced()
    box, contact = world.tenant.mailbox(mailbox), ours(world, mailbox)
    inner = box.create_folder(box.create_folder(box.contacts, "Friends"), "Close ones")
    copy = box.create(inner, dict(contact.values), dict(contact.extended))
    await world.run(check=Check.EVERYTHING)
    assert (copy.folder, is_marked(copy), is_marked(contact)) == (inner, False, True)


# --- lost answers ------------------------------------------------------------------------------------------------------------


async def test_a_create_whose_answer_was_lost_is_looked_up_and_not_repeated() -> None:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.LOST, times=2, method="POST", path="/contacts$"))
    run = await world.run()
    assert run.counts.created == 3
    assert world.cloud.counters.templates["POST /users/{id}/contactfolders/{id}/contacts"] == 3
    assert len(world.names(mailbox)) == 3


async def test_a_create_that_was_not_carried_out_is_repeated_once_it_is_known_to_be_missing() -> None:
    world = World()
    mailbox = world.hire_many(3, mailboxes=1)[0]
    await world.connect()
    world.cloud.faults.add(Fault(FaultKind.ERROR, status=504, times=2, method="POST", path="/contacts$"))
    run = await world.run()
    assert run.counts.created == 3
    assert len(world.names(mailbox)) == len(world.ours(mailbox)) == 3


@pytest.mark.parametrize("definition", [{}, {"folder": None}])
@pytest.mark.parametrize("change", ["change", "removal"])
async def test_a_contact_moved_since_the_last_look_is_the_users_and_stays_as_it_is(
    definition: dict[str, Any], change: str
) -> None:
    """A run by hand in the afternoon does not look first: the id still finds the contact where the user has put it."""
    world = World()
    mailboxes = world.hire_many(4, mailboxes=1)
    await world.connect(definition)
    await world.run()
    await world.run(check=Check.CHANGES)
    (moved,) = world.ours(mailboxes[0])[f"u:{mailboxes[1]}"]
    box = world.tenant.mailbox(mailboxes[0])
    box.move(moved, box.create_folder(box.contacts, "Friends"))
    before = dict(moved.values)
    if change == "change":
        world.tenant.change_user(mailboxes[1], {"jobTitle": "Boss"})
    else:
        world.tenant.remove_user(mailboxes[1])
    run = await world.run()
    assert (run.state, moved.values, moved.folder.name) == (RunState.SUCCEEDED, before, "Friends")
    assert marks.parse(moved.extended[marks.KEY_PROPERTY]) is None
    returned = world.ours(mailboxes[0]).get(f"u:{mailboxes[1]}", [])
    assert [contact.values["jobTitle"] for contact in returned] == (["Boss"] if change == "change" else [])


@pytest.mark.parametrize(("unread", "nights"), [(0, 1), (400, 1), (401, 2), (1000, 3), (100_000, 7)])
def test_large_first_audits_are_spread_over_nights_of_which_none_costs_much_more_than_another(unread: int, nights: int) -> None:
    now = datetime(2026, 11, 1, 2, tzinfo=UTC)
    due = Counter((next_audit(f"mailbox {number}", now, unread=unread) - now - AUDIT_EVERY).days for number in range(700))
    assert sorted(due) == list(range(nights))
    assert max(due.values()) < 1.3 * 700 / nights
