"""From a directory user to the contact that phones show.

We own the properties in `OWNED_FIELDS`, unless a sync has rules of its own (see `fields`), and no other: a user's own notes,
birthday or photo on a contact stay. Every owned field is written, empty ones as null, so that what was removed in the directory
is removed in the mailbox too. `fileAs` is left to Exchange, which files by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sync_core import marks, notes
from sync_core.countries import region
from sync_core.encoding import kept
from sync_core.model import Item
from sync_core.phones import international
from sync_core.texts import LONGEST
from sync_core.texts import canonical as _canonical_text
from sync_core.texts import joined as _joined
from sync_core.texts import line as _text

if TYPE_CHECKING:
    from sync_core.fields import Fields
    from sync_core.fingerprints import Fingerprinter

OWNED_FIELDS: tuple[str, ...] = (
    "displayName",
    "givenName",
    "surname",
    "companyName",
    "department",
    "jobTitle",
    "officeLocation",
    "mobilePhone",
    "businessPhones",
    "emailAddresses",
    "businessAddress",
)
"""What a sync owns that says nothing else."""

FIELDS: tuple[str, ...] = (*OWNED_FIELDS, "categories", "personalNotes")
"""What a sync can own."""

MOST_EMAIL_ADDRESSES = 3
MOST_BUSINESS_PHONES = 2
"""Graph refuses more: https://github.com/microsoftgraph/microsoft-graph-docs-contrib/issues/560."""

# From the properties of physicalAddress to those of a user
_ADDRESS = {
    "street": "streetAddress",
    "city": "city",
    "state": "state",
    "postalCode": "postalCode",
    "countryOrRegion": "country",
}

_PUNCTUATION = re.compile(r"[\s().\-/]")


# Reading numbers is most of the cost of a large directory; from one night to the next few of them change
_region = lru_cache(maxsize=1024)(region)
_international = lru_cache(maxsize=1 << 16)(international)


def key_of(user: Mapping[str, Any]) -> str:
    """The key of a directory user: "u:" and the object id."""
    return user_key(user["id"])


def user_key(user_id: str) -> str:
    """The key of the directory user with this object id."""
    return f"u:{user_id.lower()}"


def item_of(
    user: Mapping[str, Any],
    *,
    installation: str,
    sync: str,
    fingerprinter: Fingerprinter,
    default_country: str | None,
    key: str | None = None,
    fields: Fields | None = None,
    photo: tuple[str, str | None] = ("", None),
    veil: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
) -> Item:
    """The user as an item ready to be written, our marks included. Equal users give equal bytes.

    `key` is that of a person from another source, or from several, `fields` the rules of the sync if it has any, `photo` where
    its photo is kept and the name of that (see `photos.photo_of`), `veil` takes out what the person hides (see `hiding`).
    """
    key = key or key_of(user)
    contact = contact_of(user, default_country=default_country)
    if fields is not None:
        contact = fields.shaped(contact, user, country=_country(user, default_country))
    place, name = photo
    fingerprint = fingerprinter.of(contact, photo=name or "")
    hides = ""
    if veil is not None:
        hides, contact = fingerprint, veil(contact)
        fingerprint = fingerprinter.of(contact, photo=name or "")
    contact["singleValueExtendedProperties"] = [
        {"id": marks.KEY_PROPERTY, "value": marks.item_mark(installation, sync, key)},
        {"id": marks.FINGERPRINT_PROPERTY, "value": fingerprint},
    ]
    return Item(key, fingerprint, kept(contact), photo=place if name else name, hides=hides)


def contact_of(user: Mapping[str, Any], *, default_country: str | None) -> dict[str, Any]:
    """The owned fields of the user's contact, each present, as Graph takes them.

    `default_country` (ISO 3166 alpha-2) reads the phone numbers of users whose own country is unknown.
    """
    emails = _emails(user)
    country = _country(user, default_country)
    mobile = _phone(user.get("mobilePhone"), country)
    business = _phones(user.get("businessPhones"), country)
    given, surname = _text(user.get("givenName")), _text(user.get("surname"))
    display = _text(user.get("displayName")) or _text(f"{given or ''} {surname or ''}") or next(iter(emails + business), mobile)
    given, surname = _names(display, given, surname)
    return {
        "displayName": display,
        "givenName": given,
        "surname": surname,
        "companyName": _shared_text(user.get("companyName")),
        "department": _shared_text(user.get("department")),
        "jobTitle": _shared_text(user.get("jobTitle")),
        "officeLocation": _shared_text(user.get("officeLocation")),
        "mobilePhone": mobile,
        "businessPhones": business[:MOST_BUSINESS_PHONES],
        "emailAddresses": [{"address": email, "name": display} for email in emails[:MOST_EMAIL_ADDRESSES]],
        "businessAddress": {part: _shared_text(user.get(source)) for part, source in _ADDRESS.items()},
    }


def with_international_phones(person: Mapping[str, Any], default_country: str | None) -> Mapping[str, Any]:
    """The person with phone numbers as `contact_of` writes them: read by the person's own country."""
    if not (person.get("mobilePhone") or person.get("businessPhones")):
        return person
    country = _country(person, default_country)
    return {
        **person,
        "mobilePhone": _phone(person.get("mobilePhone"), country),
        "businessPhones": _phones(person.get("businessPhones"), country),
    }


