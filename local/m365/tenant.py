"""One Microsoft 365 organisation, and what tests may see and do in it behind Graph's back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from local.m365.calendars.store import Calendars
from local.m365.directory import Directory
from local.m365.entra.apps import SignIns
from local.m365.faults import FaultKind, Faults
from local.m365.limits import DirectoryLimits, MailboxLimits
from local.m365.mailbox import Contact, Folder, Mailbox, MailboxState
from local.m365.photos import UserPhoto

ALL_PERMISSIONS = frozenset(
    {
        *("User.Read.All", "GroupMember.Read.All", "OrgContact.Read.All", "Contacts.ReadWrite"),
        *("ProfilePhoto.Read.All", "Calendars.ReadWrite"),
    }
)
NAMESPACE = UUID("6b0f5b52-6f0c-4a35-9d36-7c1b2f6f7d11")


@dataclass(slots=True)
class App:
    """The app's registration in the tenant: what its tokens hold, and whether it gets any.

    `requested` are the permissions that the registration asks for: an admin's consent turns them into `permissions`.
    `scoped` are permissions given through RBAC for Applications: they work on the mailboxes in `scope` (None: on all) and are in
    no token. What a token holds works besides (https://learn.microsoft.com/exchange/permissions-exo/application-rbac).
    """

    client_id: str
    secret: str
    permissions: frozenset[str] = ALL_PERMISSIONS
    scoped: frozenset[str] = frozenset()
    scope: frozenset[str] | None = None
    consent: str = "granted"  # "granted", "revoked" or "disabled"
    requested: frozenset[str] = ALL_PERMISSIONS
    sign_ins: SignIns = field(default_factory=SignIns)


@dataclass(slots=True)
class Tenant:
    """A tenant's directory, mailboxes and limits. Its methods act as an admin, or as a user on a phone."""

    id: str
    name: str
    region: str
    app: App
    now: Callable[[], datetime]
    settle: Callable[[], None] = lambda: None
    faults: Faults | None = None
    directory: Directory = field(default_factory=Directory)
    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    photos: dict[str, UserPhoto] = field(default_factory=dict)
    directory_limits: dict[str, DirectoryLimits] = field(default_factory=dict)
    mailbox_limits: dict[tuple[str, str], MailboxLimits] = field(default_factory=dict)
    _uploads: int = 0

    # --- as the directory's admin ------------------------------------------------------------------------------------

    def add_user(self, values: dict[str, Any], mailbox: MailboxState | str = MailboxState.OK) -> str:
        """Add a user. An id and what every user has are filled in. Returns the id."""
        values = dict(values)
        values.setdefault("id", str(uuid5(NAMESPACE, f"{self.id}/{values['userPrincipalName']}".lower())))
        values["id"] = str(values["id"]).lower()
        values.setdefault("accountEnabled", True)
        values.setdefault("userType", "Member")
        values.setdefault("createdDateTime", f"{self.now():%Y-%m-%dT%H:%M:%SZ}")
        state = MailboxState(mailbox)
        if "assignedPlans" not in values:
            values["assignedPlans"] = [] if state is MailboxState.NONE else [exchange_plan()]
        self.directory.users.add(values)
        self.set_mailbox_state(values["id"], state)
        return str(values["id"])

    def change_user(self, user: str, values: dict[str, Any]) -> None:
        """Set properties of a user; None clears one."""
        self.directory.users.change(user, values)

    def enable_user(self, user: str, *, enabled: bool = True) -> None:
        """Enable or disable the account."""
        self.directory.users.change(user, {"accountEnabled": enabled})

    def remove_user(self, user: str, *, permanently: bool = False) -> None:
        """Delete a user, softly or for good. The mailbox rests meanwhile, or goes."""
        self.directory.users.remove(user, permanently=permanently)
        if permanently:
            self.mailboxes.pop(user, None)
            self.photos.pop(user, None)

    def set_photo(self, user: str, source: bytes | int | None) -> None:
        """Upload a user's photo (an image, or the seed of a drawn one), or with None take it away. No delta tells of it."""
        if source is None:
            self.photos.pop(user, None)
        else:
            self._uploads += 1
            self.photos[user] = UserPhoto(source, self._uploads)

    def restore_user(self, user: str) -> None:
        """Bring a softly deleted user back."""
        self.directory.users.restore(user)

    def set_mailbox_state(self, user: str, state: MailboxState | str) -> None:
        """Make a mailbox unreachable, or reachable again."""
        mailbox = self.mailboxes.get(user)
        if mailbox is None:
            mailbox = self.mailboxes[user] = Mailbox(user, self.id, self.now)
            if self.faults is not None:
                faults = self.faults
                mailbox.misses = lambda kind: faults.misses(kind, user)
        elif mailbox.state is not MailboxState(state) and self.faults is not None:
            self.faults.count(FaultKind.STATE)
        mailbox.state = MailboxState(state)

    # --- the truth about a mailbox -----------------------------------------------------------------------------------

    def mailbox(self, user: str) -> Mailbox:
        """A user's mailbox, with every late write that is due carried out."""
        self.settle()
        return self.mailboxes[user]

    def contacts(self, user: str, folder: str | None = None) -> list[Contact]:
        """All contacts of a mailbox, Deleted Items included, or those of the folder with this id or (below Contacts) name."""
        mailbox = self.mailbox(user)
        return mailbox.items() if folder is None else list(self.folder(user, folder).contacts.values())

    def live_contacts(self, user: str) -> Iterator[Contact]:
        """The contacts that a phone would show: all but those under Deleted Items."""
        mailbox = self.mailbox(user)
        return (item for item in mailbox.items() if mailbox.deleted_items not in mailbox.ancestors(item.folder))

    def deleted_contacts(self, user: str) -> Iterator[Contact]:
        """The contacts under Deleted Items."""
        mailbox = self.mailbox(user)
        return (item for item in mailbox.items() if mailbox.deleted_items in mailbox.ancestors(item.folder))

    def folder(self, user: str, name_or_id: str) -> Folder:
        """A folder of a mailbox by id, by well-known name, or by display name anywhere under Contacts. Raises KeyError."""
        mailbox = self.mailbox(user)
        known = {"contacts": mailbox.contacts, "deleteditems": mailbox.deleted_items}
        if name_or_id.lower() in known:
            return known[name_or_id.lower()]
        for folder in mailbox.folders():
            if folder.id == name_or_id or (folder.name == name_or_id and mailbox.contacts in mailbox.ancestors(folder)):
                return folder
        raise KeyError(name_or_id)

    # --- calendars ---------------------------------------------------------------------------------------------------

    def calendars(self, user: str) -> Calendars:
        """A mailbox's calendars, with every late write that is due carried out."""
        return self.mailbox(user).calendars

    def mailed(self) -> dict[str, int]:
        """How many invitations, updates and cancellations all mailboxes would have sent."""
        total: Counter[str] = Counter()
        for mailbox in self.mailboxes.values():
            total.update(mailbox.calendars.mailed)
        return dict(total)

    def forget_mails(self) -> None:
        """Count mails from zero."""
        for mailbox in self.mailboxes.values():
            mailbox.calendars.mailed.clear()

    # --- what befalls a mailbox ---------------------------------------------------------------------------------------

    def bump_change_keys(self, user: str) -> None:
        """Change every change key without an edit."""
        self.mailbox(user).bump_change_keys()
        if self.faults is not None:
            self.faults.count(FaultKind.BUMPED)

    def change_item_ids(self, user: str) -> None:
        """Give every contact a new id, as a mailbox move can."""
        self.mailbox(user).change_item_ids()
        if self.faults is not None:
            self.faults.count(FaultKind.NEW_IDS)


def exchange_plan(status: str = "Enabled") -> dict[str, Any]:
    """An assigned Exchange Online plan (graph/api/resources/assignedplan)."""
    return {
        "assignedDateTime": "2024-01-15T09:00:00Z",
        "capabilityStatus": status,
        "service": "exchange",
        "servicePlanId": "efb87545-963c-4e0d-99df-69c6916d9eb0",
    }
