"""Several sources in one folder."""

from __future__ import annotations

from gdpr.retention import purge_caches
from sync_core.engine import runs, uploads
from tests.engine.world import TENANT
from tests.sources.lists import Lists


async def test_a_group_a_shared_mailbox_and_the_directory_become_one_list() -> None:
    world = Lists()
    ann = world.hire("Ann Both", mobilePhone=None, department="Sales")
    world.hire("Dora Directory", department="Sales")
    mailbox = world.shared_mailbox("Purchasing")
    card = world.keep(
        mailbox,
        "Suppliers",
        "Annie",
        emailAddresses=[{"address": "ANN.both@example.com", "name": "x"}],
        mobilePhone="+49 151 99999999",
        jobTitle="Friend of suppliers",
    )
    world.keep(mailbox, "Suppliers", "Sam Supplier")
    group = world.group("Team", [ann])
    await world.set_up(
        {"kind": "group", "id": group},
        {"kind": "mailbox", "mailbox": mailbox, "folder": "Suppliers"},
        {"kind": "directory"},
    )
    run = await world.good()
    assert world.listed() == ["Ann Both", "Dora Directory", "Reader One", "Sam Supplier"]
    merged = world.values("Ann Both")
    assert (merged["mobilePhone"], merged["department"], merged["jobTitle"]) == ("+4915199999999", "Sales", "Friend of suppliers")
    assert [part.partition(":")[0] for part in world.key("Ann Both").split("+")] == ["c", "u"]
    assert run.sources == {f"group-{group}": 1, f"mailbox-{mailbox}-{_hash(run.sources)}": 2, "users": 3}
    assert await world.spent() == 3  # one for each source
    world.tenant.mailbox(mailbox).change(card, {"mobilePhone": "+49 151 88888888"})
    await world.good()
    assert world.values("Ann Both")["mobilePhone"] == "+4915188888888"


def _hash(sources: dict[str, int]) -> str:
    (mailbox,) = (source for source in sources if source.startswith("mailbox-"))
    return mailbox.rpartition("-")[2]


async def test_a_drop_in_one_of_several_sources_holds_until_it_is_released() -> None:
    world = Lists()
    world.hire_many(40, mailboxes=0)
    for number in range(5):
        world.org_contact(f"Partner {number}")
    await world.set_up({"kind": "directory"}, {"kind": "orgContacts"})
    await world.good()
    assert len(world.listed()) == 46
    partners = list(world.tenant.directory.org_contacts.objects)
    for partner in partners[:4]:
        world.tenant.directory.org_contacts.remove(partner)
    assert await world.held() == "source_dropped orgcontacts: 5 -> 1"
    assert await world.held() == "source_dropped orgcontacts: 5 -> 1"
    await runs.release(world.context, TENANT, (await world.last_run()).run)
    await world.settle()
    assert len(world.listed()) == 42
    world.tenant.directory.org_contacts.remove(partners[4])
    assert await world.held() == "source_dropped orgcontacts: 1 -> 0"


async def test_one_source_that_cannot_be_read_holds_all() -> None:
    world = Lists()
    world.hire("Ann Both")
    await world.set_up({"kind": "directory"}, {"kind": "file", "id": "partners"})
    assert "file-partners" in await world.held()
    await uploads.upload_file(world.context, TENANT, "partners", b"Name,E-mail\nPaul,paul@x.example\n", "text/csv")
    await world.good()
    assert world.listed() == ["Ann Both", "Paul", "Reader One"]


async def test_a_source_that_joins_or_leaves_changes_the_list() -> None:
    world = Lists()
    world.org_contact("Paula Partner")
    await world.set_up({"kind": "directory"})
    await world.good()
    await world.redefine(sources=[{"kind": "directory"}, {"kind": "orgContacts"}])
    await world.good()
    assert world.listed() == ["Paula Partner", "Reader One"]
    await world.redefine(sources=[{"kind": "directory"}])
    await world.good()
    assert world.listed() == ["Reader One"]


async def test_each_source_and_the_sync_select() -> None:
    world = Lists()
    world.hire("Sid Sales", department="Sales")
    world.hire("Rob Research", department="Research")
    world.hire("Gus Guest", userType="Guest", department="Sales")
    world.org_contact("Paula Partner", department="Sales")
    world.org_contact("Petra Press", department="Press")
    in_sales = {"rule": {"attribute": "department", "operator": "is", "values": ["sales"]}}
    await world.set_up(
        {"kind": "directory", "selection": in_sales | {"leave_out": {"guests": False}}},
        {"kind": "orgContacts", "selection": in_sales},
        selection={"leave_out": {"guests": False}},
    )
    await world.good()
    assert world.listed() == ["Gus Guest", "Paula Partner", "Reader One", "Sid Sales"]
    await world.redefine(selection={})
    await world.good()
    assert world.listed() == ["Paula Partner", "Reader One", "Sid Sales"]


