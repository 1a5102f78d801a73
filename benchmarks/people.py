"""Directories of any size, the same every time, as /users/delta tells of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

from local.m365.tenant import exchange_plan
from sync_core.directory import SELECT

_NAMESPACE = UUID("3c9a3c1e-4b43-4f0e-9a4e-5d1f7c1f6a10")
_GIVEN = ("Anna", "Jörg", "Zoë", "Mikołaj", "Sofía", "健太", "Olena", "Ahmet", "Grace", "Łucja", "Noah", "Ingrid", "Priya")
_SURNAMES = ("Müller", "O'Brien", "Nowak", "García", "佐藤", "Shevchenko", "Yılmaz", "Okafor", "Berg", "Rao", "Silva")
_PLACES = (
    ("DE", "Germany", "Berlin", "10115", "Invalidenstraße 10", "+49 30 23125 {:04d}", "0151 235{:05d}"),
    ("GB", "United Kingdom", "London", "EC1A 1BB", "1 King Edward Street", "020 7946 {:04d}", "+44 7700 9{:05d}"),
    ("FR", "France", "Lyon", "69001", "12 rue de la République", "04 26 31 {:04d}", "+33 6 39 9{:05d}"),
    ("US", "United States", "Denver", "80202", "1600 Glenarm Place", "(303) 555-{:04d}", "+1 720 5{:06d}"),
)
_DEPARTMENTS = ("Sales", "Engineering", "Finance", "Human Resources", "Logistics", "Legal")


def person_id(number: int) -> str:
    """The object id of a user."""
    return str(uuid5(_NAMESPACE, str(number)))


def directory(people: int, mailboxes: int) -> Iterator[dict[str, Any]]:
    """Users of whom `people` belong in an address book and the first `mailboxes` have a mailbox.

    When there are more mailboxes than people, the others have neither an address nor a number: they receive, and are not listed.
    """
    for number in range(max(people, mailboxes)):
        values = _person(number) if number < people else _unlisted(number)
        values["assignedPlans"] = [exchange_plan()] if number < mailboxes else []
        yield {name: values.get(name, [] if name in ("businessPhones", "proxyAddresses") else None) for name in SELECT}


def _person(number: int) -> dict[str, Any]:
    given, surname = _GIVEN[number % len(_GIVEN)], _SURNAMES[number % len(_SURNAMES)]
    code, country, city, postal, street, line, mobile = _PLACES[number % len(_PLACES)]
    mail = f"person{number}@example.com"
    return {
        **_unlisted(number),
        "displayName": f"{given} {surname}",
        "givenName": given,
        "surname": surname,
        "companyName": "Example Group",
        "department": _DEPARTMENTS[number % len(_DEPARTMENTS)],
        "jobTitle": f"Specialist {number % 40}",
        "officeLocation": f"{code}-{number % 6}.{number % 40:02d}",
        "mobilePhone": mobile.format(number % 100_000) if number % 4 else None,
        "businessPhones": [line.format(number % 10_000)] if number % 7 else [],
        "mail": mail,
        "proxyAddresses": [f"SMTP:{mail}", f"smtp:p{number}@example.com"],
        "streetAddress": street,
        "city": city,
        "postalCode": postal,
        "country": country,
        "usageLocation": code,
    }


def _unlisted(number: int) -> dict[str, Any]:
    return {
        "id": person_id(number),
        "displayName": f"Desk {number}",
        "userPrincipalName": f"person{number}@example.com",
        "userType": "Member",
        "accountEnabled": True,
    }
