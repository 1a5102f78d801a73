"""Lists under rules, from several sources: what mapping them takes, and what a night without a change asks for."""

from __future__ import annotations

from typing import Any

from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step

PEOPLE = 50_000
PARTNERS = 10_000
MOST_SECONDS = 5.0
MOST_MB = 500

MEMBERS = 40
MAILBOXES = 20

SELECTION = {
    "rule": {
        "any": [
            {"attribute": "department", "operator": "is", "values": ["Sales", "Finance", "Logistics"]},
            {
                "all": [
                    {"attribute": "country", "operator": "is", "values": ["DE", "FR"]},
                    {"not": {"attribute": "jobTitle", "operator": "contains", "values": ["39"]}},
                ]
            },
        ]
    }
}
FIELDS = {
    "names": "surname_given",
    "rules": {
        "categories": {"constant": ["Colleagues"]},
        "officeLocation": {"source": "city"},
        "jobTitle": {"policy": "fill"},
        "businessAddress": {"policy": "clear"},
    },
}


def measure(step: Step) -> dict[str, Any]:
    """Both."""
    step.say(f"{PEOPLE:,} people of the directory and {PARTNERS:,} of a file")
    mapped = isolated("benchmarks.lists:map_people")
    step.say("a night without a change: directory, group, organisation contacts and a file")
    quiet = isolated("benchmarks.lists:quiet_night")
    return {
        "mapping": {
            "people": PEOPLE,
            "fromFile": PARTNERS,
            "inBoth": PARTNERS // 2,
            "selected": mapped["selected"],
            "cpuSeconds": {"value": round(mapped["cpuSeconds"], 2), "atMost": MOST_SECONDS},
            "peakMB": {"value": round(mapped["peakMB"]), "atMost": MOST_MB},
        },
        "nothingChanged": {
            "sources": quiet["sources"],
            "mailboxes": MAILBOXES,
            "sourceRequests": {"value": quiet["sourceRequests"], "atMost": quiet["sources"]},
            "mailboxRequests": {"value": quiet["mailboxRequests"], "atMost": 0},
        },
    }


def map_people() -> dict[str, Any]:
    """What a run does with everybody between reading and storing them; half of the file's people are in the directory too."""
    from benchmarks.people import directory
    from sync_core.contacts import item_of, key_of, with_international_phones
    from sync_core.directory import merge
    from sync_core.fields import Fields
    from sync_core.fingerprints import Fingerprinter
    from sync_core.merging import Person, address_of, group_people, merged
    from sync_core.selection import Selection, compiled

    users = [merge(None, raw) for raw in directory(PEOPLE, PEOPLE // 2)]
    first = PEOPLE - PARTNERS // 2
    partners = [
        {
            "mail": f"person{number}@example.com",
            "displayName": f"Partner {number}",
            "companyName": "Partners",
            "department": "Sales",
        }
        for number in range(first, first + PARTNERS)
    ]
    fields = Fields.model_validate(FIELDS)
    fingerprinter = Fingerprinter(b"k" * 32, "abc", fields.owned)
    watch = Watch.start()
    is_wanted = compiled(Selection.model_validate(SELECTION))
    told = (
        [Person(key_of(user), with_international_phones(user, "DE")) for user in users],
        [Person(f"f:partners.{number}", with_international_phones(partner, "DE")) for number, partner in enumerate(partners)],
    )
    sources = [{person.key: person for person in source} for source in told]
    addresses = [{key: address_of(person.attributes) for key, person in source.items()} for source in sources]
    people = (merged([sources[place][key] for place, key in one]) for one in group_people(addresses))
    items = [
        item_of(
            person.attributes,
            key=person.key,
            installation="benchmark",
            sync="people",
            fingerprinter=fingerprinter,
            default_country="DE",
            fields=fields,
        )
        for person in people
        if is_wanted(person.attributes)
    ]
    return {**watch.read(), "selected": len(items)}


async def quiet_night() -> dict[str, Any]:
    """The second night of a sync whose people and targets come from everywhere, as the Microsoft 365 stand-in counts it."""
    from benchmarks.installation import CLIENT, SECRET, TENANT, Installation
    from benchmarks.people import directory, person_id
    from cloud.clock import SystemClock
    from local.m365.service import Microsoft365
    from local.m365.tenant import App
    from local.m365.transport import Microsoft365Transport
    from local.memory import MemoryTables
    from sync_core.engine import uploads

    cloud = Microsoft365(SystemClock())
    tenant = cloud.add_tenant(TENANT, "Example", App(CLIENT, SECRET.decode()))
    for user in directory(MEMBERS, MAILBOXES):
        tenant.add_user(user, "ok" if user["assignedPlans"] else "none")
    group = "22222222-3333-4444-8555-666666666666"
    tenant.directory.groups.add({"id": group, "displayName": "Readers"})
    tenant.directory.join(group, [person_id(number) for number in range(MEMBERS)])
    tenant.directory.org_contacts.add({"id": person_id(MEMBERS), "displayName": "Agency", "mail": "agency@partner.example"})
    house = Installation(MemoryTables(), transport=Microsoft365Transport(cloud))
    sources = [{"kind": "directory"}, {"kind": "group", "id": group}, {"kind": "orgContacts"}, {"kind": "file", "id": "partners"}]
    await house.connect(
        sources=sources,
        selection={"rule": {"not": {"attribute": "jobTitle", "operator": "is", "values": ["Specialist 7"]}}},
        fields=FIELDS,
        targets={"include": {"groups": [group]}},
    )
    people = "".join(f"Partner {number},partner{number}@partner.example\n" for number in range(MEMBERS))
    await uploads.upload_file(house.context, TENANT, "partners", f"Name,E-mail\n{people}".encode(), "text/csv")
    first = await house.night()
    assert (first.state, first.targets) == ("succeeded", MAILBOXES), first
    cloud.counters.reset()
    quiet = await house.night()
    assert (quiet.state, quiet.people) == ("succeeded", first.people), quiet
    served = cloud.counters
    await house.close()
    of_mailboxes = sum(served.mailboxes.values())
    return {"sources": len(sources), "sourceRequests": served.requests - of_mailboxes, "mailboxRequests": of_mailboxes}
