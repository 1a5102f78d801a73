"""The sub-requests of a batch, as bytes that only lack their id, and the addresses they go to.

https://learn.microsoft.com/graph/json-batching
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson
from msgspec import Struct

from cloud.graph.client import IMMUTABLE
from sync_core.marks import FINGERPRINT_PROPERTY, KEY_PROPERTY

LARGEST = 20
"""Items of a batch."""

PAGE = 999
FOLDER_PAGE = 100
DELTA_PAGE = 200
"""A delta page holds no more, whatever is asked."""


class SubRequest(Struct, frozen=True, gc=False):
    """One item of a batch: its JSON object after the id, but for the closing brace, in two parts.

    `repeatable` says that twice does the same as once; `brief` that of a good answer nothing is wanted but the id.
    """

    head: bytes
    body: bytes
    repeatable: bool
    brief: bool


def batch(requests: Iterable[SubRequest]) -> bytes:
    """The body of a $batch request. Items are numbered from 0."""
    parts: list[bytes] = []
    for start, request in zip(_STARTS, requests, strict=False):
        parts += (start, request.head, request.body)
    return b"".join((*parts, b"}]}"))


_STARTS = (b'{"requests":[{"id":"0",', *(b'},{"id":"%d",' % number for number in range(1, LARGEST)))


class _Template:
    """What sub-requests of one method and address have in common."""

    def __init__(
        self,
        method: str,
        url: str,
        *,
        repeatable: bool = True,
        prefer: str = IMMUTABLE,
        body: bool = False,
        brief: bool = False,
    ) -> None:
        headers = {"Prefer": prefer} | ({"Content-Type": "application/json"} if body else {})
        self._head = orjson.dumps({"method": method, "url": url, "headers": headers})[1:-1] + (b',"body":' if body else b"")
        self._repeatable = repeatable
        self._brief = brief

    def plain(self) -> SubRequest:
        return SubRequest(self._head, b"", self._repeatable, self._brief)

    def carrying(self, body: bytes) -> SubRequest:
        return SubRequest(self._head, body, self._repeatable, self._brief)


def get(url: str, *, prefer: str = IMMUTABLE) -> SubRequest:
    """Read."""
    return _Template("GET", url, prefer=prefer).plain()


def put_photo(url: str, jpeg: bytes) -> SubRequest:
    """Write a contact's photo: in a batch, binary content is a base64 string."""
    head = orjson.dumps(
        {"method": "PUT", "url": f"{url}/photo/$value", "headers": {"Prefer": IMMUTABLE, "Content-Type": "image/jpeg"}}
    )
    return SubRequest(head[1:-1] + b',"body":"', b64encode(jpeg) + b'"', repeatable=True, brief=True)


def photo(mailbox: str, contact: str = "", side: int | None = None) -> str:
    """A user's photo in one size, or the largest there is; or that of a contact in the mailbox, which has one size."""
    if contact:
        return f"{CONTACTS.item(mailbox, contact)}/photo"
    return f"/users/{_segment(mailbox)}/" + (f"photos/{side}x{side}" if side else "photo")


def patch(url: str, body: bytes) -> SubRequest:
    """Overwrite some properties with those of a JSON object."""
    return _Template("PATCH", url, body=True, brief=True).carrying(body)


def delete(url: str, *, permanent: bool) -> SubRequest:
    """Remove for good, or into Deleted Items in a cloud that has no permanentDelete.

    https://learn.microsoft.com/graph/api/contact-permanentdelete (global service only)
    """
    method, url = ("POST", f"{url}/permanentDelete") if permanent else ("DELETE", url)
    return _Template(method, url, brief=True).plain()


def creator(url: str, *, brief: bool = False) -> _Template:
    """Makes requests that create: `creator(url).carrying(body)`."""
    return _Template("POST", url, repeatable=False, body=True, brief=brief)


def _properties(*names: str) -> str:
    condition = " or ".join(f"id eq '{name}'" for name in names)
    return "$expand=" + quote(f"singleValueExtendedProperties($filter={condition})", safe="()$='")


_MARKS = _properties(KEY_PROPERTY, FINGERPRINT_PROPERTY)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the items of one kind are in a mailbox, and the folders that hold them; and what is asked of either.

    `name` is the property that names a folder. `prefer` goes with whatever reads items.
    """

    folders: str
    items: str
    name: str
    folder_query: str
    item_ids: str
    prefer: str = IMMUTABLE

    def all_folders(self, mailbox: str) -> str:
        """Where folders are listed and made."""
        return f"/users/{_segment(mailbox)}/{self.folders}"

    def default(self, mailbox: str) -> str:
        """The default folder where it has an address of its own: "/calendar"."""
        return self.all_folders(mailbox).removesuffix("s")

    def folder(self, mailbox: str, folder_id: str) -> str:
        """One folder."""
        return f"{self.all_folders(mailbox)}/{_segment(folder_id)}"

    def all_items(self, mailbox: str, folder_id: str) -> str:
        """The items of a folder."""
        return f"{self.folder(mailbox, folder_id)}/{self.items}"

    def item(self, mailbox: str, item_id: str) -> str:
        """One item by its id alone, so that it is found wherever the user has moved it."""
        return f"/users/{_segment(mailbox)}/{self.items}/{_segment(item_id)}"

    def item_in(self, mailbox: str, folder_id: str, item_id: str) -> str:
        """One item, only while it is in this folder: the id, which is immutable, would find it wherever the user has moved it."""
        return f"{self.all_items(mailbox, folder_id)}/{_segment(item_id)}"

    def item_query(self, fields: Sequence[str]) -> str:
        """The query for items with our two properties and these fields; without any, for nothing else but ids."""
        return f"$select={','.join((self.item_ids, *fields))}&{_MARKS}" if fields else f"$select=id&{_MARKS}"

    def marked(self, mark: str) -> str:
        """The query for items whose key property has this value.

        https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get
        """
        value = mark.replace("'", "''")
        condition = f"singleValueExtendedProperties/Any(ep: ep/id eq '{KEY_PROPERTY}' and ep/value eq '{value}')"
        return "$filter=" + quote(condition, safe="()'/:") + f"&$top={PAGE}&$select={self.item_ids}&{_MARKS}"


_FOLDER_MARK = _properties(KEY_PROPERTY)

CONTACTS = Addresses(
    folders="contactFolders",
    items="contacts",
    name="displayName",
    folder_query=f"$select=id,displayName,parentFolderId&{_FOLDER_MARK}",
    item_ids="id,parentFolderId,createdDateTime",
)
"""Contacts; the folder "contacts" is the default one."""

EVENTS = Addresses(
    folders="calendars",
    items="events",
    name="name",
    folder_query=f"$select=id,name&{_FOLDER_MARK}",
    item_ids="id,createdDateTime",
    # https://learn.microsoft.com/graph/api/event-get#request-headers
    prefer=f'{IMMUTABLE}, outlook.timezone="UTC", outlook.body-content-type="text"',
)
"""Events, read with times in UTC and bodies as text."""

DELTA_PREFER = f"{IMMUTABLE}, odata.maxpagesize={DELTA_PAGE}"


def delta_query(fields: Sequence[str]) -> str:
    """The query for changes that tell of these fields."""
    return f"$select={','.join(fields or ('id',))}"


def _segment(value: str) -> str:
    return quote(value, safe="=")
