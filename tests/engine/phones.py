"""What users do on their phones, and what of it nobody else may touch."""

from __future__ import annotations

from typing import Any

from local.m365.mailbox import Contact, Folder, Mailbox
from local.m365.tenant import Tenant
from sync_core import marks

OURS = (marks.KEY_PROPERTY, marks.FINGERPRINT_PROPERTY)

Likeness = tuple[dict[str, Any], dict[str, str]]


class Phones:
    """The users of a tenant. Remembers every contact that is theirs, as they left it."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self._theirs: dict[tuple[str, int], tuple[Contact, Likeness, Folder]] = {}
        self._handled: set[tuple[str, int]] = set()  # made, copied or moved by a user, originals of copies included
        self._numbers = 0

    def box(self, user: str) -> Mailbox:
        """A user's mailbox."""
        return self._tenant.mailbox(user)

    def live(self, user: str) -> list[Contact]:
        """What the phone shows, in a stable order."""
        return sorted(self._tenant.live_contacts(user), key=lambda contact: contact.uid)

    def live_folders(self, user: str) -> list[Folder]:
        """The folders the phone shows below Contacts."""
        box = self.box(user)
        return [folder for folder in box.folders() if folder is not box.contacts and box.contacts in box.ancestors(folder)]

    def create(self, user: str, folder: Folder, *, mail: str) -> Contact:
        """The user's own contact, perhaps with a colleague's address."""
        self._numbers += 1
        values = {
            "displayName": f"Own {self._numbers}",
            "emailAddresses": [{"address": mail, "name": mail}],
            "personalNotes": "mine",
        }
        contact = self.box(user).create(folder, values)
        self._keep(user, contact)
        self._handled.add((user, contact.uid))
        return contact

    def edit(self, user: str, contact: Contact, number: str) -> None:
        """Change a phone number."""
        self.box(user).change(contact, {"mobilePhone": number})
        self._refresh(user, contact)

    def delete(self, user: str, contact: Contact, *, permanently: bool = False) -> None:
        """Remove a contact."""
        self.box(user).delete(contact, permanently=permanently)
        if permanently:
            self._theirs.pop((user, contact.uid), None)
        self._refresh(user, contact)

    def move(self, user: str, contact: Contact, folder: Folder) -> None:
        """Put a contact into another folder. One with a mark may be ours again from then on."""
        self.box(user).move(contact, folder)
        self._handled.add((user, contact.uid))
        if _mark(contact):
            self._theirs.pop((user, contact.uid), None)
        self._refresh(user, contact)

    def copy(self, user: str, contact: Contact, folder: Folder, *, ours: bool = False) -> Contact:
        """Copy a contact, marks included. The copy may be taken for a double of `ours`, and is not watched then."""
        copied = self.box(user).create(folder, dict(contact.values), dict(contact.extended))
        if not ours:
            self._keep(user, copied)
        self._handled |= {(user, contact.uid), (user, copied.uid)}
        return copied

    def delete_folder(self, user: str, folder: Folder) -> None:
        """Move a folder to Deleted Items."""
        self.box(user).delete_folder(folder)

    def forget(self, user: str) -> None:
        """The mailbox is no more."""
        self._theirs = {key: kept for key, kept in self._theirs.items() if key[0] != user}

    def wrongs(self) -> list[str]:
        """What is no longer as the users left it."""
        found = []
        for (user, uid), (contact, before, folder) in self._theirs.items():
            if contact.folder.contacts.get(uid) is not contact or contact.id not in {item.id for item in self.box(user).items()}:
                found.append(f"a contact of {user} is gone")
            elif contact.folder is not folder:
                found.append(f"a contact of {user} was moved")
            elif _likeness(contact) != before:
                found.append(f"a contact of {user} was changed: {before} -> {_likeness(contact)}")
        return found

    def left_behind(self, user: str) -> list[str]:
        """What bears no mark and no user ever made: ours once, and given up in error."""
        return [
            f"{contact.values['displayName']} was left behind in {user}"
            for contact in self.live(user)
            if not _mark(contact) and (user, contact.uid) not in self._handled
        ]

    def _keep(self, user: str, contact: Contact) -> None:
        self._theirs[user, contact.uid] = contact, _likeness(contact), contact.folder

    def _refresh(self, user: str, contact: Contact) -> None:
        if (user, contact.uid) in self._theirs:
            self._keep(user, contact)


def _mark(thing: Contact | Folder) -> marks.Mark | None:
    return marks.parse(thing.extended.get(marks.KEY_PROPERTY, ""))


def _likeness(contact: Contact) -> Likeness:
    """All of a contact but what says that it is, or was, ours."""
    return dict(contact.values), {name: value for name, value in contact.extended.items() if name not in OURS}
