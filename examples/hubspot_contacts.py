"""Contacts of HubSpot: `python -m examples.hubspot_contacts STATE_FILE`.

Signs in with the access token of a private app that may read contacts (crm.objects.contacts.read): HUBSPOT_TOKEN.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from examples.push import CursorExpiredError, Person, person, run, stamp

_PROPERTIES = [
    *("firstname", "lastname", "company", "jobtitle", "email", "mobilephone", "phone"),
    *("address", "city", "state", "zip", "country"),
]
_OVERLAP = timedelta(minutes=10)
"""The search finds what was written a few minutes ago, not what was written just now."""

_MOST_FOUND = 10_000
"""No search answers more: https://developers.hubspot.com/docs/api/crm/search."""

_PAGE = 100


class HubSpot:
    """Over `contacts`, the `crm.contacts` of a client of hubspot-api-client."""

    def __init__(self, contacts: Any, now: Callable[[], datetime]) -> None:
        self._contacts = contacts
        self._now = now

    def everybody(self) -> tuple[dict[str, Person], str]:
        """See push.Crm."""
        cursor = stamp(self._now() - _OVERLAP)
        return {contact.id: _person(contact.properties) for contact in self._all(archived=False)}, cursor

    def changes(self, cursor: str) -> tuple[dict[str, Person | None], str]:
        """See push.Crm. Who was deleted is told by the list of archived contacts, which is short: it ends after 90 days."""
        following = stamp(self._now() - _OVERLAP)
        since = datetime.fromisoformat(cursor)
        gone = {contact.id: None for contact in self._all(archived=True) if contact.archived_at >= since}
        return {**gone, **{contact.id: _person(contact.properties) for contact in self._changed(since)}}, following

    def _all(self, *, archived: bool) -> Iterator[Any]:
        after: str | None = None
        while True:
            pages = {"after": after} if after is not None else {}
            page = self._contacts.basic_api.get_page(limit=_PAGE, properties=_PROPERTIES, archived=archived, **pages)
            yield from page.results
            if page.paging is None or page.paging.next is None:
                return
            after = page.paging.next.after

    def _changed(self, since: datetime) -> Iterator[Any]:
        after: str | None = None
        while True:
            milliseconds = str(int(since.timestamp() * 1000))
            search: dict[str, Any] = {
                "filterGroups": [
                    {"filters": [{"propertyName": "lastmodifieddate", "operator": "GTE", "value": milliseconds}]},
                ],
                "sorts": [{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
                "properties": _PROPERTIES,
                "limit": _PAGE,
            }
            if after is not None:
                search["after"] = after
            page = self._contacts.search_api.do_search(search)
            if page.total > _MOST_FOUND:
                raise CursorExpiredError
            yield from page.results
            if page.paging is None or page.paging.next is None:
                return
            after = page.paging.next.after


def _person(properties: Mapping[str, str | None]) -> Person:
    names = [name for name in (properties.get("firstname"), properties.get("lastname")) if name]
    return person(
        displayName=" ".join(names) or properties.get("company") or properties.get("email"),
        givenName=properties.get("firstname"),
        surname=properties.get("lastname"),
        companyName=properties.get("company"),
        jobTitle=properties.get("jobtitle"),
        mail=properties.get("email"),
        mobilePhone=properties.get("mobilephone"),
        businessPhones=[properties.get("phone")],
        streetAddress=properties.get("address"),
        city=properties.get("city"),
        state=properties.get("state"),
        postalCode=properties.get("zip"),
        country=properties.get("country"),
    )


def main(state: str) -> None:
    """Feed the source once."""
    from hubspot import HubSpot as Client

    contacts = Client(access_token=os.environ["HUBSPOT_TOKEN"]).crm.contacts
    run(HubSpot(contacts, lambda: datetime.now(UTC)), state)


if __name__ == "__main__":
    main(sys.argv[1])
