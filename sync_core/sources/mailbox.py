"""The contacts in a folder of a shared mailbox.

A delta over contacts cannot tell our marks (it answers 500 to `$expand`), so whatever is new or changed is looked at once more by
its mark: what an installation of ours wrote is never a source.

Of a contact's photo the delta says nothing, but that the contact has changed: a photo is part of it and gives it another change
key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import orjson

from sync_core import directory, marks
from sync_core.contacts import OWNED_FIELDS
from sync_core.errors import DeltaExpiredError, LedgerDoubtError, SourceError
from sync_core.model import ItemChange, PhotoAt, Portrait, SeenItem, SourcePage
from sync_core.photos import PHOTO
from sync_core.ports import Mailboxes
from sync_core.sources.base import Heads, Person, Reading, Source, short_hash
from sync_core.sources.delta import bring_up_to_date
from sync_core.state.sources import SourceHead

DEFAULT_FOLDER = "default"
"""The name that stands for the mailbox's own Contacts folder."""

_CONTACTS = "contacts"
_KEY = "key"
_CHANGE_KEY = "changeKey"
_ASKED = (*OWNED_FIELDS, _CHANGE_KEY)
_LOOKS = 3  # so many items are looked at one by one; for more the folder is listed, 999 to a request

_SAME = ("displayName", "givenName", "surname", "companyName", "department", "jobTitle", "officeLocation", "mobilePhone")
# From the properties of a user to those of businessAddress
_ADDRESS = {
    "streetAddress": "street",
    "city": "city",
    "state": "state",
    "postalCode": "postalCode",
    "country": "countryOrRegion",
}


class MailboxContacts(Source):
    """One folder of one mailbox, by the folder's name."""

    def __init__(self, reading: Reading, mailbox: str, folder: str) -> None:
        self.id = f"mailbox-{mailbox}-{short_hash(folder.casefold())}"
        self._mailbox = mailbox
        self._folder = folder
        self._reading = reading

    async def refresh(self) -> SourceHead:
        """Bring what we know of the folder up to date."""
        return await bring_up_to_date(self._reading, self.id, self._pages, _kept, asked=",".join(_ASKED))

    async def people(self, heads: Heads) -> AsyncIterator[Person]:
        """Every contact, by "c:" and a hash of the id that it had first."""
        async for _, person in self._reading.store(self.id).objects(heads[self.id]):
            yield person.pop(_KEY), person

    def portrait(self, key: str, told: str) -> Portrait:
        """The photo of a contact."""
        change_key, _, item_id = told.partition(" ")
        return Portrait(key, PhotoAt(self._mailbox, item_id), change_key)

    async def _pages(self, link: str | None) -> AsyncIterator[SourcePage]:
        mailboxes = self._reading.graph.mailboxes(self._reading.tenant)
        try:
            if link is None:
                folder, start = await self._locate(mailboxes), None
            else:
                folder, start = orjson.loads(link)
            changes: dict[str, ItemChange] = {}  # the last one of each item counts
            async for page in mailboxes.changes(self._mailbox, folder, start, fields=_ASKED):
                changes |= {change.item_id: change for change in page.changes}
                start = page.delta_link
            present = [change.item_id for change in changes.values() if not change.removed]
            ours = await self._ours(mailboxes, folder, present)
        except LedgerDoubtError as error:
            raise (DeltaExpiredError if link is not None else SourceError)(error.detail) from None
        finally:
            self._reading.spent.add(mailboxes.spent)
        people = {item_id: _person(changes[item_id].fields) for item_id in present if item_id not in ours}
        gone = {item_id for item_id, change in changes.items() if change.removed or item_id in ours}
        keys = await self._keys(people, gone, in_full=link is None) if people else {}
        changed = [
            {"id": item_id, _KEY: keys[item_id], PHOTO: f"{changes[item_id].fields.get(_CHANGE_KEY, '')} {item_id}", **person}
            for item_id, person in people.items()
        ]
        yield SourcePage(changed, list(gone), orjson.dumps([folder, start]).decode())

    async def _keys(self, people: Mapping[str, dict[str, Any]], gone: set[str], *, in_full: bool) -> dict[str, str]:
        """The key of each item. Ids change when a mailbox moves: who left and came under another id keeps the key."""
        known = await self._known()
        heirs: dict[bytes, list[str]] = {}
        keys: dict[str, str] = {}
        for item_id, person in known.items():
            key = person.pop(_KEY)
            person.pop(PHOTO, None)
            if item_id in people or not (in_full or item_id in gone):
                keys[item_id] = key
            else:
                heirs.setdefault(_content(person), []).append(key)
        taken = set(keys.values())
        for item_id, person in people.items():
            if item_id not in keys:
                left = heirs.get(_content(person))
                key = left.pop() if left else f"c:{short_hash(self._mailbox, item_id)}"
                keys[item_id] = key if key not in taken else f"c:{short_hash(self._mailbox, item_id, key)}"
                taken.add(keys[item_id])
        return keys

    async def _known(self) -> dict[str, dict[str, Any]]:
        store = self._reading.store(self.id)
        head = await store.head()
        return {item_id: person async for item_id, person in store.objects(head)} if head is not None else {}

    async def _locate(self, mailboxes: Mailboxes) -> str:
        """The folder by its name, the topmost one if there are several."""
        if self._folder.casefold() == DEFAULT_FOLDER:
            return _CONTACTS
        found = await find_folder(mailboxes, self._mailbox, self._folder)
        if found is None:
            raise SourceError("the mailbox has no contact folder of this name")
        return found

    async def _ours(self, mailboxes: Mailboxes, folder: str, items: list[str]) -> set[str]:
        """Which of these items carry a mark, of whatever installation."""
        seen: list[SeenItem] = []
        if len(items) <= _LOOKS:
            looks = [await mailboxes.item(self._mailbox, item_id) for item_id in items]
            seen = [item for item in looks if item is not None]
        else:
            async for page in mailboxes.items(self._mailbox, folder):
                seen += page
        return {item.item_id for item in seen if _is_marked(item.mark)}


