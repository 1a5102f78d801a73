"""The calendars of a tenant's mailboxes: where events are mirrored to, and read from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from secrets import token_hex
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from cloud.graph import requests as build
from cloud.graph.batch import Gates
from cloud.graph.client import Client
from cloud.graph.errors import Answer
from cloud.graph.mailboxes import GraphMailboxes
from sync_core.errors import LedgerDoubtError, RollcallError
from sync_core.kinds import EVENTS
from sync_core.model import Create, Folder, ItemChangePage, SeenItem, SourcePage
from sync_core.occurrences import ASKED
from sync_core.ports import Calendars, Clock


class GraphCalendars(GraphMailboxes, Calendars):
    """Calendars over Microsoft Graph. They do not nest, and one that was deleted is not listed: for us it is no more.

    New calendars get `color`. An event is created under a transaction id, which is the same whenever this object creates it
    again, so that Exchange makes no second one: https://learn.microsoft.com/graph/api/resources/event#properties
    """

    kind = EVENTS
    _at = build.EVENTS

    def __init__(
        self, tenant: str, client: Client, gates: Gates, clock: Clock, *, permanent_delete: bool, color: str = ""
    ) -> None:
        super().__init__(tenant, client, gates, clock, permanent_delete=permanent_delete)
        self._new_folder: Mapping[str, str] = {"color": color} if color else {}
        self._work = token_hex(8)

    async def child_folders(self, mailbox: str, folder_id: str) -> list[Folder]:  # noqa: ARG002
        """None: calendars do not nest."""
        return []

    async def folder(self, mailbox: str, folder_id: str) -> Folder | None:
        """One calendar that is not deleted; None when there is none."""
        return next((folder for folder in await self.folders(mailbox) if folder.folder_id == folder_id), None)

    async def default(self, mailbox: str) -> Folder:
        """The mailbox's own calendar."""
        raw = await self._one(mailbox, build.get(f"{self._at.default(mailbox)}?{self._at.folder_query}"))
        return Folder(raw["id"], raw.get("name") or "", "", None)

    async def color_folder(self, mailbox: str, folder_id: str, color: str) -> None:
        """Give a calendar another colour."""
        await self._one(mailbox, build.patch(self._at.folder(mailbox, folder_id), orjson.dumps({"color": color})))

    async def delete_folder(self, mailbox: str, folder_id: str) -> None:
        """Remove a calendar, into Deleted Items: what was in it has been removed for good before."""
        await self.discard_folder(mailbox, folder_id)

    async def item(self, mailbox: str, item_id: str, *, fields: Sequence[str] = ()) -> SeenItem | None:
        """One event, with the calendar that it is in."""
        (seen,) = await self.look(mailbox, [item_id], fields=fields)
        return seen

    async def look(self, mailbox: str, item_ids: Sequence[str], *, fields: Sequence[str] = ()) -> list[SeenItem | None]:
        """At most 20 events; of marked ones it is asked which calendar they are in, as events do not say so themselves."""
        seen = await super().look(mailbox, item_ids, fields=fields)
        marked = [item.item_id for item in seen if item is not None and item.mark is not None] if fields else []
        if not marked:
            return seen
        requests = [build.get(f"{self._at.item(mailbox, item_id)}/calendar?$select=id") for item_id in marked]
        answers = await self._sender.send(mailbox, requests)
        places = {item_id: _place(answer) for item_id, answer in zip(marked, answers, strict=True)}
        return [
            replace(item, folder_id=places[item.item_id]) if item is not None and item.item_id in places else item
            for item in seen
        ]

    def changes(
        self, mailbox: str, folder_id: str, delta_link: str | None, *, fields: Sequence[str] = ()
    ) -> AsyncIterator[ItemChangePage]:
        """Not to be had: the delta over a calendar needs a window and misses deletions."""
        raise NotImplementedError("calendars are listed")

    async def view(self, mailbox: str, calendar_id: str, start: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """All events and occurrences between two moments."""
        url = f"{self._at.folder(mailbox, calendar_id)}/calendarView?{_window(start, end)}"
        async for page in self._pages(mailbox, f"{url}&$top={build.PAGE}&$select={','.join(ASKED)}"):
            yield page["value"]

    async def view_changes(
        self, mailbox: str, calendar_id: str, delta_link: str | None, start: datetime, end: datetime
    ) -> AsyncIterator[SourcePage]:
        """What changed in a view since the link, as ids. Raises DeltaExpiredError."""
        first = f"{self._at.folder(mailbox, calendar_id)}/calendarView/delta?{_window(start, end)}"
        async for told, link in self._delta(mailbox, first, delta_link):
            gone = [raw["id"] for raw in told if "@removed" in raw]
            yield SourcePage([{"id": raw["id"]} for raw in told if "@removed" not in raw], gone, link)

    def _created(self, mailbox: str, folder_id: str, operation: Create) -> bytes:
        transaction = uuid5(NAMESPACE_URL, "/".join((mailbox, folder_id, operation.key, self._work)))
        return operation.body[:-1] + f',"transactionId":"{transaction}"}}'.encode()


def _place(answer: Answer | RollcallError) -> str:
    """The calendar that an event is in; "" for none, which is the case under Deleted Items."""
    if isinstance(answer, LedgerDoubtError):
        return ""
    if isinstance(answer, RollcallError):
        raise answer
    return str(answer.body.get("id") or "") if isinstance(answer.body, dict) else ""


def _window(start: datetime, end: datetime) -> str:
    return f"startDateTime={start:%Y-%m-%dT%H:%M:%SZ}&endDateTime={end:%Y-%m-%dT%H:%M:%SZ}"
