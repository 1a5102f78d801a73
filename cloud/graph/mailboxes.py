"""The contact folders of a tenant's mailboxes, and what they have in common with calendars.

Every request goes through $batch, so that mailboxes can share HTTP calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import orjson

from cloud.graph import requests as build
from cloud.graph.batch import Gates, Sender
from cloud.graph.client import Client
from cloud.graph.errors import Answer
from cloud.graph.requests import SubRequest
from sync_core.contacts import OWNED_FIELDS
from sync_core.errors import AnswerLostError, DeltaExpiredError, LedgerDoubtError, RollcallError, TransientError
from sync_core.kinds import CONTACTS
from sync_core.marks import FINGERPRINT_PROPERTY, KEY_PROPERTY, RELEASED
from sync_core.model import Create, Delete, Folder, ItemChange, ItemChangePage, Operation, Outcome, SeenItem, Spent, Update
from sync_core.ports import Clock, Mailboxes

_KEY = KEY_PROPERTY.lower()
_FINGERPRINT = FINGERPRINT_PROPERTY.lower()


def _marking(value: str, *names: str) -> bytes:
    return orjson.dumps({"singleValueExtendedProperties": [{"id": name, "value": value} for name in names]})


_RELEASE_ITEM = _marking(RELEASED, KEY_PROPERTY, FINGERPRINT_PROPERTY)


class GraphMailboxes(Mailboxes):
    """Mailboxes over Microsoft Graph. With `permanent_delete` off, as national clouds need, removals go to Deleted Items."""

    kind = CONTACTS
    _at = build.CONTACTS
    _new_folder: Mapping[str, str] = {}

    def __init__(self, tenant: str, client: Client, gates: Gates, clock: Clock, *, permanent_delete: bool) -> None:
        self.spent = Spent()
        self._client = client
        self._sender = Sender(tenant, client, gates, clock, self.spent)
        self._permanent = permanent_delete

    def sharing(self) -> AbstractContextManager[None]:
        """Take part in shared HTTP calls until the context ends."""
        return self._sender.sharing()

    async def folders(self, mailbox: str) -> list[Folder]:
        """The contact folders directly below the default folder."""
        return await self._folders(mailbox, self._at.all_folders(mailbox))

    async def child_folders(self, mailbox: str, folder_id: str) -> list[Folder]:
        """The folders directly below a folder."""
        return await self._folders(mailbox, f"{self._at.folder(mailbox, folder_id)}/childFolders")

    async def folder(self, mailbox: str, folder_id: str) -> Folder | None:
        """One folder, wherever it lies; None when there is none."""
        try:
            return _folder(await self._one(mailbox, build.get(f"{self._at.folder(mailbox, folder_id)}?{self._at.folder_query}")))
        except LedgerDoubtError:
            return None

    async def create_folder(self, mailbox: str, name: str, mark: str) -> Folder:
        """Make a folder that carries our mark. Raises AnswerLostError, or ConflictError when the name is taken."""
        properties = [{"id": KEY_PROPERTY, "value": mark}]
        body = orjson.dumps({self._at.name: name, "singleValueExtendedProperties": properties, **self._new_folder})
        made = await self._one(mailbox, build.creator(self._at.all_folders(mailbox)).carrying(body))
        if not isinstance(made.get("id"), str):
            raise AnswerLostError("a folder was created without an answer that names it")
        return Folder(made["id"], made.get(self._at.name, name), made.get("parentFolderId", ""), mark)

    async def rename_folder(self, mailbox: str, folder_id: str, name: str) -> None:
        """Give a folder another name. Raises ConflictError when it is taken."""
        await self._one(mailbox, build.patch(self._at.folder(mailbox, folder_id), orjson.dumps({self._at.name: name})))

    async def color_folder(self, mailbox: str, folder_id: str, color: str) -> None:
        """Not to be had."""
        raise NotImplementedError("contact folders have no colour")

    async def delete_folder(self, mailbox: str, folder_id: str) -> None:
        """Remove a folder for good; one that is gone is no error."""
        await self._unless_gone(mailbox, build.delete(self._at.folder(mailbox, folder_id), permanent=self._permanent))

    async def discard_folder(self, mailbox: str, folder_id: str) -> None:
        """Move a folder to Deleted Items; one that is gone is no error."""
        await self._unless_gone(mailbox, build.delete(self._at.folder(mailbox, folder_id), permanent=False))

    async def items(self, mailbox: str, folder_id: str, *, fields: Sequence[str] = ()) -> AsyncIterator[list[SeenItem]]:
        """Every item of a folder: its id and our two properties; with `fields` all of a SeenItem."""
        url = f"{self._at.all_items(mailbox, folder_id)}?$top={build.PAGE}&{self._at.item_query(fields)}"
        async for page in self._pages(mailbox, url):
            yield [_item(raw, fields=fields, folder_id=folder_id) for raw in page["value"]]

    async def item(self, mailbox: str, item_id: str, *, fields: Sequence[str] = ()) -> SeenItem | None:
        """One item, wherever it lies, with our two properties and these `fields`; None when there is none."""
        try:
            raw = await self._one(mailbox, self._look_at(mailbox, item_id, fields))
        except LedgerDoubtError:
            return None
        return _item(raw, fields=fields)

    async def look(self, mailbox: str, item_ids: Sequence[str], *, fields: Sequence[str] = ()) -> list[SeenItem | None]:
        """At most 20 items, wherever each lies; None for one that does not exist."""
        requests = [self._look_at(mailbox, item_id, fields) for item_id in item_ids]
        seen: list[SeenItem | None] = []
        for result in await self._sender.send(mailbox, requests) if requests else ():
            if isinstance(result, LedgerDoubtError):
                seen.append(None)
            elif isinstance(result, RollcallError):
                raise result
            else:
                seen.append(_item(result.body, fields=fields))
        return seen

    async def find(self, mailbox: str, folder_id: str, mark: str) -> list[SeenItem]:
        """The folder's items that carry exactly this mark (Exchange compares without regard to case)."""
        url = f"{self._at.all_items(mailbox, folder_id)}?{self._at.marked(mark)}"
        found = [_item(raw) async for page in self._pages(mailbox, url) for raw in page["value"]]
        return [item for item in found if item.mark == mark]

    async def unmark(self, mailbox: str, *item_ids: str) -> None:
        """Take our mark off 1 to 20 items; one that is gone is no error."""
        requests = [build.patch(self._at.item(mailbox, item_id), _RELEASE_ITEM) for item_id in item_ids]
        for result in await self._sender.send(mailbox, requests):
            if isinstance(result, RollcallError) and not isinstance(result, LedgerDoubtError):
                raise result

    async def mark_folder(self, mailbox: str, folder_id: str, mark: str) -> None:
        """Write another mark of ours over that of a folder; one that is gone is no error."""
        await self._unless_gone(mailbox, build.patch(self._at.folder(mailbox, folder_id), _marking(mark, KEY_PROPERTY)))

    async def unmark_folder(self, mailbox: str, folder_id: str) -> None:
        """Take our mark off a folder; one that is gone is no error."""
        await self.mark_folder(mailbox, folder_id, RELEASED)

    async def write(self, mailbox: str, folder_id: str, operations: Sequence[Operation]) -> list[Outcome]:
        """Carry out at most 20 operations; the outcomes come in the same order."""
        if not operations:
            return []
        creator = build.creator(self._at.all_items(mailbox, folder_id), brief=True)
        requests: list[SubRequest] = []
        for operation in operations:
            match operation:
                case Create():
                    requests.append(creator.carrying(self._created(mailbox, folder_id, operation)))
                case Update():
                    requests.append(build.patch(self._at.item_in(mailbox, folder_id, operation.item_id), operation.body))
                case Delete():
                    item = self._at.item_in(mailbox, folder_id, operation.item_id)
                    requests.append(build.delete(item, permanent=self._permanent))
        results = await self._sender.send(mailbox, requests)
        return [_outcome(operation, result) for operation, result in zip(operations, results, strict=True)]

    async def write_photos(self, mailbox: str, photos: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        """Give at most 20 items a photo each."""
        requests = [build.put_photo(self._at.item(mailbox, item_id), jpeg) for item_id, jpeg in photos]
        results = await self._sender.send(mailbox, requests) if requests else []
        return [
            Outcome(error=result) if isinstance(result, RollcallError) else Outcome(item_id)
            for (item_id, _), result in zip(photos, results, strict=True)
        ]

    async def changes(
        self, mailbox: str, folder_id: str, delta_link: str | None, *, fields: Sequence[str] = OWNED_FIELDS
    ) -> AsyncIterator[ItemChangePage]:
        """What changed in a folder since the link; all items as changes without one. Raises DeltaExpiredError."""
        first = f"{self._at.all_items(mailbox, folder_id)}/delta?{build.delta_query(fields)}"
        async for told, link in self._delta(mailbox, first, delta_link):
            yield ItemChangePage([_change(raw, fields) for raw in told], link)

    async def _delta(
        self, mailbox: str, first: str, delta_link: str | None
    ) -> AsyncIterator[tuple[list[dict[str, Any]], str | None]]:
        """Each page of a round of changes, with the link on the last one. Raises DeltaExpiredError."""
        if delta_link is not None and not self._client.owns(delta_link):
            raise DeltaExpiredError("the delta link belongs to another service")
        url = self._client.relative(delta_link) if delta_link is not None else first
        async for page in self._pages(mailbox, url, prefer=build.DELTA_PREFER):
            link = page.get("@odata.deltaLink")
            if ("@odata.nextLink" in page) == isinstance(link, str):
                raise TransientError("a delta page needs one link")
            yield page["value"], link

    def _created(self, mailbox: str, folder_id: str, operation: Create) -> bytes:  # noqa: ARG002
        """The body of a request that creates."""
        return operation.body

    async def _folders(self, mailbox: str, url: str) -> list[Folder]:
        pages = self._pages(mailbox, f"{url}?$top={build.FOLDER_PAGE}&{self._at.folder_query}")
        return [_folder(raw) async for page in pages for raw in page["value"]]

    def _look_at(self, mailbox: str, item_id: str, fields: Sequence[str]) -> SubRequest:
        return build.get(f"{self._at.item(mailbox, item_id)}?{self._at.item_query(fields)}", prefer=self._at.prefer)

    async def _pages(self, mailbox: str, first: str, *, prefer: str = "") -> AsyncIterator[dict[str, Any]]:
        prefer = prefer or self._at.prefer
        url: str | None = first
        while url is not None:
            page = await self._one(mailbox, build.get(url, prefer=prefer))
            link = page.get("@odata.nextLink")
            if not isinstance(page.get("value"), list) or (link is not None and not self._client.owns(link)):
                raise TransientError("a page of a list is not what Graph promises")  # missing is not the same as empty
            yield page
            url = self._client.relative(link) if link else None

    async def _unless_gone(self, mailbox: str, request: SubRequest) -> None:
        with suppress(LedgerDoubtError):
            await self._one(mailbox, request)

    async def _one(self, mailbox: str, request: SubRequest) -> dict[str, Any]:
        (result,) = await self._sender.send(mailbox, [request])
        if isinstance(result, RollcallError):
            raise result
        return result.body if isinstance(result.body, dict) else {}


def _outcome(operation: Operation, result: Answer | RollcallError) -> Outcome:
    if isinstance(result, RollcallError):
        if isinstance(operation, Delete) and isinstance(result, LedgerDoubtError):
            return Outcome(missing=True)  # gone already: a DELETE may also be answered 404 after it was carried out
        return Outcome(error=result)
    if isinstance(operation, Create):
        if not isinstance(result.body, str):
            return Outcome(error=AnswerLostError("an item was created without an answer that names it"))
        return Outcome(result.body)
    return Outcome(operation.item_id if isinstance(operation, Update) else "")


def _folder(raw: Mapping[str, Any]) -> Folder:
    return Folder(
        raw["id"], raw.get("displayName") or raw.get("name") or "", raw.get("parentFolderId") or "", _properties(raw).get(_KEY)
    )


def _item(raw: Mapping[str, Any], *, fields: Sequence[str] = (), folder_id: str = "") -> SeenItem:
    properties = _properties(raw)
    return SeenItem(
        raw["id"],
        raw.get("parentFolderId") or (folder_id if fields else ""),
        raw.get("createdDateTime") or "",
        properties.get(_KEY),
        properties.get(_FINGERPRINT),
        _only(raw, fields) if fields else None,
    )


def _change(raw: Mapping[str, Any], fields: Sequence[str]) -> ItemChange:
    removed = "@removed" in raw
    return ItemChange(raw["id"], removed, {} if removed else _only(raw, fields))


def _only(raw: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: raw[name] for name in fields if name in raw}


def _properties(raw: Mapping[str, Any]) -> dict[str, str]:
    # Exchange may spell the property set's GUID its own way
    return {entry["id"].lower(): entry["value"] for entry in raw.get("singleValueExtendedProperties") or ()}