async def find_folder(mailboxes: Mailboxes, mailbox: str, name: str) -> str | None:
    """The id of the folder of this name, the topmost one if there are several, and never one that a sync has made."""
    level = await mailboxes.folders(mailbox)
    while level:
        for folder in level:
            if folder.name.casefold() == name.casefold() and not _is_marked(folder.mark):
                return folder.folder_id
        level = [below for folder in level for below in await mailboxes.child_folders(mailbox, folder.folder_id)]
    return None


def _is_marked(mark: str | None) -> bool:
    return mark is not None and marks.parse(mark) is not None


def _content(person: Mapping[str, Any]) -> bytes:
    return orjson.dumps(person, option=orjson.OPT_SORT_KEYS)


def _kept(_previous: Mapping[str, Any] | None, person: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a contact: a delta always tells all of it."""
    return {name: value for name, value in person.items() if name != "id"}


def _person(contact: Mapping[str, Any]) -> dict[str, Any]:
    """The contact in the properties of a user."""
    emails = list(_addresses(contact.get("emailAddresses")))
    address = contact.get("businessAddress") or {}
    return directory.merge(
        None,
        {
            "id": "",
            **{name: contact.get(name) for name in _SAME},
            "mail": next(iter(emails), None),
            "proxyAddresses": [f"smtp:{email}" for email in emails[1:]],
            "businessPhones": contact.get("businessPhones"),
            **{ours: address.get(theirs) for ours, theirs in _ADDRESS.items()},
        },
    )


def _addresses(emails: Iterable[Mapping[str, Any]] | None) -> Iterable[str]:
    return (email["address"] for email in emails or () if email.get("address"))
