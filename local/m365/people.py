"""A demo tenant of any size, the same every time: people of many countries and scripts, and untidy as directories are."""

from __future__ import annotations

import unicodedata
from random import Random
from typing import Any
from uuid import UUID, uuid5

from local.m365 import tenant_file
from local.m365.places import DEPARTMENTS, PLACES, Place
from local.m365.tenant import exchange_plan
from local.m365.tenant_file import TenantFile

DOMAIN = "lindenhof.example"
COMPANY = "Lindenhof Group"
TENANT_ID = UUID("5f1a0c1e-7d0b-4c55-9a43-0d9b2f6a1e10")
CLIENT_ID = UUID("0f5d6c88-31a1-4f0e-8a6e-6a3b0a2c9d44")
CLIENT_SECRET = "demo-secret"
AUTOMATION_ID = UUID("7c0b6e55-1f7a-4f0e-9d0b-3a5b0f6c2e18")
OFFICER_ID = UUID("2f1d3c7a-94f6-4b0e-8a55-6c1e0d9b7f42")
AUTOMATION_SECRET = "demo-automation"
DASHBOARDS = ("http://localhost/dashboard/", "http://127.0.0.1/dashboard/")
ROLES = ("Rollcall.Admin", "Rollcall.Compliance", "Rollcall.Viewer")
# Accounts that look as if they had a mailbox, and have none that answers.
UNREACHABLE = ("none", "onPremises", "outOfScope", "none", "onPremises")
_PLAIN = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "đ": "d", "æ": "ae"})


def demo_tenant(people: int = 250, mailboxes: int = 40, *, seed: int = 20261102) -> TenantFile:
    """The demo tenant: `people` objects with a name in all, `mailboxes` of them with a licence for a mailbox."""
    return tenant_file.parse(demo(people, mailboxes, seed=seed))


def demo(people: int = 250, mailboxes: int = 40, *, seed: int = 20261102) -> dict[str, Any]:
    """The same as JSON-ready values in the format of docs/tenant-file.md."""
    random = Random(seed)
    special = _special(random) if people >= 60 else []
    employees = [_employee(random, index) for index in range(people - len(special))]
    if len(employees) > 60:
        _make_namesakes(employees)
    _give_mailboxes(employees, mailboxes)
    users = employees + special
    return {
        "id": str(TENANT_ID),
        "displayName": COMPANY,
        "regionScope": "EU",
        "app": _app(employees),
        "administrators": [user["userPrincipalName"] for user in employees[:1]],
        "users": users,
        "groups": _groups(employees),
        "orgContacts": _org_contacts(),
    }


def _app(employees: list[dict[str, Any]]) -> dict[str, Any]:
    """The registration; the first three employees have its roles."""
    names = [user["userPrincipalName"] for user in employees[:3]]
    return {
        "clientId": str(CLIENT_ID),
        "clientSecret": CLIENT_SECRET,
        "redirectUris": {"spa": list(DASHBOARDS), "native": ["http://localhost"], "web": []},
        "roles": {role: [name] for role, name in zip(ROLES, names, strict=False)},
        "automation": [
            {"clientId": str(AUTOMATION_ID), "clientSecret": AUTOMATION_SECRET, "roles": ["Rollcall.Admin"]},
            {"clientId": str(OFFICER_ID), "clientSecret": AUTOMATION_SECRET, "roles": ["Rollcall.Compliance"]},
        ],
    }


