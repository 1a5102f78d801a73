"""What each feature asks of Microsoft Graph: the one table that documentation, connection check and tests are held to.

Permissions: https://learn.microsoft.com/graph/permissions-reference and the "Permissions" table of each method's page. Which of
them Exchange can limit to some mailboxes: https://learn.microsoft.com/exchange/permissions-exo/application-rbac
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Feature(StrEnum):
    """A part of the product that needs something of its own. Stable: shown to admins and stored."""

    DIRECTORY = "directory"
    CONTACTS = "contacts"
    GROUPS = "groups"
    ORG_CONTACTS = "org_contacts"
    SHARED_MAILBOXES = "shared_mailboxes"
    PHOTOS = "photos"
    CALENDARS = "calendars"


@dataclass(frozen=True, slots=True)
class Need:
    """An application permission and what it is for.

    With `scopable`, Exchange can grant it for a group of mailboxes instead; it is then in no token. `others` are wider
    permissions under which the feature works as well. `calls` are the requests made under it: method and path, ids as `{id}`.
    """

    permission: str
    purpose: str
    calls: tuple[str, ...]
    scopable: bool = False
    others: frozenset[str] = frozenset()

    def met_by(self, roles: Iterable[str]) -> bool:
        """Whether a token with these `roles` claims lets the feature work in every mailbox."""
        return not ({self.permission} | self.others).isdisjoint(roles)


_DIRECTORY_WIDE = frozenset({"Directory.Read.All", "Directory.ReadWrite.All"})
_FOLDER = "/users/{id}/contactfolders/{id}"
_CALENDAR = "/users/{id}/calendars/{id}"

NEEDS: dict[Feature, Need] = {
    Feature.DIRECTORY: Need(
        "User.Read.All",
        "who works here, and who has a mailbox",
        ("GET /users", "GET /users/delta"),
        others=_DIRECTORY_WIDE | {"User.ReadWrite.All"},
    ),
    Feature.CONTACTS: Need(
        "Contacts.ReadWrite",
        "the contact folder in each mailbox",
        (
            "GET /users/{id}/contactfolders",
            "POST /users/{id}/contactfolders",
            f"GET {_FOLDER}",
            f"PATCH {_FOLDER}",
            f"DELETE {_FOLDER}",
            f"POST {_FOLDER}/permanentdelete",
            f"GET {_FOLDER}/childfolders",
            f"GET {_FOLDER}/contacts",
            f"POST {_FOLDER}/contacts",
            f"GET {_FOLDER}/contacts/delta",
            "GET /users/{id}/contacts/{id}",
            "PATCH /users/{id}/contacts/{id}",
            f"PATCH {_FOLDER}/contacts/{{id}}",
            f"DELETE {_FOLDER}/contacts/{{id}}",
            f"POST {_FOLDER}/contacts/{{id}}/permanentdelete",
            "PUT /users/{id}/contacts/{id}/photo/$value",
        ),
        scopable=True,
    ),
    Feature.GROUPS: Need(
        "GroupMember.Read.All",
        "lists made from groups, and groups as targets",
        ("GET /groups", "GET /groups/delta", "GET /groups/{id}/transitivemembers"),
        others=_DIRECTORY_WIDE | {"Group.Read.All", "Group.ReadWrite.All"},
    ),
    Feature.ORG_CONTACTS: Need(
        "OrgContact.Read.All",
        "lists made from the organisation's contacts",
        ("GET /contacts", "GET /contacts/delta"),
        others=_DIRECTORY_WIDE,
    ),
    Feature.SHARED_MAILBOXES: Need(
        "Contacts.ReadWrite",
        "lists made from the contacts of a shared mailbox",
        (
            "GET /users/{id}/contactfolders",
            f"GET {_FOLDER}",
            f"GET {_FOLDER}/childfolders",
            f"GET {_FOLDER}/contacts",
            f"GET {_FOLDER}/contacts/delta",
        ),
        scopable=True,
        others=frozenset({"Contacts.Read"}),
    ),
    Feature.PHOTOS: Need(
        "ProfilePhoto.Read.All",
        "people's photos on their contacts",
        ("GET /users/{id}/photo", "GET /users/{id}/photos/{id}/$value"),
        others=frozenset({"User.Read.All", "User.ReadWrite.All", "ProfilePhoto.ReadWrite.All"}),
    ),
    Feature.CALENDARS: Need(
        "Calendars.ReadWrite",
        "shared calendars, and their copy in each mailbox",
        (
            "GET /users/{id}/calendar",
            "GET /users/{id}/calendars",
            "POST /users/{id}/calendars",
            f"PATCH {_CALENDAR}",
            f"DELETE {_CALENDAR}",
            f"GET {_CALENDAR}/events",
            f"POST {_CALENDAR}/events",
            f"PATCH {_CALENDAR}/events/{{id}}",
            f"DELETE {_CALENDAR}/events/{{id}}",
            f"POST {_CALENDAR}/events/{{id}}/permanentdelete",
            f"GET {_CALENDAR}/calendarview",
            f"GET {_CALENDAR}/calendarview/delta",
            "GET /users/{id}/events/{id}",
            "PATCH /users/{id}/events/{id}",
            "GET /users/{id}/events/{id}/calendar",
        ),
        scopable=True,
    ),
}
"""By feature, in the order in which they are shown. DIRECTORY is needed by every sync, the others by some."""

FORBIDDEN = "Mail."
"""How permissions begin that this product never wants: they open people's mail."""


def permissions_for(features: Iterable[Feature]) -> frozenset[str]:
    """The permissions that these features need, none more."""
    return frozenset(NEEDS[feature].permission for feature in features)


def calls_for(features: Iterable[Feature]) -> frozenset[str]:
    """The requests that these features make."""
    return frozenset(call for feature in features for call in NEEDS[feature].calls)


def useless(roles: Iterable[str]) -> tuple[str, ...]:
    """Roles of a token that no feature needs, sorted: the fewer the better. Those that read mail are among them."""
    known = permissions_for(Feature) | frozenset({"Contacts.Read"})
    return tuple(sorted(set(roles) - known))
