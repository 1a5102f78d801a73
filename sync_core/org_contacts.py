"""Organisation contacts: people outside whom the admins keep in the directory.

https://learn.microsoft.com/graph/api/resources/orgcontact
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sync_core import directory

_SAME = ("displayName", "givenName", "surname", "companyName", "department", "jobTitle", "mail", "proxyAddresses")

SELECT: tuple[str, ...] = ("id", *_SAME, "phones", "addresses")
"""The properties to ask of /contacts/delta."""

# From the properties of physicalOfficeAddress to those of a user
_ADDRESS = {
    "streetAddress": "street",
    "city": "city",
    "state": "state",
    "postalCode": "postalCode",
    "country": "countryOrRegion",
    "officeLocation": "officeLocation",
}


def merge(previous: Mapping[str, Any] | None, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Bring what we keep of an organisation contact up to date with one object of a delta: in the properties of a user.

    `phones` and `addresses` come as a whole. Of the phones, fax numbers are left out.
    """
    told = {name: raw[name] for name in ("id", *_SAME) if name in raw}
    if "phones" in raw:
        told["mobilePhone"] = next(iter(_numbers(raw["phones"], "mobile")), None)
        told["businessPhones"] = list(_numbers(raw["phones"], "business"))
    if "addresses" in raw:
        address: Mapping[str, Any] = next(iter(raw["addresses"] or ()), {})
        told |= {ours: address.get(theirs) for ours, theirs in _ADDRESS.items()}
    return directory.merge(previous, told)


def _numbers(phones: Iterable[Mapping[str, Any]] | None, kind: str) -> Iterable[str]:
    return (phone["number"] for phone in phones or () if phone.get("type") == kind and phone.get("number"))