async def test_whoever_is_excluded_goes_whatever_their_sources() -> None:
    world = Lists()
    ann = world.hire("Ann Both")
    world.org_contact("Ann Elsewhere", mail="ann.both@example.com")
    world.org_contact("Paula Partner")
    await world.set_up({"kind": "orgContacts"}, {"kind": "directory"})
    await world.good()
    assert world.listed() == ["Ann Elsewhere", "Paula Partner", "Reader One"]
    await world.redefine(selection={"exclude": [ann]})
    await world.good()
    assert world.listed() == ["Paula Partner", "Reader One"]


async def test_a_guest_who_is_in_a_file_too_is_let_in_by_id() -> None:
    world = Lists()
    guest = world.hire("Gus Guest", userType="Guest")
    await world.set_up({"kind": "file", "id": "partners"}, {"kind": "directory"})
    await uploads.upload_file(world.context, TENANT, "partners", b"Name,E-mail\nGus,gus.guest@example.com\n", "text/csv")
    await world.good()
    assert world.listed() == ["Reader One"]
    await world.redefine(selection={"include": [guest]})
    await world.good()
    assert world.listed() == ["Gus", "Reader One"]


async def test_phone_numbers_are_read_by_the_country_of_whoever_wrote_them() -> None:
    world = Lists()
    world.hire("Ann Both", usageLocation="FR", mobilePhone=None, businessPhones=[])
    world.org_contact("Ann Elsewhere", mail="ann.both@example.com", phones=[{"type": "mobile", "number": "0151 23456789"}])
    await world.set_up({"kind": "directory"}, {"kind": "orgContacts"})
    await world.good()
    assert world.values("Ann Both")["mobilePhone"] == "+4915123456789"


async def test_a_contact_stays_the_same_item_when_sources_join_and_part() -> None:
    world = Lists()
    ann = world.hire("Ann Both", mobilePhone=None)
    paula = world.org_contact(
        "Ann Elsewhere", mail="ann.both@example.com", phones=[{"type": "mobile", "number": "+4915123456789"}]
    )
    await world.set_up({"kind": "directory"}, {"kind": "orgContacts"})
    world.tenant.directory.org_contacts.change(paula, {"mail": "other@partner.example"})
    await world.good()
    assert world.listed() == ["Ann Both", "Ann Elsewhere", "Reader One"]
    item = world.uid("Ann Elsewhere")  # the first key's

    world.tenant.directory.org_contacts.change(paula, {"mail": "ann.both@example.com"})
    run = await world.good()
    assert world.listed() == ["Ann Both", "Reader One"]
    assert (world.uid("Ann Both"), world.key("Ann Both")) == (item, f"o:{paula}+u:{ann}")
    assert world.values("Ann Both")["mobilePhone"] == "+4915123456789"
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 1, 1)
    assert await world.spent() == 2

    world.tenant.change_user(ann, {"mail": "married@example.com"})
    run = await world.good()
    assert world.listed() == ["Ann Both", "Ann Elsewhere", "Reader One"]
    assert world.uid("Ann Elsewhere") == item
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (1, 1, 0)
    await purge_caches(world.tables, TENANT)
    assert (await world.good()).counts.created == 0


async def test_who_is_left_of_a_merged_person_keeps_the_item() -> None:
    world = Lists()
    ann = world.hire("Ann Both")
    world.org_contact("Ann Elsewhere", mail="ann.both@example.com")
    world.org_contact("Paula Partner")
    await world.set_up({"kind": "directory"}, {"kind": "orgContacts"})
    await world.good()
    item = world.uid("Ann Both")
    world.tenant.remove_user(ann)
    run = await world.good()
    assert world.uid("Ann Elsewhere") == item
    assert (run.counts.created, run.counts.updated, run.counts.deleted) == (0, 1, 0)


async def test_whom_a_user_has_deleted_stays_away_under_every_key_they_ever_had() -> None:
    """Deleted as a partner; then the partner gets an account as well, then only the account is left."""
    world = Lists()
    world.org_contact("Other Partner")
    partner = world.org_contact("Paula Partner", mail="paula@partner.example")
    await world.set_up({"kind": "directory"}, {"kind": "orgContacts"}, on_user_delete="respect")
    await world.good()
    contacts = world.tenant.contacts(world.reader, "Colleagues")
    (paula,) = [contact for contact in contacts if contact.values["displayName"] == "Paula Partner"]
    world.tenant.mailbox(world.reader).delete(paula)
    world.pass_days(1)
    await world.good()
    world.hire("Paula Partner", mailbox="none", mail="paula@partner.example")
    for _ in range(2):
        world.pass_days(1)
        await world.good()
        assert world.listed() == ["Other Partner", "Reader One"]
    world.tenant.directory.org_contacts.remove(partner)
    world.pass_days(1)
    await world.good()
    assert world.listed() == ["Other Partner", "Reader One"]
