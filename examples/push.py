"""Hands the people of a CRM to a push source of Rollcall: everybody once a week, in between what changed.

The settings come from the environment: ROLLCALL_URL (https://<app>.azurewebsites.net/api), ROLLCALL_SOURCE (the source's id),
ROLLCALL_SCOPE (api://<the API's client id>/.default) and, for azure-identity, AZURE_TENANT_ID, AZURE_CLIENT_ID and
AZURE_CLIENT_SECRET of an app registration that has the app role for pushing.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx

Person = dict[str, Any]
"""What Rollcall takes of a person: displayName, givenName, surname, companyName, mail, mobilePhone, businessPhones, ..."""

FULL_EVERY = timedelta(days=7)
"""Rollcall forgets what has not been replaced as a whole for two months; a change that was missed lives a week at most."""

_TRIES = 6
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")


class CursorExpiredError(Exception):
    """The CRM cannot say any more what has changed since then."""


class RefusedError(Exception):
    """Rollcall will not take what it was given; the text says which field of which item is wrong."""


class Crm(Protocol):
    """Where people come from. A cursor is a text that says how far we have read."""

    def everybody(self) -> tuple[dict[str, Person], str]:
        """All people by their id in the CRM, and a cursor from before they were read."""

    def changes(self, cursor: str) -> tuple[dict[str, Person | None], str]:
        """Who is new or changed since the cursor, None for who is gone. Raises CursorExpiredError."""


class Source:
    """A push source, over HTTP."""

    def __init__(self, client: httpx.Client, token: Callable[[], str], url: str, source: str) -> None:
        self._client = client
        self._token = token
        self._items = f"{url.rstrip('/')}/sources/{quote(source, safe='')}/items"

    def replace(self, people: Mapping[str, Person]) -> None:
        """Put these people in the place of all that were there: all of them, or none."""
        self._send("PUT", self._items, {"items": [{"id": key, **person} for key, person in people.items()]})

    def put(self, key: str, person: Person) -> None:
        """Add or replace one person."""
        self._send("PUT", f"{self._items}/{quote(key, safe='')}", person)

    def delete(self, key: str) -> None:
        """Take one person out; one that is not there is no error."""
        self._send("DELETE", f"{self._items}/{quote(key, safe='')}", None)

    def _send(self, method: str, url: str, body: Any) -> None:
        for attempt in range(_TRIES):
            answer = self._client.request(method, url, json=body, headers={"Authorization": f"Bearer {self._token()}"})
            busy = answer.status_code in (429, 500, 502, 503, 504)
            if not busy or attempt == _TRIES - 1:
                break
            time.sleep(float(answer.headers.get("Retry-After", 2**attempt)))
        if answer.status_code == 400:
            raise RefusedError(answer.text)
        answer.raise_for_status()


def feed(crm: Crm, source: Source, state: Path, now: datetime) -> None:
    """Bring the source up to date. What is under `state` is written last: whatever breaks off is done once more."""
    known = json.loads(state.read_text()) if state.exists() else None
    if known is not None and now - datetime.fromisoformat(known["fullAt"]) < FULL_EVERY:
        try:
            changes, cursor = crm.changes(known["cursor"])
        except CursorExpiredError:
            known = None
        else:
            for key, person in changes.items():
                if person is None:
                    source.delete(key)
                else:
                    source.put(key, person)
            _save(state, {"fullAt": known["fullAt"], "cursor": cursor})
            return
    people, cursor = crm.everybody()
    source.replace(people)
    _save(state, {"fullAt": now.isoformat(), "cursor": cursor})


def run(crm: Crm, state: str) -> None:
    """Feed the source that the environment names; `state` is a file that is kept from run to run."""
    from azure.identity import DefaultAzureCredential

    credential = DefaultAzureCredential()
    scope = os.environ["ROLLCALL_SCOPE"]
    with httpx.Client(timeout=120) as client:
        source = Source(
            client, lambda: credential.get_token(scope).token, os.environ["ROLLCALL_URL"], os.environ["ROLLCALL_SOURCE"]
        )
        feed(crm, source, Path(state), datetime.now(UTC))


def person(**fields: Any) -> Person:
    """A person without what is empty, and without e-mail addresses that are none."""
    fields["mail"] = address if (address := (fields.get("mail") or "").strip()) and _ADDRESS.fullmatch(address) else None
    fields["businessPhones"] = [number for number in fields.get("businessPhones") or () if number]
    return {name: value.strip() if isinstance(value, str) else value for name, value in fields.items() if value}


def stamp(moment: datetime) -> str:
    """A moment as CRMs read it: 2026-11-02T01:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _save(state: Path, content: Mapping[str, str]) -> None:
    fresh = state.with_suffix(".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(state)
