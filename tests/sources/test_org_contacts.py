"""Organisation contacts as a source."""

from __future__ import annotations

from sync_core.org_contacts import merge
from tests.sources.lists import Lists

PHONES = [
    {"type": "business", "number": "+49 30 1234567"},
    {"type": "businessFax", "number": "+49 30 1234568"},
    {"type": "mobile", "number": "+49 151 23456789"},
]
ADDRESS = {
    "officeLocation": "Room 12",
    "street": "Main Street 1",
    "city": "Berlin",
    "state": "BE",
    "postalCode": "10115",
    "countryOrRegion": "Germany",
}


async def test_all_of_a_contact_arrives() -> None:
    world = Lists()
    key = world.org_contact(
        "Paula Partner", givenName="Paula", surname="Partner", companyName="Partner AG", phones=PHONES, addresses=[ADDRESS]
    )
    await world.set_up({"kind": "orgContacts"})
    await world.good()
    found = world.values("Paula Partner")
    assert found["mobilePhone"] == "+4915123456789"
    assert found["businessPhones"] == ["+49301234567"]
    assert found["officeLocation"] == "Room 12"
    assert found["businessAddress"] == {
        "street": "Main Street 1",
        "city": "Berlin",
        "state": "BE",
        "postalCode": "10115",
        "countryOrRegion": "Germany",
    }
    assert (found["companyName"], found["givenName"], found["surname"]) == ("Partner AG", "Paula", "Partner")
    assert found["emailAddresses"][0]["address"] == "paula.partner@partner.example"
    assert world.key("Paula Partner") == f"o:{key}"


async def test_changes_and_removals_follow() -> None:
    world = Lists()
    paula = world.org_contact("Paula Partner", phones=PHONES)
    petra = world.org_contact("Petra Partner")
    await world.set_up({"kind": "orgContacts"})
    await world.good()
    world.tenant.directory.org_contacts.change(paula, {"phones": PHONES[:1], "jobTitle": "Boss"})
    world.tenant.directory.org_contacts.remove(petra)
    run = await world.good()
    assert world.listed() == ["Paula Partner"]
    assert world.values("Paula Partner")["mobilePhone"] is None
    assert world.values("Paula Partner")["jobTitle"] == "Boss"
    assert (run.counts.updated, run.counts.deleted) == (1, 1)
    assert await world.spent() == 2


async def test_without_the_permission_the_run_holds_and_the_tenant_goes_on() -> None:
    world = Lists()
    world.tenant.app.permissions -= {"OrgContact.Read.All"}
    await world.set_up({"kind": "orgContacts"})
    assert "source_unreadable orgcontacts: consent_missing" in await world.held()
    world.tenant.app.permissions |= {"OrgContact.Read.All"}
    world.org_contact("Paula Partner")
    world.pass_days(0.1)  # permissions stand in the token
    await world.good()
    assert world.listed() == ["Paula Partner"]


def test_what_a_delta_does_not_tell_stays() -> None:
    known = merge(None, {"id": "1", "displayName": "P", "phones": PHONES, "addresses": [ADDRESS]})
    assert merge(known, {"id": "1", "jobTitle": "Boss"}) == known | {"jobTitle": "Boss"}
    assert "mobilePhone" not in merge(known, {"id": "1", "phones": []})
    assert "city" not in merge(known, {"id": "1", "addresses": []})
