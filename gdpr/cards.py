"""A person as programs for address books read them: CSV and vCard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from sync_core.suppression import addresses, phones

_COLUMNS = (
    *("displayName", "givenName", "surname", "companyName", "department", "jobTitle", "officeLocation"),
    *("mail", "mobilePhone", "businessPhones", "streetAddress", "city", "state", "postalCode", "country"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(people: Sequence[Mapping[str, Any]]) -> bytes:
    """A table with one line for each, in UTF-8 with a byte order mark, as Excel wants it."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(_COLUMNS)
    for person in people:
        table.writerow([_cell(person.get(name)) for name in _COLUMNS])
    return text.getvalue().encode("utf-8-sig")


def as_vcards(people: Sequence[Mapping[str, Any]]) -> bytes:
    """One vCard 3.0 (RFC 2426) for each."""
    import vobject

    cards = []
    for person in people:
        card = vobject.vCard()
        given, family = str(person.get("givenName") or ""), str(person.get("surname") or "")
        card.add("n").value = vobject.vcard.Name(family=family, given=given)
        card.add("fn").value = str(person.get("displayName") or f"{given} {family}".strip() or "?")
        if person.get("companyName") or person.get("department"):
            card.add("org").value = [str(person.get("companyName") or ""), str(person.get("department") or "")]
        if person.get("jobTitle"):
            card.add("title").value = str(person["jobTitle"])
        for address in dict.fromkeys(addresses(person)):
            card.add("email").value = address
        for number in dict.fromkeys(phones(person)):
            card.add("tel").value = number
        cards.append(card.serialize())
    return "".join(cards).encode()


def _cell(value: object) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")
    # a spreadsheet would take it for a formula: https://owasp.org/www-community/attacks/CSV_Injection
    return f"'{text}" if text.startswith(_FORMULA) and not text[1:].replace(" ", "").isdigit() else text
