"""The contacts of a shared mailbox as a source."""

from __future__ import annotations

import pytest

from local.m365.faults import Fault, FaultKind
from sync_core import marks
from tests.sources.lists import Lists


async def shared(world: Lists, *names: str, folder: str = "Suppliers") -> str:
    mailbox = world.shared_mailbox("Purchasing")
    for name in names:
        world.keep(mailbox, folder, name, mobilePhone="+49 151 23456789", companyName="Supply GmbH")
    await world.set_up({"kind": "mailbox", "mailbox": mailbox, "folder": folder})
    return mailbox


async def test_the_contacts_of_the_folder_are_listed() -> None:
    world = Lists()
    mailbox = await shared(world, "Sam Supplier", "Sue Supplier")
    world.keep(mailbox, "Friends", "Fred Friend")
    world.keep(mailbox, "contacts", "Dora Default")
    await world.good()
    assert world.listed() == ["Sam Supplier", "Sue Supplier"]
    found = world.values("Sam Supplier")
    assert found["mobilePhone"] == "+4915123456789"
    assert found["companyName"] == "Supply GmbH"
    assert found["emailAddresses"][0]["address"] == "sam.supplier@friends.example"
    assert world.key("Sam Supplier").startswith("c:")


async def test_changes_and_removals_follow_for_one_request() -> None:
    world = Lists()
    mailbox = await shared(world, "Sam Supplier", "Sue Supplier", "Sid Supplier")
    await world.good()
    sam, sue, _ = world.tenant.contacts(mailbox, "Suppliers")
    box = world.tenant.mailbox(mailbox)
    box.change(sam, {"mobilePhone": None, "jobTitle": "Boss"})
    box.delete(sue)
    world.keep(mailbox, "Suppliers", "New Supplier")
    key = world.key("Sam Supplier")
    run = await world.good()
    assert world.listed() == ["New Supplier", "Sam Supplier", "Sid Supplier"]
    assert world.values("Sam Supplier")["mobilePhone"] is None
    assert world.key("Sam Supplier") == key
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (1, 1, 1)
    assert await world.spent() == 2  # users, and the folder


async def test_the_default_folder_has_to_be_named() -> None:
    world = Lists()
    mailbox = world.shared_mailbox("Purchasing")
    world.keep(mailbox, "contacts", "Dora Default")
    await world.set_up({"kind": "mailbox", "mailbox": mailbox, "folder": "default"})
    await world.good()
    assert world.listed() == ["Dora Default"]


async def test_a_folder_within_a_folder_is_found() -> None:
    world = Lists()
    mailbox = world.shared_mailbox("Purchasing")
    box = world.tenant.mailbox(mailbox)
    place = box.create_folder(box.create_folder(box.contacts, "Business"), "Suppliers")
    box.create(place, {"displayName": "Sam Supplier", "mobilePhone": "+49 151 23456789"})
    await world.set_up({"kind": "mailbox", "mailbox": mailbox, "folder": "suppliers"})
    await world.good()
    assert world.listed() == ["Sam Supplier"]


@pytest.mark.parametrize("many", [1, 6])
async def test_what_an_installation_wrote_is_never_a_source(many: int) -> None:
    world = Lists()
    mailbox = await shared(world, "Sam Supplier")
    box, place = world.tenant.mailbox(mailbox), world.tenant.folder(mailbox, "Suppliers")
    mark = {marks.KEY_PROPERTY: marks.item_mark("another-one", "people", "u:1")}
    copy = box.create(place, {"displayName": "Our Own"}, mark)
    await world.good()
    assert world.listed() == ["Sam Supplier"]
    for number in range(many):
        box.create(place, {"displayName": f"Our Own {number}"}, mark)
    box.change(copy, {"jobTitle": "Boss"})
    await world.good()
    assert world.listed() == ["Sam Supplier"]
    box.change(copy, {"mobilePhone": "+4915112345678"}, {marks.KEY_PROPERTY: marks.RELEASED})
    await world.good()
    assert world.listed() == ["Our Own", "Sam Supplier"]


async def test_the_folder_of_a_sync_is_not_mistaken_for_the_source() -> None:
    world = Lists()
    mailbox = world.shared_mailbox("Purchasing")
    world.tenant.change_user(
        mailbox, {"accountEnabled": True, "assignedPlans": [{"service": "exchange", "capabilityStatus": "Enabled"}]}
    )
    world.keep(mailbox, "Colleagues", "Carl Colleague", mobilePhone="+4915123456789")
    await world.set_up(
        {"kind": "mailbox", "mailbox": mailbox, "folder": "Colleagues"}, targets={"include": [world.reader, mailbox]}
    )
    await world.good()
    world.pass_days(8)
    await world.good()
    assert world.listed() == ["Carl Colleague"]
    assert len(world.ours(mailbox)) == 1


async def test_a_folder_that_is_renamed_or_gone_holds() -> None:
    world = Lists()
    mailbox = await shared(world, "Sam Supplier")
    await world.good()
    folder = world.tenant.folder(mailbox, "Suppliers")
    world.tenant.mailbox(mailbox).delete_folder(folder, permanently=True)
    assert "the mailbox has no contact folder of this name" in await world.held()
    assert "the mailbox has no contact folder of this name" in await world.held()
    world.keep(mailbox, "Suppliers", "Sam Supplier", mobilePhone="+49 151 23456789", companyName="Supply GmbH")
    await world.good()
    assert world.listed() == ["Sam Supplier"]


@pytest.mark.parametrize(("state", "reason"), [("none", "no_mailbox"), ("outOfScope", "out_of_scope")])
async def test_a_mailbox_that_cannot_be_reached_holds(state: str, reason: str) -> None:
    world = Lists()
    mailbox = await shared(world, "Sam Supplier")
    await world.good()
    world.tenant.set_mailbox_state(mailbox, state)
    assert (await world.held()).startswith(f"source_unreadable mailbox-{mailbox}-")
    assert reason in await world.held()
    world.tenant.set_mailbox_state(mailbox, "ok")
    await world.good()


async def test_an_expired_link_and_new_ids_are_no_trouble() -> None:
    world = Lists()
    mailbox = await shared(world, "Sam Supplier", "Sue Supplier")
    await world.good()
    world.keep(mailbox, "Suppliers", "New Supplier", mobilePhone="+4915123456789")
    world.cloud.faults.add(Fault(FaultKind.TOKEN_EXPIRED, times=2))
    await world.good()
    assert world.listed() == ["New Supplier", "Sam Supplier", "Sue Supplier"]
    world.tenant.change_item_ids(mailbox)
    world.pass_days(8)
    await world.good()
    assert world.listed() == ["New Supplier", "Sam Supplier", "Sue Supplier"]


async def test_a_folder_that_is_emptied_holds() -> None:
    world = Lists()
    mailbox = await shared(world, "Sam Supplier", "Sue Supplier")
    await world.good()
    for contact in world.tenant.contacts(mailbox, "Suppliers"):
        world.tenant.mailbox(mailbox).delete(contact)
    assert await world.held() == "source_dropped 2 -> 0"
