"""Contacts of Dynamics 365, over the Web API of Dataverse: `python -m examples.dynamics STATE_FILE`.

DATAVERSE_URL is https://<organisation>.crm4.dynamics.com. Who azure-identity signs in as must be an application user there with a
role that reads contacts, and change tracking must be on for the table contact, as it is by default. Microsoft's client library is
not used: it brings pandas along for what are two requests here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from examples.push import CursorExpiredError, Person, person, run

_COLUMNS = (
    "contactid,statecode,fullname,firstname,lastname,_parentcustomerid_value,department,jobtitle,emailaddress1,mobilephone,"
    "telephone1,address1_line1,address1_city,address1_stateorprovince,address1_postalcode,address1_country"
)
_COMPANY = "_parentcustomerid_value@OData.Community.Display.V1.FormattedValue"
_PREFER = 'odata.track-changes,odata.maxpagesize=500,odata.include-annotations="OData.Community.Display.V1.FormattedValue"'
_ACTIVE = 0


class Dynamics:
    """The cursor is the link under which Dataverse tells what has changed since; it lives seven days.

    https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
    """

    def __init__(self, client: httpx.Client, token: Callable[[], str], url: str) -> None:
        self._client = client
        self._token = token
        self._url = url.rstrip("/")
        self._cursor = ""

    def everybody(self) -> tuple[dict[str, Person], str]:
        """See push.Crm."""
        told = self._told(f"{self._url}/api/data/v9.2/contacts?$select={_COLUMNS}")
        return {key: found for key, found in told if found is not None}, self._cursor

    def changes(self, cursor: str) -> tuple[dict[str, Person | None], str]:
        """See push.Crm."""
        return dict(self._told(cursor)), self._cursor

    def _told(self, link: str) -> Iterator[tuple[str, Person | None]]:
        while link:
            if not link.startswith(f"{self._url}/"):
                raise CursorExpiredError  # the token goes nowhere else
            answer = self._client.get(link, headers={"Authorization": f"Bearer {self._token()}", "Prefer": _PREFER})
            if answer.status_code in (400, 410) and "deltatoken" in link:
                raise CursorExpiredError
            answer.raise_for_status()
            page = answer.json()
            for contact in page["value"]:
                if "reason" in contact:  # deleted: only the id is left
                    yield contact["id"], None
                else:
                    yield contact["contactid"], _person(contact) if contact["statecode"] == _ACTIVE else None
            link = page.get("@odata.nextLink", "")
            self._cursor = page.get("@odata.deltaLink", "")


def _person(contact: Mapping[str, Any]) -> Person:
    return person(
        displayName=contact["fullname"],
        givenName=contact["firstname"],
        surname=contact["lastname"],
        companyName=contact.get(_COMPANY),
        department=contact["department"],
        jobTitle=contact["jobtitle"],
        mail=contact["emailaddress1"],
        mobilePhone=contact["mobilephone"],
        businessPhones=[contact["telephone1"]],
        streetAddress=contact["address1_line1"],
        city=contact["address1_city"],
        state=contact["address1_stateorprovince"],
        postalCode=contact["address1_postalcode"],
        country=contact["address1_country"],
    )


def main(state: str) -> None:
    """Feed the source once."""
    from azure.identity import DefaultAzureCredential

    url = os.environ["DATAVERSE_URL"]
    credential = DefaultAzureCredential()
    with httpx.Client(timeout=60) as client:
        run(Dynamics(client, lambda: credential.get_token(f"{url}/.default").token, url), state)


if __name__ == "__main__":
    main(sys.argv[1])
