"""What can be asked of a person: attributes by the names under which rules know them.

People are the objects that `directory.merge` makes, or objects of other sources with the same property names. Who has a
`userPrincipalName` has an account; organisation contacts and people from files have none, and are neither enabled nor disabled.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sync_core.countries import region
from sync_core.directory import EXTENSION_ATTRIBUTES

Person = Mapping[str, Any]

_region = lru_cache(maxsize=1024)(region)

_SERVICE_ACCOUNT = re.compile(
    r"""
    (?:^|[._-])                       # alone, or as one word of several
    (?: (?:no|do[._-]?not|dont)[._-]?reply | ne[._-]?pas[._-]?repondre | no[._-]?responder | non[._-]?rispondere
      | nicht[._-]?antworten | mailer[._-]?daemon | postmaster )
    (?:$|[._+-])
    | ^svc[._-] | [._-]svc$
    | ^sync_[^_]+_[0-9a-f]{12}$ | ^adtoaadsyncserviceaccount$        # Microsoft Entra Connect's own
    | ^(?:healthmailbox|systemmailbox|discoverysearchmailbox)[^a-z]  # Exchange's own
    """,
    re.VERBOSE,
)


def fold(text: str) -> str:
    """The form in which texts are compared: without case, in the compatible Unicode form (NFKC)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def country(person: Person) -> str:
    """ISO 3166 alpha-2: of the address, else where the account is used; "" when neither is clear."""
    return _region(person.get("country")) or _region(person.get("usageLocation")) or ""


def user_type(person: Person) -> str:
    """What kind of account a person has: "member", "guest" or "" (none)."""
    if person.get("userType") == "Guest":
        return "guest"
    # userType is missing on accounts older than the property: those are members
    return "member" if has_account(person) else ""


def has_account(person: Person) -> bool:
    """Whether the person is a user of the directory."""
    return "userPrincipalName" in person


def is_disabled(person: Person) -> bool:
    """Whether the person has an account that cannot be used."""
    return has_account(person) and person.get("accountEnabled") is not True


def is_guest(person: Person) -> bool:
    """Whether the person's account is a guest's."""
    return user_type(person) == "guest"


def is_unreachable(person: Person) -> bool:
    """Whether there is neither an e-mail address nor a phone number: nothing a contact would be good for."""
    return not (person.get("mail") or _has_phone(person))


def is_functional_mailbox(person: Person) -> bool:
    """Whether an account looks like that of a shared mailbox, a room or a piece of equipment.

    The directory does not say so: only `mailboxSettings/userPurpose` does, one request per mailbox with a permission of its own,
    and `isResourceAccount` is null for rooms and shared mailboxes too (microsoft-graph-docs issues 4094 and 6453). But their
    accounts need no licence and are made from a display name alone, so what has an e-mail address, no mailbox plan, neither given
    name nor surname and no mobile number is taken for one. A person whose mailbox is on premises has no plan either, but a name.
    """
    if person.get("isResourceAccount") is True:
        return True
    if not has_account(person) or person.get("mailbox") or not person.get("mail"):
        return False
    return not (person.get("givenName") or person.get("surname") or person.get("mobilePhone"))


def is_service_account(person: Person) -> bool:
    """Whether nobody reads what is sent there, by the address or the user name: no-reply, daemons, svc-something, sync accounts.

    Addresses such as info@ or sales@ are worth having and no service accounts.
    """
    return any(
        _SERVICE_ACCOUNT.search(address.rpartition("@")[0].lower())
        for address in (person.get("mail"), person.get("userPrincipalName"))
        if address
    )


def _has_phone(person: Person) -> bool:
    return bool(person.get("mobilePhone") or person.get("businessPhones"))


def _domain(person: Person) -> str:
    return str(person.get("mail", "")).rpartition("@")[2]


TEXTS: tuple[str, ...] = (
    *("department", "companyName", "officeLocation", "jobTitle", "city", "state", "employeeType", "displayName"),
    *("userPrincipalName", "domain", *EXTENSION_ATTRIBUTES),
)
"""Attributes that are texts. `domain` is that of the e-mail address."""


def reader(name: str) -> Callable[[Person], str]:
    """What reads one of the `TEXTS` from a person: "" for who has none."""
    return _domain if name == "domain" else lambda person: person.get(name, "")


FLAGS: Mapping[str, tuple[str, Callable[[Person], bool]]] = {
    "enabled": ("has an enabled account", lambda person: person.get("accountEnabled") is True),
    "licensed": ("has a mailbox licence", lambda person: bool(person.get("mailbox"))),
    "hasPhone": ("has a phone number", _has_phone),
    "hasMobile": ("has a mobile number", lambda person: bool(person.get("mobilePhone"))),
    "hasEmail": ("has an e-mail address", lambda person: bool(person.get("mail"))),
    "functionalMailbox": ("looks like a shared, room or equipment mailbox", is_functional_mailbox),
    "serviceAccount": ("looks like a service or no-reply account", is_service_account),
}
"""Attributes that are yes or no, each with its name in words."""

NAMES = (*TEXTS, "country", "userType", *FLAGS)