def _employee(random: Random, index: int) -> dict[str, Any]:
    # The first ones go round the offices, so that the mailboxes do too.
    place = PLACES[index % len(PLACES)] if index < 4 * len(PLACES) else random.choice(PLACES)
    given, given_plain = _spelling(random.choice(place.given))
    family, family_plain = _spelling(random.choice(place.family))
    handle = f"{_ascii(given_plain)}.{_ascii(family_plain)}{index}"
    department = random.choice(list(DEPARTMENTS))
    user: dict[str, Any] = {
        "id": _id("user", index),
        "userPrincipalName": f"{handle}@{DOMAIN}",
        "displayName": _display_name(place, given, family),
        "givenName": given,
        "surname": family,
        "mail": f"{handle}@{DOMAIN}",
        "mailNickname": handle,
        "proxyAddresses": [f"SMTP:{handle}@{DOMAIN}"],
        "companyName": COMPANY,
        "department": department,
        "jobTitle": random.choice(DEPARTMENTS[department]),
        "officeLocation": f"{place.code}-{random.randint(1, 6)}.{random.randint(1, 40):02}",
        "city": place.city,
        "country": place.country,
        "streetAddress": place.street,
        "postalCode": place.postal_code or None,
        "usageLocation": place.code,
        "preferredLanguage": place.language,
        "businessPhones": [_number(random, random.choice(place.lines))] if random.random() < 0.85 else [],
        "employeeId": f"{100_000 + index}",
    }
    if random.random() < 0.7:
        user["mobilePhone"] = _number(random, random.choice(place.mobiles))
    if random.random() < 0.25:
        user["proxyAddresses"].append(f"smtp:{_ascii(given_plain)[0]}{_ascii(family_plain)}{index}@{DOMAIN}")
    if random.random() < 0.1:
        user["proxyAddresses"].append(f"SIP:{handle}@{DOMAIN}")
        user["proxyAddresses"].append(f"X500:/o=Lindenhof/ou=Exchange/cn=Recipients/cn={handle}")
    if random.random() < 0.04:
        user["accountEnabled"] = False  # left, or on long leave
    if index % 5 < 3:
        user["photo"] = index
    return user


def _give_mailboxes(employees: list[dict[str, Any]], mailboxes: int) -> None:
    able = [user for user in employees if user.get("accountEnabled", True)]
    for user in employees:
        user |= {"mailbox": "none", "assignedPlans": []}
    chosen = able[:mailboxes]
    for user in chosen:
        user |= {"mailbox": "ok", "assignedPlans": [exchange_plan()]}
    if mailboxes >= 20:
        for user, state in zip(chosen[7::6], UNREACHABLE, strict=False):
            user["mailbox"] = state
        _give_contacts(chosen)
        _give_events(chosen)


def _give_contacts(owners: list[dict[str, Any]]) -> None:
    """What some people keep themselves: it must never be touched, not even a colleague under the same address."""
    colleague = owners[3]
    owners[0]["contacts"] = [
        {"givenName": "Mum", "homePhones": ["020 7946 0958"], "personalNotes": "Sundays after four"},
        {"displayName": "Dentist", "businessPhones": ["+44 20 7946 0321"], "categories": ["Private"]},
    ]
    mine = {"displayName": f"{colleague['displayName']} (football)", "emailAddresses": [{"address": colleague["mail"]}]}
    owners[1]["contacts"] = [mine]
    owners[2]["contactFolders"] = [
        {
            "displayName": "Football",
            "contacts": [mine],
            "childFolders": [{"displayName": "Old team", "contacts": [{"givenName": "Kim"}]}],
        }
    ]
    owners[4]["contactFolders"] = [
        {"displayName": COMPANY, "contacts": [{"givenName": "Reception", "businessPhones": ["030 23125 100"]}]}
    ]


def _give_events(owners: list[dict[str, Any]]) -> None:
    """What some people have in their own calendars: every week, so that it is there whenever somebody looks."""
    for owner, subject, day, name in (
        (owners[0], "Choir", "2026-01-07", "wednesday"),
        (owners[2], "Football", "2026-01-08", "thursday"),
    ):
        start, end = ({"dateTime": f"{day}T{hour}:00", "timeZone": "W. Europe Standard Time"} for hour in ("19:00", "21:00"))
        weekly = {
            "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": [name]},
            "range": {"type": "noEnd", "startDate": day},
        }
        owner["events"] = [{"subject": subject, "start": start, "end": end, "recurrence": weekly}]