def value_of(field: str, texts: Iterable[str | None], *, country: str | None, phones_as_is: bool) -> Any:
    """What a field holds that is fed with these texts (not the address): the first of them, or as many as it takes.

    `country` reads the phone numbers, unless they stay as they are.
    """
    found = [text for text in texts if text]
    match field:
        case "mobilePhone" | "businessPhones":
            numbers = list(filter(None, map(_text, found))) if phones_as_is else _phones(found, country)
            return next(iter(numbers), None) if field == "mobilePhone" else numbers[:MOST_BUSINESS_PHONES]
        case "emailAddresses":
            return [{"address": email, "name": email} for email in _addresses(found)[:MOST_EMAIL_ADDRESSES]]
        case "categories":
            return sorted(set(filter(None, map(_text, found))))
        case "personalNotes":
            return notes.block("\r\n".join(filter(None, (_text(line) for text in found for line in text.splitlines()))))
        case _:
            return next(filter(None, map(_text, found)), None)


def blank(field: str) -> Any:
    """What an empty field holds."""
    if field == "businessAddress":
        return dict.fromkeys(_ADDRESS)
    return value_of(field, (), country=None, phones_as_is=True)  # pragma: no mutate (there is no number to read)


def canonical(field: str, value: Any) -> bytes:
    """The form in which what we wrote equals what Graph reads back.

    - Missing, None, "", [] and an object with nothing in it are the same: b"".
    - Text: Unicode NFC, white space at the ends gone and any other run of it one space (Exchange turns line ends into CRLF).
    - Phones: white space and the punctuation ``( ) . - /`` gone, as phones reformat numbers they save. A list keeps its order.
    - E-mail addresses: the lower-case addresses in order. Their names are not compared: Exchange fills them in by itself, and
      they only ever change together with `displayName`.
    - Categories: in any order.
    - Notes: what stands in our block; the rest is the user's.
    - An address: its parts as text, in a fixed order.
    """
    if not value:
        return b""
    if field == "businessAddress":
        return _address(*map(value.get, _ADDRESS))
    if field == "emailAddresses":
        return _joined(filter(None, (_canonical_text(email.get("address")).lower() for email in value)))
    if field == "businessPhones":
        return _joined(filter(None, (_canonical_text(_PUNCTUATION.sub("", phone)) for phone in value)))
    if field == "categories":
        return _joined(sorted(filter(None, map(_canonical_text, value))))
    if field == "personalNotes":
        return _joined((_canonical_text(notes.block_text(value)),))
    if field == "mobilePhone":
        return _joined((_canonical_text(_PUNCTUATION.sub("", value)),))
    return _joined((_canonical_text(value),))


@lru_cache(maxsize=1 << 12)
def _address(*parts: str | None) -> bytes:
    return _joined(map(_canonical_text, parts))


# What many people have in common need not be tidied up for each of them
_shared_text = lru_cache(maxsize=1 << 14)(_text)


def _country(user: Mapping[str, Any], default_country: str | None) -> str | None:
    return _region(user.get("usageLocation")) or _region(user.get("country")) or default_country


def _phones(raw: Iterable[str] | None, country: str | None) -> list[str]:
    return [phone for phone in dict.fromkeys(_phone(one, country) for one in raw or ()) if phone]


def _phone(raw: str | None, country: str | None) -> str | None:
    text = _text(raw)
    if not text:
        return None
    # What is written in full needs no parsing: remembering it would only push out what does
    read = international if text.startswith("+") else _international  # pragma: no mutate (only saves time)
    return read(text, country) or None


def _emails(user: Mapping[str, Any]) -> list[str]:
    """The primary address, then the aliases in a fixed order ("SMTP:" marks the primary one and sorts first); none twice."""
    aliases = [proxy[5:] for proxy in sorted(user.get("proxyAddresses") or ()) if proxy[:5].lower() == "smtp:"]
    # Every account gets aliases in the tenant's initial domain, which nobody writes to
    return _addresses([user.get("mail"), *(alias for alias in aliases if not alias.lower().endswith(".onmicrosoft.com"))])


def _addresses(texts: Iterable[str | None]) -> list[str]:
    found: dict[str, str] = {}
    for address in map(_text, texts):
        if address and "@" in address and len(address) < LONGEST:
            found.setdefault(address.lower(), address)
    return list(found.values())


def _names(display: str | None, given: str | None, surname: str | None) -> tuple[str | None, str | None]:
    """Given name and surname as far as they are known; iOS shows these and not the display name.

    One missing part is what the display name has besides the other. With both missing the whole display name stands for the given
    name: it is shown unchanged then, where any guess would turn some names and all functional accounts round.
    """
    if not display or (given and surname):
        return given, surname
    if given:
        return given, _rest(display, given)
    if surname:
        return _rest(display, surname), surname
    return display, None


def _rest(display: str, part: str) -> str | None:
    """What `display` says besides the name `part` at its beginning or end."""
    words, known = display.split(), part.split()
    if [word.rstrip(",") for word in words[: len(known)]] == known:
        return " ".join(words[len(known) :]) or None
    if words[-len(known) :] == known:
        return " ".join(words[: -len(known)]).rstrip(",") or None
    return None
