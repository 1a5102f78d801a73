"""Where users have a say: field rules, edits kept, deletions respected, our block in their notes; and what looking costs."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest

from local.m365.faults import Fault, FaultKind
from local.m365.mailbox import Contact
from sync_core import notes
from sync_core.engine import runs
from sync_core.model import RunState
from sync_core.state.names import REFUSALS, partition
from sync_core.state.runs import Check, Run
from tests.engine.world import SYNC, TENANT, World

NIGHT = timedelta(days=1)
SOON = timedelta(minutes=30)

KEEP = {"on_user_edit": "keep"}
RESPECT = {"on_user_delete": "respect"}


def rules(**by_name: dict[str, Any]) -> dict[str, Any]:
    return {"fields": {"rules": by_name}}


async def synced(definition: dict[str, Any], people: int = 3) -> tuple[World, str]:
    """A world after its first night, with one mailbox."""
    world = World()
    mailbox = world.hire_many(people, mailboxes=1)[0]
    await world.connect(definition)
    await world.run()
    world.clock.advance(NIGHT)
    await world.run()
    return world, mailbox


def ours(world: World, mailbox: str, user: str) -> Contact:
    contact: Contact
    (contact,) = world.ours(mailbox)[f"u:{user}"]
    return contact


def counts(run: Run) -> tuple[int, int, int]:
    return run.counts.created, run.counts.updated, run.counts.deleted


def edit(world: World, mailbox: str, contact: Contact, **values: Any) -> None:
    world.tenant.mailbox(mailbox).change(contact, values)


async def night(world: World, check: Check = Check.DUE) -> Run:
    world.clock.advance(NIGHT)
    run = await world.run(check=check)
    assert run.state is RunState.SUCCEEDED
    return run


async def in_between(world: World) -> Run:
    """A run that comes when no audit is due."""
    world.clock.advance(SOON)
    return await world.run()


# --- field rules ---------------------------------------------------------------------------------------------------------


async def test_a_changed_rule_is_one_update_in_place() -> None:
    world, mailbox = await synced({})
    before = set(world.ours(mailbox))
    await world.define(rules(categories={"constant": ["Colleagues"]}, officeLocation={"policy": "leave"}))
    assert counts(await night(world)) == (0, 3, 0)
    assert counts(await night(world)) == (0, 0, 0)
    assert set(world.ours(mailbox)) == before
    contact = ours(world, mailbox, mailbox)
    assert contact.values["categories"] == ["Colleagues"]
    await world.context.purge(TENANT, SYNC)
    assert counts(await night(world)) == (0, 0, 0)


async def test_what_is_left_to_the_user_is_neither_written_nor_read() -> None:
    world, mailbox = await synced(rules(mobilePhone={"policy": "leave"}))
    contact = ours(world, mailbox, mailbox)
    assert not contact.values.get("mobilePhone")
    edit(world, mailbox, contact, mobilePhone="+49 30 99999")
    world.tenant.change_user(mailbox, {"department": "Legal", "mobilePhone": "+49 151 1"})
    record = BytesIO()
    world.cloud.record_to(record)
    assert counts(await night(world, Check.EVERYTHING)) == (0, 1, 0)
    assert counts(await night(world)) == (0, 0, 0)
    asked = [line for line in record.getvalue().splitlines() if b"/contacts" in line]
    assert len(asked) > 3
    assert any(b"jobTitle" in line for line in asked)
    assert not any(b"mobilePhone" in line for line in asked)
    assert contact.values["mobilePhone"] == "+49 30 99999"


async def test_a_field_is_filled_where_it_is_blank_and_never_again() -> None:
    world, mailbox = await synced(rules(mobilePhone={"policy": "fill"}, jobTitle={"policy": "fill"}))
    contact = ours(world, mailbox, mailbox)
    assert contact.values["mobilePhone"] == "+4915123456789"
    world.tenant.change_user(mailbox, {"mobilePhone": "+49 151 99999999", "jobTitle": "Clerk"})
    assert counts(await in_between(world)) == (0, 1, 0)
    assert (contact.values["mobilePhone"], contact.values["jobTitle"]) == ("+4915123456789", "Clerk")
    edit(world, mailbox, contact, mobilePhone="", jobTitle="Head clerk")
    assert counts(await night(world)) == (0, 1, 0)
    assert (contact.values["mobilePhone"], contact.values["jobTitle"]) == ("+4915199999999", "Head clerk")


@pytest.mark.parametrize("purged", [False, True])
async def test_what_the_user_typed_since_the_last_audit_is_not_blank(purged: bool) -> None:
    world, mailbox = await synced(rules(jobTitle={"policy": "fill"}))
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, jobTitle="Tea lover")
    world.tenant.change_user(mailbox, {"jobTitle": "Clerk", "department": "Legal"})
    if purged:
        await world.context.purge(TENANT, SYNC)
    assert counts(await in_between(world)) == (0, 1, 0)
    assert (contact.values["jobTitle"], contact.values["department"]) == ("Tea lover", "Legal")


async def test_a_field_that_was_the_users_is_filled_only_where_it_is_blank() -> None:
    world, mailbox = await synced(rules(jobTitle={"policy": "leave"}, mobilePhone={"policy": "leave"}))
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, mobilePhone="+49 30 99999")
    world.tenant.change_user(mailbox, {"jobTitle": "Clerk"})
    await night(world)
    await world.define(rules(jobTitle={"policy": "fill"}, mobilePhone={"policy": "fill"}))
    assert counts(await in_between(world)) == (0, 3, 0)
    assert (contact.values["mobilePhone"], contact.values["jobTitle"]) == ("+49 30 99999", "Clerk")
    assert counts(await night(world)) == (0, 0, 0)


async def test_a_field_filled_until_now_is_overwritten_once_the_rule_says_so() -> None:
    world, mailbox = await synced(rules(jobTitle={"policy": "fill"}))
    edit(world, mailbox, ours(world, mailbox, mailbox), jobTitle="Tea lover")
    assert counts(await night(world)) == (0, 0, 0)
    await world.define({})
    assert counts(await in_between(world)) == (0, 1, 0)
    assert not ours(world, mailbox, mailbox).values["jobTitle"]


# --- our block in the user's notes -----------------------------------------------------------------------------------------

OFFICE = rules(personalNotes={"source": "officeLocation"})


async def test_the_users_notes_survive_around_our_block() -> None:
    world, mailbox = await synced(OFFICE)
    contact = ours(world, mailbox, mailbox)
    world.tenant.change_user(mailbox, {"officeLocation": "Building 7"})
    await in_between(world)
    assert contact.values["personalNotes"] == notes.block("Building 7")
    edit(world, mailbox, contact, personalNotes=f"likes tea\r\n{notes.block('Building 7')}\r\nand cake")
    assert counts(await night(world)) == (0, 0, 0)
    world.tenant.change_user(mailbox, {"officeLocation": "Building 8"})
    run = await in_between(world)
    assert contact.values["personalNotes"] == f"likes tea\r\n{notes.block('Building 8')}\r\nand cake"
    assert (run.counts.updated, run.spent.requests) == (1, 3)  # the directory's delta, the notes, the update
    world.tenant.change_user(mailbox, {"department": "Legal"})
    run = await in_between(world)
    assert (run.counts.updated, run.spent.requests) == (1, 2)
    assert contact.values["personalNotes"] == f"likes tea\r\n{notes.block('Building 8')}\r\nand cake"
    await world.define(rules(personalNotes={"policy": "clear"}))
    await night(world)
    assert contact.values["personalNotes"] == "likes tea\r\nand cake"


async def test_a_block_that_the_user_has_spoilt_is_written_anew_and_nothing_of_theirs_is_lost() -> None:
    world, mailbox = await synced({**OFFICE, **rules(personalNotes={"constant": "Ask the desk"})})
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, personalNotes=notes.block("Ask nobody") + "\r\nmine")
    assert counts(await night(world)) == (0, 1, 0)
    assert contact.values["personalNotes"] == notes.block("Ask the desk") + "\r\nmine"
    edit(world, mailbox, contact, personalNotes="mine alone")
    assert counts(await night(world)) == (0, 1, 0)
    assert contact.values["personalNotes"] == "mine alone\r\n\r\n" + notes.block("Ask the desk")


# --- users' edits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("purged", [False, True])
async def test_a_users_edit_stays_while_other_fields_go_on_being_updated(purged: bool) -> None:
    world, mailbox = await synced(KEEP)
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, mobilePhone="+49 30 99999")
    assert counts(await night(world)) == (0, 0, 0)
    for department in ("Legal", "Finance"):
        world.tenant.change_user(mailbox, {"department": department, "mobilePhone": f"+49 151 1111111{len(department)}"})
        if purged:
            await world.context.purge(TENANT, SYNC)
        assert counts(await in_between(world)) == (0, 1, 0)
        assert (contact.values["department"], contact.values["mobilePhone"]) == (department, "+49 30 99999")


async def test_an_edit_made_just_before_the_directory_changes_is_kept() -> None:
    world, mailbox = await synced(KEEP)
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, mobilePhone="+49 30 99999")
    world.tenant.change_user(mailbox, {"department": "Legal", "mobilePhone": "+49 151 11111111"})
    run = await in_between(world)
    assert (run.counts.updated, run.spent.requests) == (1, 3)  # the directory's delta, the folder's, the update
    assert (contact.values["department"], contact.values["mobilePhone"]) == ("Legal", "+49 30 99999")


async def test_an_edit_that_equals_the_directory_is_none_any_more() -> None:
    world, mailbox = await synced(KEEP)
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, mobilePhone="+49 30 99999999")
    await night(world)
    world.tenant.change_user(mailbox, {"mobilePhone": "+49 30 99999999"})
    assert counts(await in_between(world)) == (0, 1, 0)  # the mark says so now
    assert counts(await night(world)) == (0, 0, 0)
    await world.context.purge(TENANT, SYNC)
    world.tenant.change_user(mailbox, {"mobilePhone": "+49 30 88888888"})
    await night(world)
    assert contact.values["mobilePhone"] == "+493088888888"


async def test_a_name_is_kept_as_a_whole() -> None:
    world, mailbox = await synced(KEEP)
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, displayName="Boss")
    world.tenant.change_user(mailbox, {"displayName": "Ann Other", "givenName": "Ann", "surname": "Other", "department": "Legal"})
    await night(world)
    values = contact.values
    assert (values["displayName"], values["givenName"], values["department"]) == ("Boss", "Person", "Legal")


async def test_kept_edits_go_when_the_policy_goes() -> None:
    world, mailbox = await synced(KEEP)
    contact = ours(world, mailbox, mailbox)
    edit(world, mailbox, contact, mobilePhone="+49 30 99999")
    await night(world)
    await world.define({})
    assert counts(await in_between(world)) == (0, 1, 0)
    assert contact.values["mobilePhone"] == "+4915123456789"
    assert counts(await night(world)) == (0, 0, 0)


# --- users' deletions ----------------------------------------------------------------------------------------------------------


def drop(world: World, mailbox: str, *users: str, move: bool = False) -> None:
    box = world.tenant.mailbox(mailbox)
    for user in users:
        contact = ours(world, mailbox, user)
        box.move(contact, box.contacts) if move else box.delete(contact)


@pytest.mark.parametrize("move", [False, True])
async def test_a_deleted_contact_stays_away_through_updates_and_purges(move: bool) -> None:
    world, mailbox = await synced(RESPECT)
    drop(world, mailbox, mailbox, move=move)
    assert counts(await night(world)) == (0, 0, 0)
    assert f"u:{mailbox}" not in world.ours(mailbox)
    world.tenant.change_user(mailbox, {"department": "Legal"})
    assert counts(await in_between(world)) == (0, 0, 0)
    await world.context.purge(TENANT, SYNC)
    assert counts(await night(world, Check.EVERYTHING)) == (0, 0, 0)
    assert len(world.ours(mailbox)) == 2
    await world.define({})
    assert counts(await in_between(world)) == (1, 0, 0)
    assert len(world.ours(mailbox)) == 3


async def test_a_deletion_found_when_the_directory_changes_is_respected() -> None:
    world, mailbox = await synced(RESPECT)
    drop(world, mailbox, mailbox)
    world.tenant.change_user(mailbox, {"department": "Legal"})
    assert counts(await in_between(world)) == (0, 0, 0)
    assert len(world.ours(mailbox)) == 2


async def test_more_deletions_than_the_brake_allows_are_no_deletions_of_ours() -> None:
    world, mailbox = await synced(RESPECT, people=40)
    drop(world, mailbox, *[key[2:] for key in sorted(world.ours(mailbox))[:30]])
    assert counts(await night(world)) == (0, 0, 0)
    assert counts(await night(world)) == (0, 0, 0)
    assert len(world.ours(mailbox)) == 10


async def test_what_the_user_takes_out_of_the_bin_is_wanted_again() -> None:
    world, mailbox = await synced(RESPECT)
    contact, box = ours(world, mailbox, mailbox), world.tenant.mailbox(mailbox)
    folder = contact.folder
    box.delete(contact)
    await night(world)
    box.move(contact, folder)
    world.tenant.change_user(mailbox, {"department": "Legal"})
    assert counts(await night(world)) == (0, 1, 0)
    await world.context.purge(TENANT, SYNC)
    assert counts(await night(world)) == (0, 0, 0)
    assert [row async for row in world.tables.query(REFUSALS, partition(TENANT, SYNC))] == []


async def test_refusals_say_nothing_without_the_key() -> None:
    world, mailbox = await synced(RESPECT)
    drop(world, mailbox, mailbox)
    await night(world)
    (row,) = [row async for row in world.tables.query(REFUSALS, partition(TENANT, SYNC))]
    assert row.row == mailbox
    assert [len(value) for value in row.values.values() if isinstance(value, bytes)] == [8]


async def test_a_deleted_folder_is_made_again_and_refusals_stay() -> None:
    world, mailbox = await synced(RESPECT)
    drop(world, mailbox, mailbox)
    await night(world)
    box = world.tenant.mailbox(mailbox)
    box.delete_folder(next(iter(world.ours(mailbox).values()))[0].folder)
    run = await night(world, Check.EVERYTHING)
    assert counts(run) == (2, 0, 0)
    assert len(world.ours(mailbox)) == 2


async def test_a_folder_emptied_on_its_way_out_is_no_refusal() -> None:
    world, mailbox = await synced(RESPECT)
    box = world.tenant.mailbox(mailbox)
    contacts = [contact for (contact,) in world.ours(mailbox).values()]
    box.delete_folder(contacts[0].folder)
    for contact in contacts:
        box.delete(contact, permanently=True)
    assert counts(await night(world)) == (3, 0, 0)
    assert len(world.ours(mailbox)) == 3


async def test_changed_item_ids_are_no_deletions() -> None:
    world, mailbox = await synced(RESPECT)
    world.tenant.mailbox(mailbox).change_item_ids()
    assert counts(await night(world)) == (0, 0, 0)
    assert len(world.ours(mailbox)) == 3
    assert [row async for row in world.tables.query(REFUSALS, partition(TENANT, SYNC))] == []


async def test_a_delete_of_ours_without_an_answer_is_no_refusal() -> None:
    """The person leaves, the delete is carried out but its answer lost, and the person returns."""
    world, mailbox = await synced(RESPECT)
    colleague = world.hire("Comes Back", mailbox="none", id="aaaaaaaa-0000-4000-8000-00000000000a")
    await in_between(world)
    world.tenant.change_user(colleague, {"accountEnabled": False})
    world.cloud.faults.add(Fault(FaultKind.LOST, method="POST", path="/permanentDelete$"))
    await in_between(world)
    assert f"u:{colleague}" not in world.ours(mailbox)
    world.cloud.faults.clear()
    world.tenant.change_user(colleague, {"accountEnabled": True})
    await night(world)
    assert f"u:{colleague}" in world.ours(mailbox)


async def test_refusals_go_with_the_replica() -> None:
    world, mailbox = await synced(RESPECT)
    drop(world, mailbox, mailbox)
    await night(world)
    await world.define({**RESPECT, "targets": {"exclude": [mailbox]}})
    world.clock.advance(NIGHT)
    assert (await world.run()).state is RunState.HELD
    assert [row async for row in world.tables.query(REFUSALS, partition(TENANT, SYNC))] != []
    world.clock.advance(NIGHT)
    await runs.release(world.context, TENANT, (await world.last_run()).run)
    await world.settle()
    assert world.ours(mailbox) == {}
    assert [row async for row in world.tables.query(REFUSALS, partition(TENANT, SYNC))] == []


# --- among the user's own contacts ---------------------------------------------------------------------------------------------


async def test_policies_hold_in_the_default_folder_too() -> None:
    world, mailbox = await synced({**KEEP, **RESPECT, **OFFICE, "folder": None})
    first, second, third = [key[2:] for key in sorted(world.ours(mailbox))]
    kept, noted = ours(world, mailbox, first), ours(world, mailbox, second)
    edit(world, mailbox, kept, mobilePhone="+49 30 99999")
    edit(world, mailbox, noted, personalNotes="likes tea")
    world.tenant.mailbox(mailbox).delete(ours(world, mailbox, third))
    for user in (first, second, third):
        world.tenant.change_user(user, {"officeLocation": "B7", "mobilePhone": "+49 151 11111111"})
    assert counts(await in_between(world)) == (0, 2, 0)
    await world.context.purge(TENANT, SYNC)
    assert counts(await night(world, Check.EVERYTHING)) == (0, 0, 0)
    assert (kept.values["mobilePhone"], kept.values["officeLocation"]) == ("+49 30 99999", "B7")
    assert noted.values["personalNotes"] == "likes tea\r\n\r\n" + notes.block("B7")
    assert sorted(world.ours(mailbox)) == [f"u:{first}", f"u:{second}"]


# --- cost ----------------------------------------------------------------------------------------------------------------------

EVERYTHING = {
    **KEEP,
    **RESPECT,
    "fields": {
        "names": "surname_given",
        "rules": {
            "mobilePhone": {"policy": "fill"},
            "companyName": {"policy": "clear"},
            "jobTitle": {"policy": "leave"},
            "categories": {"constant": ["Colleagues"]},
            "personalNotes": {"source": "officeLocation"},
        },
    },
}


async def test_with_all_policies_nothing_changed_costs_nothing() -> None:
    world, mailbox = await synced(EVERYTHING)
    drop(world, mailbox, mailbox)
    edit(world, mailbox, world.ours(mailbox)[sorted(world.ours(mailbox))[0]][0], department="Mine")
    await night(world)
    run = await in_between(world)
    assert (run.targets, run.spent.requests) == (1, 1)  # the directory's delta alone
    world.clock.advance(NIGHT)
    run = await world.run()
    assert run.spent.requests == 2  # and the audit's
    assert counts(run) == (0, 0, 0)


async def test_with_all_policies_a_change_costs_one_look_more() -> None:
    world, mailbox = await synced(EVERYTHING, people=30)
    changed = [key[2:] for key in sorted(world.ours(mailbox))[:5]]
    for user in changed:
        world.tenant.change_user(user, {"department": "Legal"})
    run = await in_between(world)
    assert (run.counts.updated, run.spent.requests) == (5, 1 + 1 + 5)


async def test_the_first_sync_costs_as_ever() -> None:
    world = World()
    world.hire_many(40, mailboxes=1)
    await world.connect(EVERYTHING)
    run = await world.run()
    assert run.counts.created == 40
    plain = World()
    plain.hire_many(40, mailboxes=1)
    await plain.connect()
    assert run.spent.requests == (await plain.run()).spent.requests
