"""By what a person is known, wherever they come from: what a suppression holds against.

An identifier is a text such as "mail:anna@example.com", "key:u:<object id>" or "phone:4915123456789". Only keyed hashes of them
are stored, so that a suppression can be kept for good without keeping the person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

_SIZE = 16
_ADDRESSES = ("mail", "userPrincipalName")
_ALIASES = ("proxyAddresses", "otherMails")


def identifiers(key: str, person: Mapping[str, Any]) -> Iterator[str]:
    """All identifiers of a person in the normal form of sources, whose key may be that of several source objects."""
    yield from (by_key(part) for part in key.split("+") if ":" in part)
    yield from map(by_mail, addresses(person))
    yield from map(by_phone, phones(person))


def addresses(person: Mapping[str, Any]) -> Iterator[str]:
    """The e-mail addresses of a person, aliases included."""
    yield from (person[name] for name in _ADDRESSES if person.get(name))
    yield from (alias.partition(":")[2] or alias for name in _ALIASES for alias in person.get(name) or ())


def phones(person: Mapping[str, Any]) -> Iterator[str]:
    """The phone numbers of a person."""
    yield from (number for number in (person.get("mobilePhone"), *(person.get("businessPhones") or ())) if number)


def by_key(key: str) -> str:
    """The identifier of a source object."""
    return f"key:{key.lower()}"


def by_mail(address: str) -> str:
    """The identifier of an e-mail address: case does not count."""
    return f"mail:{address.strip().casefold()}"


def by_phone(number: str) -> str:
    """The identifier of a phone number: its digits, so that spelling does not count."""
    return "phone:" + "".join(filter(str.isdigit, number))


def hashed(identifier: str, key: bytes) -> str:
    """What is stored of an identifier."""
    return blake2b(identifier.encode(), key=key, digest_size=_SIZE, person=b"suppression").hexdigest()
