"""Contacts of Salesforce: `python -m examples.salesforce STATE_FILE`.

Signs in by the client credentials flow of an external client app: SALESFORCE_DOMAIN (example.my), SALESFORCE_CLIENT_ID,
SALESFORCE_CLIENT_SECRET. Its user needs the permission to read contacts and accounts.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from examples.push import Person, person, run, stamp

_ALL = (
    "SELECT Id, IsDeleted, Name, FirstName, LastName, Title, Department, Email, MobilePhone, Phone, "
    "MailingStreet, MailingCity, MailingState, MailingPostalCode, MailingCountry, Account.Name "
    "FROM Contact"
)
_OVERLAP = timedelta(minutes=10)
"""SystemModstamp is set when a change begins, and a change may take a while until it can be read."""

Query = Callable[..., Iterator[Mapping[str, Any]]]


class Salesforce:
    """Over `query`, the method `query_all_iter` of a simple_salesforce client, which follows the pages by itself."""

    def __init__(self, query: Query, now: Callable[[], datetime]) -> None:
        self._query = query
        self._now = now

    def everybody(self) -> tuple[dict[str, Person], str]:
        """See push.Crm."""
        cursor = stamp(self._now() - _OVERLAP)
        return {contact["Id"]: _person(contact) for contact in self._query(_ALL)}, cursor

    def changes(self, cursor: str) -> tuple[dict[str, Person | None], str]:
        """See push.Crm. The recycle bin tells who was deleted: for 15 days."""
        following = stamp(self._now() - _OVERLAP)
        # the cursor is a time of our own making: nothing foreign comes into the query
        found = self._query(f"{_ALL} WHERE SystemModstamp >= {cursor}", include_deleted=True)
        return {contact["Id"]: None if contact["IsDeleted"] else _person(contact) for contact in found}, following


def _person(contact: Mapping[str, Any]) -> Person:
    return person(
        displayName=contact["Name"],
        givenName=contact["FirstName"],
        surname=contact["LastName"],
        companyName=(contact["Account"] or {}).get("Name"),
        department=contact["Department"],
        jobTitle=contact["Title"],
        mail=contact["Email"],
        mobilePhone=contact["MobilePhone"],
        businessPhones=[contact["Phone"]],
        streetAddress=contact["MailingStreet"],
        city=contact["MailingCity"],
        state=contact["MailingState"],
        postalCode=contact["MailingPostalCode"],
        country=contact["MailingCountry"],
    )


def main(state: str) -> None:
    """Feed the source once."""
    from simple_salesforce.api import Salesforce as Client

    client = Client(
        domain=os.environ["SALESFORCE_DOMAIN"],
        consumer_key=os.environ["SALESFORCE_CLIENT_ID"],
        consumer_secret=os.environ["SALESFORCE_CLIENT_SECRET"],
    )
    run(Salesforce(client.query_all_iter, lambda: datetime.now(UTC)), state)


if __name__ == "__main__":
    main(sys.argv[1])