def _make_namesakes(employees: list[dict[str, Any]]) -> None:
    """Two people of one name in one department, and two who share an address to write to."""
    first, second = employees[50], employees[51]
    for name in ("displayName", "givenName", "surname", "department", "city", "country", "usageLocation"):
        second[name] = first[name]
    for user in employees[52:54]:
        user["otherMails"] = [f"info@{DOMAIN}"]
    employees[54]["displayName"] = f"  {employees[54]['displayName']} "
    employees[55] |= {"givenName": None, "surname": None, "displayName": "Night shift, gate 3", "department": "Logistics"}


def _special(random: Random) -> list[dict[str, Any]]:
    """Accounts that are not people of the house."""
    found: list[dict[str, Any]] = []
    for index, (name, handle) in enumerate(
        (("Reception Berlin", "reception"), ("Invoices", "invoices"), ("Press Office", "press"))
    ):
        found.append(_shared(f"shared{index}", name, handle))
    for index, name in enumerate(("Linden 1", "Ahorn 2", "さくら会議室", "Boule (Lyon)")):
        found.append(_shared(f"room{index}", name, f"room{index}") | {"jobTitle": None, "officeLocation": f"R{index}"})
    for index in range(4):
        given, family = random.choice(PLACES[1].given), random.choice(PLACES[2].family)
        mail = f"{_ascii(given)}.{_ascii(family)}{index}@partner.example"
        found.append(
            {
                "id": _id("guest", index),
                "userPrincipalName": f"{mail.replace('@', '_')}#EXT#@lindenhof.onmicrosoft.example",
                "displayName": f"{given} {family} (Partner)",
                "givenName": given,
                "surname": family,
                "mail": mail,
                "userType": "Guest",
                "mailbox": "none",
            }
        )
    return found


def _shared(key: str, name: str, handle: str) -> dict[str, Any]:
    """A shared mailbox or a room: a disabled account without licence, with a mailbox."""
    mail = f"{handle}@{DOMAIN}"
    return {
        "id": _id("shared", key),
        "userPrincipalName": mail,
        "displayName": name,
        "mail": mail,
        "proxyAddresses": [f"SMTP:{mail}"],
        "accountEnabled": False,
        "assignedPlans": [],
        "mailbox": "ok",
    }


def _groups(employees: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One security group per department, and one that holds them all by nesting."""
    groups = []
    for name in DEPARTMENTS:
        members = [user["userPrincipalName"] for user in employees if user["department"] == name]
        groups.append(
            {"id": _id("group", name), "displayName": name, "securityEnabled": True, "mailEnabled": False, "members": members}
        )
    everybody = {"id": _id("group", "everybody"), "displayName": "Everybody", "securityEnabled": True, "mailEnabled": False}
    return [*groups, {**everybody, "members": [group["id"] for group in groups]}]


def _org_contacts() -> list[dict[str, Any]]:
    """People outside whom the organisation keeps in its address list."""
    return [
        {
            "id": _id("orgContact", name),
            "displayName": name,
            "companyName": company,
            "mail": mail,
            "proxyAddresses": [f"SMTP:{mail}"],
            "phones": [{"type": "business", "number": number}],
        }
        for name, company, mail, number in (
            ("Løvenskiold Shipping", "Løvenskiold AS", "desk@lovenskiold.example", "+47 00 00 01 00"),
            ("Dr. Ágnes Szűcs", "Szűcs & Társa", "agnes@szucs.example", "+36 55 000 123"),
            ("Taxi Paul", "Taxi Paul", "ruf@taxipaul.example", "030 23125 777"),
        )
    ]


def _display_name(place: Place, given: str, family: str) -> str:
    if place.family_first:
        return f"{family}{given}" if place.joined else f"{family} {given}"
    return f"{given} {family}"


def _spelling(name: str) -> tuple[str, str]:
    written, _, plain = name.partition("|")
    return written, plain or written


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.translate(_PLAIN)).encode("ascii", "ignore").decode().lower()
    return "".join(character for character in plain if character.isalnum())


def _number(random: Random, pattern: str) -> str:
    return "".join(str(random.randint(0, 9)) if character == "#" else character for character in pattern)


def _id(kind: str, key: object) -> str:
    return str(uuid5(TENANT_ID, f"{kind}/{key}"))
