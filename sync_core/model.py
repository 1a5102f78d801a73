"""The nouns of a sync. Plain data: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

Named = tuple[str, str, str]
"""A person in an event: role, keyed hash of the address, name (see `named`)."""


class Item(Struct, frozen=True, gc=False):
    """One thing a replica should hold, ready to be written.

    `key` names the item's source objects (see `marks`), `fingerprint` its content (see `fingerprints`), and `body` is the
    JSON object that Graph takes for POST and PATCH alike, our marks included; it is the same for every mailbox. `photo` says
    where the item's photo is kept, "" that it has none; None leaves photos alone (see `photos`). `named` are the people whom
    an event names. `hides` is the fingerprint that it would have if its person hid nothing, "" for who does not.
    """

    key: str
    fingerprint: str
    body: bytes
    photo: str | None = None
    named: Sequence[Named] = ()
    hides: str = ""


@dataclass(frozen=True, slots=True)
class PhotoAt:
    """Where Microsoft keeps a photo: that of a user, or of a contact, by item id, in a mailbox."""

    mailbox: str
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Portrait:
    """What a source tells of a person's photo. `key` is that of the source object.

    One `at` Microsoft may be there or not; `seen` is another when the contact has changed, and "" for users, of whose photos
    nothing tells. One that was handed to us has a `name`, and lies with the `source`.
    """

    key: str
    at: PhotoAt | None = None
    seen: str = ""
    source: str = ""
    name: str = ""


class Held(Struct, frozen=True, array_like=True, gc=False):
    """What we believe one mailbox holds for a key. An empty fingerprint means: ours, but of unknown content.

    `kept` are the fields that the user has edited, where that is for the user to do. There is one for every contact of every
    mailbox: a Struct takes an eighth of the time of a frozen dataclass to make, is stored as it is, and nothing in it can lead
    back to it, so that the garbage collector need not look at it. The same goes for items and operations.
    """

    item_id: str
    fingerprint: str
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SeenItem:
    """An item of a mailbox as a look at it showed. `mark` and `fingerprint` are the raw values of our two properties.

    Where only marks were asked for, `folder_id` and `created` are empty: an item may be the user's, and is none of our business.
    """

    item_id: str
    folder_id: str
    created: str  # ISO 8601, as Graph writes it: sorts by time
    mark: str | None = None
    fingerprint: str | None = None
    fields: Mapping[str, Any] | None = None  # only when fields were asked for


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One line of an item delta: the item is new or changed (`fields` holds what we own), or it left the folder."""

    item_id: str
    removed: bool
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemChangePage:
    """One page of an item delta. Only the last page has a `delta_link`."""

    changes: list[ItemChange]
    delta_link: str | None


@dataclass(frozen=True, slots=True)
class SourcePage:
    """One page of a source's delta: raw objects that changed, ids that went. Only the last page has a `delta_link`.

    The same object may come twice; the later one wins. An object holds at least the properties that changed.
    """

    changed: list[dict[str, Any]]
    removed: list[str]
    delta_link: str | None


@dataclass(frozen=True, slots=True)
class Folder:
    """A contact folder. `mark` is the raw value of our key property, None when it has none."""

    folder_id: str
    name: str
    parent_id: str
    mark: str | None


class Create(Struct, frozen=True, gc=False):
    """Write a new item. Not repeatable: when its answer is lost, look it up by its mark first."""

    key: str
    body: bytes


class Update(Struct, frozen=True, gc=False):
    """Overwrite our fields of an existing item. `was` is the key that the ledger knows it under until then, "" for the same.

    `then` is what the mailbox holds afterwards, when that is not all of the item.
    """

    key: str
    item_id: str
    body: bytes
    was: str = ""
    then: Held | None = None


class Delete(Struct, frozen=True, gc=False):
    """Remove an item of ours for good."""

    key: str
    item_id: str


Operation = Create | Update | Delete


class Outcome(Struct, frozen=True):
    """What became of one operation: the id of the item (after create or update), or the error that this one item met.

    `missing` says that an item to be deleted was not in its folder: it is gone, or somewhere else.
    """

    item_id: str = ""
    error: Exception | None = None
    missing: bool = False


@dataclass(slots=True)
class Spent:
    """What was asked of Graph: every sub-request of a batch counts one request, the batch itself one HTTP call."""

    requests: int = 0
    http_calls: int = 0
    throttled: int = 0

    def add(self, other: Spent) -> None:
        """Add another account to this one."""
        self.requests += other.requests
        self.http_calls += other.http_calls
        self.throttled += other.throttled


class ReplicaState(StrEnum):
    """Where the mirror in one mailbox stands."""

    ACTIVE = "active"
    LEAVING = "leaving"  # no longer a target: what we wrote is still to be removed
    SET_ASIDE = "set_aside"  # unreachable; looked at again when `due`
    PAUSED = "paused"  # its user wants no changes for now: what is there stays
    DECLINED = "declined"  # its user does not want the list, and nothing of ours is there


@dataclass(slots=True)
class Replica:
    """The mirror of one sync in one mailbox: what must not be lost when caches are.

    `applied` is the digest of the snapshot last applied in full. `dirty` says that writes may be under way or lost: list by
    mark before anything is created. `folder_name` is what the definition called the folder when it was made or last renamed
    (its user may have done so since), "" for a replica in the default folder; `folder_color` is the same for the colour of a
    calendar. `left_folders` are those that it has moved out of, as long as something of ours may be in them. `look_after`
    asks for one more look once that time has passed (a late write may still commit). `gone_since` is when a leaving mailbox
    was first found gone: it may come back for a while.
    """

    mailbox: str
    state: ReplicaState = ReplicaState.ACTIVE
    reason: str = ""
    folder_id: str = ""
    folder_name: str = ""
    folder_color: str = ""
    left_folders: tuple[str, ...] = ()
    applied: str = ""
    dirty: bool = False
    look_after: datetime | None = None
    due: datetime | None = None  # next audit; for other states the next attempt
    gone_since: datetime | None = None
    owner: str = ""
    owned_until: datetime | None = None
    etag: str = ""

    @property
    def in_default_folder(self) -> bool:
        """Whether our items lie among the user's own."""
        return not self.folder_name


class RunState(StrEnum):
    """Where a run stands. The last six are final."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"  # what is being written is finished, and nothing else
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"  # done, but some mailboxes could not be served
    HELD = "held"  # a brake or an unreadable source: nothing was changed, a person decides
    FAILED = "failed"
    DROPPED = "dropped"  # was held and a person refused it
    CANCELLED = "cancelled"  # a person stopped it: the next run goes on where it broke off

    @property
    def final(self) -> bool:
        """True when nothing more will happen in this run."""
        return self not in (RunState.QUEUED, RunState.RUNNING, RunState.CANCELLING)


@dataclass(slots=True)
class Counts:
    """What was done to mailboxes."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    photos: int = 0  # given to contacts, or taken from them

    def add(self, other: Counts) -> None:
        """Add another account to this one."""
        self.created += other.created
        self.updated += other.updated
        self.deleted += other.deleted
        self.photos += other.photos


@dataclass(slots=True)
class MailboxResult:
    """What one run did in one mailbox."""

    mailbox: str
    outcome: str  # "done", "set_aside", "held", "removed", "kept", "failed", "cancelled"
    reason: str = ""
    detail: str = ""
    counts: Counts = field(default_factory=Counts)
