"""A mailbox: folders, contacts, Deleted Items, and what changed in each folder. Its calendars are in `calendars`."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from typing import Any

from local.m365.calendars.store import Calendars
from local.m365.changes import ChangeLog
from local.m365.wire import GraphError

NAME_PARTS = ("title", "givenName", "middleName", "surname", "generation")


class MailboxState(StrEnum):
    """Whether requests reach the mailbox."""

    OK = "ok"
    NONE = "none"
    ON_PREMISES = "onPremises"
    FULL = "full"
    OUT_OF_SCOPE = "outOfScope"
    MOVING = "moving"


@dataclass(slots=True, eq=False)
class Folder:
    """A contact folder, or one of the two folders above and beside them (root, Deleted Items)."""

    id: str
    name: str
    parent: Folder | None
    extended: dict[str, str] = field(default_factory=dict)
    children: dict[str, Folder] = field(default_factory=dict)
    contacts: dict[int, Contact] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)  # contacts that left: uid -> moves, for the id they had here
    log: ChangeLog[int] = field(default_factory=ChangeLog)


@dataclass(slots=True, eq=False)
class Contact:
    """A contact. `values` holds only what was set; `moves` counts what changes its mutable id, `version` its change key."""

    uid: int
    folder: Folder
    values: dict[str, Any]
    created: datetime
    modified: datetime
    id: str
    extended: dict[str, str] = field(default_factory=dict)
    version: int = 0
    moves: int = 0
    photo: bytes = b""


class Mailbox:
    """One mailbox."""

    def __init__(self, owner: str, tenant: str, now: Callable[[], datetime]) -> None:
        self.owner = owner
        self.tenant = tenant
        self.state = MailboxState.OK
        self.now = now
        self.misses: Callable[[str], bool] = lambda _kind: False  # whether the delta query will miss this change
        self._era = 0
        self._ticks = 0
        self._uids = 0
        self._folders: dict[str, Folder] = {}
        self._items: dict[str, Contact] = {}  # by immutable id
        self._mutable: dict[str, Contact] = {}

    # The three folders that are always there come into being when somebody looks: large tenants have many silent mailboxes.

    @cached_property
    def root(self) -> Folder:
        """The folder that holds all others."""
        return self._new_folder("Top of Information Store", None)

    @cached_property
    def contacts(self) -> Folder:
        """The default contact folder."""
        return self._new_folder("Contacts", self.root)

    @cached_property
    def deleted_items(self) -> Folder:
        """Where deleted contacts and folders go."""
        return self._new_folder("Deleted Items", self.root)

    @cached_property
    def calendars(self) -> Calendars:
        """The calendars."""
        return Calendars(self)

    # --- ids ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _secret(self) -> tuple[str, bytes]:
        """What all ids of this mailbox begin with, and the key they are made with."""
        seed = f"{self.tenant}/{self.owner}/{self._era}"
        return urlsafe_b64encode(blake2b(seed.encode(), digest_size=48).digest()).decode(), blake2b(
            f"key/{seed}".encode()
        ).digest()

    def token(self, kind: str, number: int, turn: int = 0) -> str:
        """An opaque id of 152 characters, as long as real ones (graph/outlook-immutable-id)."""
        prefix, key = self._secret
        digest = blake2b(f"{number}.{turn}".encode(), key=key, person=kind.encode()[:16], digest_size=57).digest()
        return f"{kind}{prefix}{urlsafe_b64encode(digest).decode()}"[:151] + "="

    def contact_id(self, contact: Contact, *, immutable: bool) -> str:
        """The id to show: one that survives moves, or one that does not."""
        if immutable:
            return contact.id
        mutable = self.token("AAMkAD", contact.uid, contact.moves)
        self._mutable[mutable] = contact
        return mutable

    def removed_id(self, folder: Folder, uid: int, *, immutable: bool) -> str:
        """The id under which a contact that left the folder was known there."""
        return self.token("AAkALg", uid) if immutable else self.token("AAMkAD", uid, folder.gone.get(uid, 0))

    @staticmethod
    def _check_id(text: str) -> None:
        if len(text) < 40 or not text.startswith(("AAMkAD", "AAkALg", "AQMkAD")):
            raise GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")

    def find(self, text: str) -> Contact:
        """The contact with this id of either sort, wherever it lies. Raises GraphError."""
        contact = self._items.get(text) or self._mutable.get(text)
        if contact is None or contact.id not in self._items:
            self._check_id(text)
            raise not_found()
        return contact

    def find_folder(self, text: str) -> Folder:
        """The contact folder with this id or well-known name. Raises GraphError."""
        default = self.contacts
        folder = self._folders.get(text)
        if folder is None:
            if text.lower() == "contacts":
                return default
            self._check_id(text)
        if folder is None or folder is self.root or folder is self.deleted_items:
            raise not_found()
        return folder

    # --- folders -----------------------------------------------------------------------------------------------------

    def _new_folder(self, name: str, parent: Folder | None) -> Folder:
        self._uids += 1
        folder = Folder(self.token("AQMkAD", self._uids), name, parent)
        self._folders[folder.id] = folder
        if parent is not None:
            parent.children[folder.id] = folder
        return folder

    def create_folder(self, parent: Folder, name: str, extended: dict[str, str] | None = None) -> Folder:
        """Make a folder. Raises GraphError `ErrorFolderExists` when its parent has one of that name."""
        self._check_name(parent, name, None)
        folder = self._new_folder(name, parent)
        folder.extended.update(extended or {})
        return folder

    def _check_name(self, parent: Folder, name: str, but: Folder | None) -> None:
        wanted = name.casefold()
        if any(child is not but and child.name.casefold() == wanted for child in parent.children.values()):
            raise GraphError(409, "ErrorFolderExists", "A folder with the specified name already exists.")

    def rename_folder(self, folder: Folder, name: str) -> None:
        """Give a folder another name. Raises GraphError when it is taken."""
        if folder.parent is not None:
            self._check_name(folder.parent, name, folder)
        folder.name = name

    def move_folder(self, folder: Folder, parent: Folder) -> None:
        """Hang a folder, with all in it, under another one. Folder ids never change."""
        assert folder.parent is not None
        assert folder not in self.ancestors(parent)
        del folder.parent.children[folder.id]
        folder.parent = parent
        parent.children[folder.id] = folder

    def delete_folder(self, folder: Folder, *, permanently: bool = False) -> None:
        """Move a folder to Deleted Items, or remove it and all below it for good."""
        if folder in (self.contacts, self.deleted_items, self.root):
            raise GraphError(400, "ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
        if permanently or self.deleted_items in self.ancestors(folder):
            self._remove_folder(folder)
        else:
            self.move_folder(folder, self.deleted_items)

    def _remove_folder(self, folder: Folder) -> None:
        for child in list(folder.children.values()):
            self._remove_folder(child)
        for contact in list(folder.contacts.values()):
            self._forget(contact)
        assert folder.parent is not None
        del folder.parent.children[folder.id]
        del self._folders[folder.id]

    @staticmethod
    def ancestors(folder: Folder) -> Iterator[Folder]:
        """The folder itself and everything above it."""
        at: Folder | None = folder
        while at is not None:
            yield at
            at = at.parent

    def folders(self) -> list[Folder]:
        """Every folder that can hold contacts, deleted ones included; the default one first."""
        first, hidden = self.contacts, (self.root, self.deleted_items)
        return [first, *(folder for folder in self._folders.values() if folder is not first and folder not in hidden)]

    # --- contacts ----------------------------------------------------------------------------------------------------

    def items(self) -> list[Contact]:
        """Every contact of the mailbox, in Deleted Items too."""
        return list(self._items.values())

    def create(self, folder: Folder, values: dict[str, Any], extended: dict[str, str] | None = None) -> Contact:
        """Store a new contact."""
        self._uids += 1
        now = self.now()
        contact = Contact(self._uids, folder, values, now, now, self.token("AAkALg", self._uids), extended or {})
        if not values.get("displayName"):
            values["displayName"] = display_name(values)
        if not values.get("fileAs"):
            values["fileAs"] = file_as(values)
        self._items[contact.id] = contact
        folder.contacts[contact.uid] = contact
        self.touch(contact)
        return contact

    def change(self, contact: Contact, values: dict[str, Any], extended: dict[str, str] | None = None) -> None:
        """Change what is named.

        The display name is made anew from name parts that change, unless it is given as well (graph/api/resources/contact).
        """
        renamed = any(name in values and values[name] != contact.values.get(name) for name in NAME_PARTS)
        for name, value in values.items():
            if name.endswith("Address") and isinstance(value, dict):
                contact.values[name] = {**(contact.values.get(name) or {}), **value}
            else:
                contact.values[name] = value
        if renamed:
            if "displayName" not in values:
                contact.values["displayName"] = display_name(contact.values)
            if "fileAs" not in values:
                contact.values["fileAs"] = file_as(contact.values)
        contact.extended.update(extended or {})
        self.touch(contact)

    def set_photo(self, contact: Contact, photo: bytes) -> None:
        """Give a contact a photo, or with b"" take it away, as Outlook can and Graph cannot."""
        contact.photo = photo
        self.touch(contact)

    def touch(self, contact: Contact) -> None:
        """Give a contact a new change key; delta queries will tell of it."""
        self._ticks += 1
        contact.version = self._ticks
        contact.modified = self.now()
        contact.folder.log.note(contact.uid, missed=self.misses("contact"))

    def move(self, contact: Contact, folder: Folder) -> None:
        """Put a contact into another folder: its mutable id changes, its immutable id does not (graph/outlook-immutable-id)."""
        self._leave(contact)
        contact.moves += 1
        contact.folder = folder
        folder.contacts[contact.uid] = contact
        self.touch(contact)

    def delete(self, contact: Contact, *, permanently: bool = False) -> None:
        """Move a contact to Deleted Items (graph/api/contact-delete) or remove it (graph/api/contact-permanentdelete)."""
        if permanently or self.deleted_items in self.ancestors(contact.folder):
            self._forget(contact)
        else:
            self.move(contact, self.deleted_items)

    def _forget(self, contact: Contact) -> None:
        self._leave(contact)
        del self._items[contact.id]

    def _leave(self, contact: Contact) -> None:
        folder = contact.folder
        del folder.contacts[contact.uid]
        folder.gone[contact.uid] = contact.moves
        folder.log.note(contact.uid, missed=self.misses("contact"))
        self._mutable.pop(self.token("AAMkAD", contact.uid, contact.moves), None)

    # --- what happens to mailboxes -----------------------------------------------------------------------------------

    def bump_change_keys(self) -> int:
        """Give every contact a new change key without changing it, as Exchange does at night. Returns how many."""
        for contact in self._items.values():
            self.touch(contact)
        self.calendars.bump_change_keys()
        return len(self._items)

    def change_item_ids(self) -> int:
        """Give every contact a new id of either sort, as a move to another server can. Folder ids stay. Returns how many."""
        self._era += 1
        self.__dict__.pop("_secret", None)
        self._mutable.clear()
        contacts = list(self._items.values())
        self._items.clear()
        for contact in contacts:
            contact.id = self.token("AAkALg", contact.uid)
            self._items[contact.id] = contact
        self.calendars.change_item_ids()
        return len(contacts)

    def change_key(self, contact: Contact) -> str:
        """The contact's change key."""
        return self.key_of(contact.version, contact.uid)

    @staticmethod
    def key_of(version: int, uid: int) -> str:
        """The change key of an item's version."""
        return b64encode(b"EQAAABYAAAD" + version.to_bytes(8, "big") + uid.to_bytes(8, "big")).decode()


def not_found() -> GraphError:
    """What Graph says of an item or folder that is not there (graph/errors)."""
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def display_name(values: dict[str, Any]) -> str:
    """The name Exchange makes when none is given: from the name parts, else the company, else the first address."""
    parts = " ".join(part for name in NAME_PARTS if (part := values.get(name)))
    if parts or values.get("companyName"):
        return parts or str(values["companyName"])
    addresses = values.get("emailAddresses") or [{}]
    return str(addresses[0].get("address") or "")


def file_as(values: dict[str, Any]) -> str:
    """The name Exchange files a contact under when none is given."""
    given = " ".join(part for name in ("givenName", "middleName") if (part := values.get(name)))
    family = values.get("surname") or ""
    return ", ".join(part for part in (family, given) if part) or display_name(values)
