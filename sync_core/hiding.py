"""What employees hide of their own cards, from all lists of the tenant, as far as its settings let them. Pure.

A person is known by object id, and by the e-mail addresses that the directory has of them: what the directory must not show must
not come in from a mailbox or a file either. Who belongs in a list, and who is merged with whom, is decided before anything is
hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from sync_core.contacts import blank, user_key
from sync_core.suppression import addresses as addresses_of
from sync_core.suppression import by_key, by_mail, identifiers

if TYPE_CHECKING:
    from collections.abc import Callable


class CardField(StrEnum):
    """What can be hidden, by the names of a contact's properties. Stable: stored and shown."""

    MOBILE_PHONE = "mobilePhone"
    BUSINESS_PHONES = "businessPhones"
    JOB_TITLE = "jobTitle"
    OFFICE_LOCATION = "officeLocation"
    BUSINESS_ADDRESS = "businessAddress"
    PHOTO = "photo"


Chosen = Mapping[str, frozenset[CardField]]
"""What is hidden, by object id."""

_ADDRESS = ("streetAddress", "city", "state", "postalCode", "country")
_PHONES = (CardField.MOBILE_PHONE, CardField.BUSINESS_PHONES)
_SHORTEST_NUMBER = 7


@dataclass(frozen=True, slots=True)
class Hiding:
    """What one person hides: fields, and the numbers in them, which must not show under another name. False when nothing."""

    fields: frozenset[CardField] = frozenset()
    numbers: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.fields)

    @property
    def digest(self) -> str:
        """Names what is hidden."""
        return _digest_of(f"{sorted(self.fields)} {sorted(self.numbers)}")

    def veil(self, fed: Mapping[str, str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """What takes the hidden fields out of a contact; `fed` says which fields are fed by which attributes of the person."""
        return partial(_veiled, self, fed)


NOTHING: Final = Hiding()


@dataclass(frozen=True, slots=True)
class Hiders:
    """Who hides something, by all that they are known by."""

    known: Mapping[str, Hiding] = field(default_factory=dict)

    @classmethod
    def of(cls, chosen: Chosen, users: Iterable[Mapping[str, Any]]) -> Hiders:
        """Those who hide something; `users` are they as the directory has them, if it still does."""
        known = {by_key(user_key(user)): Hiding(fields) for user, fields in chosen.items()}
        for user in users:
            fields = chosen[user["id"].lower()]
            numbers = frozenset(filter(None, map(_digits, _numbers(user, fields))))
            for identifier in (by_key(user_key(user["id"])), *map(by_mail, addresses_of(user))):
                before = known.get(identifier, NOTHING)
                known[identifier] = Hiding(before.fields | fields, before.numbers | numbers)
        return cls(known)

    @property
    def digest(self) -> str:
        """Names all of this."""
        return _digest_of("\n".join(f"{name} {hides.digest}" for name, hides in sorted(self.known.items()))) if self.known else ""

    def hiding(self, key: str, person: Mapping[str, Any] | None = None) -> Hiding:
        """What this person of a source, or of several, hides.

        Addresses count only where something comes from elsewhere than the directory: there each user is known by the own id.
        """
        if not self.known:
            return NOTHING
        all_users = all(part.startswith("u:") for part in key.split("+"))
        found = [self.known[name] for name in identifiers(key, {} if all_users else person or {}) if name in self.known]
        if not found:
            return NOTHING
        return Hiding(frozenset().union(*(one.fields for one in found)), frozenset().union(*(one.numbers for one in found)))


def allowed(chosen: Chosen, hideable: Iterable[CardField]) -> Chosen:
    """What counts of all that was chosen: an employee's choice that is no longer allowed is as good as none."""
    fields = frozenset(hideable)
    return {user.lower(): wanted & fields for user, wanted in chosen.items() if wanted & fields}


def digest(chosen: Chosen) -> str:
    """Names all that is hidden; "" for nothing."""
    lines = "\n".join(f"{user}={','.join(sorted(fields))}" for user, fields in sorted(chosen.items()))
    return _digest_of(lines) if lines else ""


def _digest_of(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _veiled(hiding: Hiding, fed: Mapping[str, str], contact: Mapping[str, Any]) -> dict[str, Any]:
    """The contact without what is hidden, whichever field it stands in."""
    sources = {name: CardField.BUSINESS_ADDRESS if source in _ADDRESS else source for name, source in fed.items()}
    numbers = hiding.numbers.union(filter(None, map(_digits, _numbers(contact, hiding.fields))))
    shown: dict[str, Any] = {}
    for name, value in contact.items():
        if name in hiding.fields or sources.get(name) in hiding.fields:
            shown[name] = blank(name)
        elif name == CardField.BUSINESS_PHONES:
            shown[name] = [number for number in value if not _is_among(number, numbers)]
        elif name == CardField.MOBILE_PHONE and value and _is_among(value, numbers):
            shown[name] = blank(name)
        else:
            shown[name] = value
    if contact.get("displayName") and not shown["displayName"]:
        shown["displayName"] = _other_name(shown)  # nothing can be nameless
        if "emailAddresses" in shown:
            shown["emailAddresses"] = [{**email, "name": shown["displayName"]} for email in shown["emailAddresses"]]
    return shown


def _other_name(contact: Mapping[str, Any]) -> str:
    names = " ".join(filter(None, (contact.get("givenName"), contact.get("surname"))))
    return names or next((email["address"] for email in contact.get("emailAddresses") or ()), "?")


def _numbers(person: Mapping[str, Any], fields: frozenset[CardField]) -> Iterable[str]:
    for name in _PHONES:
        if name in fields:
            value = person.get(name) or ()
            yield from [value] if isinstance(value, str) else value


def _digits(number: str) -> str:
    """What of a number is the same however it is written: neither the prefix for abroad nor the zero before the area code."""
    digits = re.sub(r"\D", "", number).lstrip("0")
    return digits if len(digits) >= _SHORTEST_NUMBER else ""


def _is_among(number: str, numbers: frozenset[str]) -> bool:
    digits = _digits(number)
    return bool(digits) and any(digits.endswith(one) or one.endswith(digits) for one in numbers)
