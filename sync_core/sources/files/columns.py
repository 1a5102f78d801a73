"""Which column of a CSV file is what: the headers of Outlook (English and German), Google and Microsoft Entra.

Private numbers and addresses, faxes and notes are left out on purpose: a list of colleagues and partners is no place for them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HEADERS: dict[str, tuple[str, ...]] = {
    "uid": ("uid", "id", "contact id", "objectid", "external id"),
    "displayName": ("displayname", "display name", "full name", "name", "anzeigename", "vollständiger name"),
    "givenName": ("givenname", "given name", "first name", "vorname"),
    "middleName": ("middle name", "additional name", "weitere vornamen", "zweiter vorname"),
    "surname": ("surname", "last name", "family name", "nachname", "familienname"),
    "companyName": (
        "companyname",
        "company",
        "company name",
        "organization name",
        "organization 1 - name",
        "firma",
        "unternehmen",
    ),
    "department": ("department", "organization department", "organization 1 - department", "abteilung"),
    "jobTitle": ("jobtitle", "job title", "organization title", "organization 1 - title", "position", "berufsbezeichnung"),
    "officeLocation": ("officelocation", "office location", "office", "büro", "organization 1 - location"),
    "streetAddress": ("streetaddress", "business street", "straße geschäftlich"),
    "streetAddress2": ("business street 2", "straße geschäftlich 2"),
    "streetAddress3": ("business street 3", "straße geschäftlich 3"),
    "city": ("city", "business city", "ort geschäftlich"),
    "state": ("state", "business state", "region geschäftlich", "bundesland/kanton geschäftlich"),
    "postalCode": ("postalcode", "business postal code", "postleitzahl geschäftlich"),
    "country": ("country", "business country/region", "business country", "land/region geschäftlich", "land geschäftlich"),
    "mail": ("mail", "email", "e-mail", "e-mail address", "email address", "e-mail-adresse"),
    "mail2": ("e-mail 2 address", "email 2 address", "e-mail 2: adresse"),
    "mail3": ("e-mail 3 address", "email 3 address", "e-mail 3: adresse"),
    "mobile": ("mobilephone", "mobile phone", "mobile", "cell phone", "mobiltelefon", "handy"),
    "phone": ("businessphones", "telephonenumber", "phone", "business phone", "telefon geschäftlich"),
    "phone2": ("business phone 2", "telefon geschäftlich 2"),
    "phone3": ("company main phone", "telefon firma"),
}
_FIELDS = {header: field for field, headers in _HEADERS.items() for header in headers}

_GOOGLE = re.compile(r"(e-mail|phone|address) (\d+) - (label|type|value|street|city|region|postal code|country)")
_GOOGLE_ADDRESS = {
    "street": "streetAddress",
    "city": "city",
    "region": "state",
    "postal code": "postalCode",
    "country": "country",
}


class Column(NamedTuple):
    """What a column holds. `group` ties the parts of one of Google's numbered entries together."""

    field: str
    group: str = ""


def column_of(header: str) -> Column | None:
    """What the column with this header holds; None when it is nothing that is taken."""
    text = " ".join(header.replace("\ufeff", "").split()).casefold()
    field = _KNOWN.get(text)
    if field is not None:
        return Column(field)
    match = _GOOGLE.fullmatch(text)
    if match is None:
        return None
    kind, number, part = match.groups()
    return Column("label" if part in ("label", "type") else _GOOGLE_ADDRESS.get(part, "value"), f"{kind} {number}")


_KNOWN = {header.casefold(): field for header, field in _FIELDS.items()}

_FAX = re.compile(r"fax|pager")
_HOME = re.compile(r"home|privat|zuhause|grand ?central")
_MOBILE = re.compile(r"mobil|cell|handy|iphone|natel")


def phone_kind(label: str) -> str:
    """What a telephone with this label is: "mobile", "phone", or "" when it is left out."""
    text = label.casefold()
    if _FAX.search(text):
        return ""
    if _MOBILE.search(text):
        return "mobile"
    return "" if _HOME.search(text) else "phone"


def is_private(label: str) -> bool:
    """Whether an address with this label is somebody's home."""
    return _HOME.search(label.casefold()) is not None
