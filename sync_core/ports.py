"""What the engine needs from the outside world. `cloud` implements these; `local.memory` implements the storage ones for tests.

Everything raises only errors of `sync_core.errors`; whatever else escapes is a bug.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from sync_core.contacts import OWNED_FIELDS
from sync_core.errors import RollcallError
from sync_core.kinds import Kind
from sync_core.model import Folder, ItemChangePage, Operation, Outcome, PhotoAt, SeenItem, SourcePage, Spent

# --- storage -----------------------------------------------------------------------------------------------------------

Scalar = str | int | float | bool | bytes | datetime
Row = Mapping[str, Scalar | None]


@dataclass(frozen=True, slots=True)
class Entity:
    """A stored row. `values` has no partition key, row key or timestamp in it; a value stored as None is absent."""

    partition: str
    row: str
    values: dict[str, Scalar]
    etag: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Write a row that must not exist yet."""

    row: str
    values: Row


@dataclass(frozen=True, slots=True)
class Put:
    """Write a row whether it exists or not, replacing all of it."""

    row: str
    values: Row


@dataclass(frozen=True, slots=True)
class Merge:
    """Write these values of a row and leave its others as they are; a row that does not exist is made."""

    row: str
    values: Row


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace all of a row that must still carry `etag`."""

    row: str
    values: Row
    etag: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete a row; a row that does not exist is no error."""

    row: str


Write = Insert | Put | Merge | Replace | Remove


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition on one property. A row without that property never matches, not even `ne`."""

    name: str
    op: Literal["eq", "ne", "lt", "le", "gt", "ge"]
    value: str | int | bool | datetime


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one condition holds."""

    conditions: tuple[Condition, ...]


Condition = Compare | AllOf | AnyOf


class Tables(Protocol):
    """Rows by table, partition and row key, ordered by row key within a partition, with optimistic concurrency.

    Keys may hold letters, digits and `-_.:|@~`, at most 512 characters. A row may hold 1 MiB and a value 64 KiB.
    Naive datetimes are refused; datetimes come back in UTC. Integers are 64 bits wide.
    """

    async def get(self, table: str, partition: str, row: str, *, select: Sequence[str] | None = None) -> Entity | None:
        """The row, or None. With `select`, only these of its values."""

    def query(
        self,
        table: str,
        partition: str,
        *,
        start: str = "",
        end: str = "",
        where: Condition | None = None,
        select: Sequence[str] | None = None,
    ) -> AsyncIterator[Entity]:
        """Rows of one partition with `start` <= row key < `end` (either may be empty) that match `where`, in order.

        Pages are fetched as the caller goes on. With `select`, only these values come back.
        """

    def scan(
        self,
        table: str,
        *,
        partitions_from: str = "",
        partitions_to: str = "",
        where: Condition | None = None,
        select: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Entity]:
        """Rows with `partitions_from` <= partition key < `partitions_to` (either may be empty) that match, by partition and row.

        At most `limit` rows. Expensive without bounds: for timers only.
        """

    async def commit(self, table: str, partition: str, writes: Sequence[Write]) -> list[str]:
        """Carry out 1 to 100 writes of different rows (under 4 MiB together) in one transaction.

        Returns the new etags in order, "" for a Remove. Raises ConflictError, with nothing written, when an Insert finds the row
        or a Replace another etag or no row.
        """


class Queues(Protocol):
    """Sends messages. Delivery is at least once and unordered. Ids only: no personal data."""

    async def send(self, queue: str, message: Mapping[str, str | int], *, delay: float = 0) -> None:
        """Enqueue `message` as JSON, visible after `delay` seconds (at most 7 days)."""


class Blobs(Protocol):
    """Files that people may fetch for a while, in private storage. Names may hold letters, digits and `-_./`."""

    async def put(self, name: str, content: AsyncIterator[bytes]) -> None:
        """Store a file in parts of at most a few megabytes each, over one of this name. It is there when all of it is."""

    def get(self, name: str) -> AsyncIterator[bytes]:
        """A file's bytes, in parts of any size. Raises NotFoundError."""

    async def delete(self, prefix: str) -> int:
        """Delete every file whose name begins so; returns how many."""


class Clock(Protocol):
    """Time, so that tests may move it."""

    def now(self) -> datetime:
        """The time now, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


# --- keys --------------------------------------------------------------------------------------------------------------


class Secrets(Protocol):
    """Named secrets: Key Vault, or one machine's file."""

    async def get(self, name: str) -> bytes:
        """The secret's bytes. Raises NotFoundError."""


class VersionedSecrets(Secrets, Protocol):
    """Named secrets that are rotated: for a while two values are good."""

    async def versions(self, name: str, *, fresh: bool = False) -> Sequence[bytes]:
        """The newest value and, if there is one, the one before it. Raises NotFoundError when there is none.

        With `fresh` what is kept in this process is not good enough: it was refused.
        """


class Sealer(Protocol):
    """Encrypts one tenant's bytes for one place; what was sealed for another place or tenant does not open."""

    def seal(self, plain: bytes, *, place: str) -> bytes:
        """Compress and encrypt. `place` names table, partition, row and property."""

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """The plain bytes. Raises LostPagesError when they cannot be had (wrong key, wrong place, damaged)."""

    def is_current(self, sealed: bytes) -> bool:
        """Whether something was sealed under the key that is used now."""


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """A tenant's keys, unwrapped."""

    sealer: Sealer
    fingerprint_key: bytes
    fingerprint_key_id: str  # two characters or so: it stands in every fingerprint
    suppression_key: bytes


class Keyring(Protocol):
    """Finds (and on first use makes) a tenant's keys."""

    async def keys(self, tenant: str) -> TenantKeys:
        """The tenant's keys."""

    async def audit_key(self, tenant: str) -> bytes:
        """The key of the tenant's audit trail. It outlives the others: it proves, and opens nothing."""


# --- Microsoft 365 -----------------------------------------------------------------------------------------------------


FoundKind = Literal["people", "groups", "shared_mailboxes"]


@dataclass(frozen=True, slots=True)
class Found:
    """An object of the directory as one chooses it: by name and address."""

    id: str
    name: str
    mail: str


class Directory(Protocol):
    """One tenant's directory."""

    spent: Spent

    def users(self, delta_link: str | None) -> AsyncIterator[SourcePage]:
        """All users (no link), or what changed since. The last page carries the next link.

        Raises DeltaExpiredError, TenantError, ParkedError, TransientError (after patience), or SourceError when the answer ends
        without a delta link. So do the other methods.
        """

    def org_contacts(self, delta_link: str | None) -> AsyncIterator[SourcePage]:
        """All organisation contacts (no link), or what changed since."""

    def group_members(self, groups: Sequence[str], delta_link: str | None) -> AsyncIterator[SourcePage]:
        """These groups (50 at most) with their direct members, or what changed since; those that do not exist are left out.

        A changed object has the group's id and in "members@delta" the ids and types of members that came ("@removed": that left).
        The same group may come on several pages, each with some of its members.
        """

    async def nested_groups(self, group: str) -> list[str]:
        """The ids of all groups inside a group, at any depth. Raises SourceError when there is no such group."""

    async def search(self, kind: FoundKind, start: str, most: int) -> list[Found]:
        """At most `most` objects whose names or addresses start like this, for somebody to choose from."""


class Mailboxes(Protocol):
    """The contact folders of one tenant's mailboxes, as far as one piece of work needs them.

    Requests of several mailboxes that are served side by side share HTTP calls: a task that serves a mailbox does so inside
    `sharing()`, which tells how many tasks may still have something to send. Throttling is dealt with here. Methods raise
    MailboxError, MailboxGoneError, LedgerDoubtError (item or folder not found), TenantError, ParkedError and TransientError (when
    patience is used up).
    """

    spent: Spent
    kind: Kind

    def sharing(self) -> AbstractContextManager[None]:
        """Take part in shared HTTP calls until the context ends."""

    async def folders(self, mailbox: str) -> list[Folder]:
        """The contact folders directly below the default folder."""

    async def child_folders(self, mailbox: str, folder_id: str) -> list[Folder]:
        """The folders directly below a folder."""

    async def folder(self, mailbox: str, folder_id: str) -> Folder | None:
        """One folder, wherever it lies (Deleted Items included); None when there is none. "contacts" names the default folder.

        Contact folders are descendants of the default folder: one whose parents do not lead there was deleted.
        """

    async def create_folder(self, mailbox: str, name: str, mark: str) -> Folder:
        """Make a folder that carries our mark. Raises AnswerLostError, or ConflictError when the name is taken."""

    async def rename_folder(self, mailbox: str, folder_id: str, name: str) -> None:
        """Give a folder another name. Raises ConflictError when it is taken."""

    async def color_folder(self, mailbox: str, folder_id: str, color: str) -> None:
        """Give a calendar another colour. Contact folders have none."""

    async def delete_folder(self, mailbox: str, folder_id: str) -> None:
        """Remove a folder for good; one that is gone is no error."""

    async def discard_folder(self, mailbox: str, folder_id: str) -> None:
        """Move a folder to Deleted Items, whence its owner can take it back; one that is gone is no error."""

    def items(self, mailbox: str, folder_id: str, *, fields: Sequence[str] = ()) -> AsyncIterator[list[SeenItem]]:
        """Every item of a folder: its id and our two properties; with `fields` (never on a default folder) all of a SeenItem."""

    async def item(self, mailbox: str, item_id: str, *, fields: Sequence[str] = ()) -> SeenItem | None:
        """One item, wherever it lies, with our two properties and these `fields`; None when there is none."""

    async def look(self, mailbox: str, item_ids: Sequence[str], *, fields: Sequence[str] = ()) -> list[SeenItem | None]:
        """At most 20 items in the same order, wherever each lies; None for one that does not exist.

        Their ids and our two properties only; with `fields` (never of an item that may be the user's) all of a SeenItem.
        """

    async def find(self, mailbox: str, folder_id: str, mark: str) -> list[SeenItem]:
        """The folder's items that carry exactly this mark."""

    async def unmark(self, mailbox: str, *item_ids: str) -> None:
        """Take our mark off 1 to 20 items: from now on they are the user's. One that is gone is no error."""

    async def mark_folder(self, mailbox: str, folder_id: str, mark: str) -> None:
        """Write another mark of ours over that of a folder. One that is gone is no error."""

    async def unmark_folder(self, mailbox: str, folder_id: str) -> None:
        """Take our mark off a folder: from now on it is the user's. One that is gone is no error."""

    async def write_photos(self, mailbox: str, photos: Sequence[tuple[str, bytes]]) -> list[Outcome]:
        """Give at most 20 items (by id) a photo each (JPEG, together less than 2.5 MB); errors as for `write`."""

    async def write(self, mailbox: str, folder_id: str, operations: Sequence[Operation]) -> list[Outcome]:
        """Carry out at most 20 operations on a folder and what is in it; the outcomes come in the same order.

        An item that the user has moved into another folder is not found, and stays as it is.

        An error of a single operation stands in its outcome: AnswerLostError (a create), LedgerDoubtError (item or folder not
        found), MailboxError with Reason.REFUSED (Graph refuses it). A delete of an item that is not there is done. An
        error that concerns the whole mailbox or tenant also stands in the outcome of each operation that met it, so that what was
        carried out beside it is not lost; only when no request was sent at all is it raised.
        """

    def changes(
        self, mailbox: str, folder_id: str, delta_link: str | None, *, fields: Sequence[str] = OWNED_FIELDS
    ) -> AsyncIterator[ItemChangePage]:
        """What changed in a folder since the link; all items as changes without one. Raises DeltaExpiredError.

        A link goes on telling of the `fields` that it was first asked for; with none of them (on a default folder) of ids only.
        """


class Calendars(Mailboxes, Protocol):
    """The calendars of one tenant's mailboxes: what the contact folders are, with calendars for folders and events for items.

    `folders` are all calendars, `folder` knows no deleted one, and there are no `changes`. Items of `look` say where they are
    only with fields, and of `find` not at all.
    """

    async def default(self, mailbox: str) -> Folder:
        """The mailbox's own calendar."""

    def view(self, mailbox: str, calendar_id: str, start: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """All events between two moments, series as their occurrences, with the properties `occurrences.ASKED`."""

    def view_changes(
        self, mailbox: str, calendar_id: str, delta_link: str | None, start: datetime, end: datetime
    ) -> AsyncIterator[SourcePage]:
        """What changed in such a view since the link, by ids: no more than a signal, as it misses deletions.

        The window of a link is that of its beginning. Raises DeltaExpiredError.
        """


class Photos(Protocol):
    """The photos of one tenant's users, and of contacts in its mailboxes. Twenty questions share an HTTP call."""

    spent: Spent

    async def versions(self, places: Sequence[PhotoAt]) -> list[str | RollcallError]:
        """What Microsoft calls the photo that is there now, in the same order: "" for none, or why it cannot be told."""

    async def contents(self, places: Sequence[PhotoAt], side: int) -> list[bytes | RollcallError]:
        """Each photo in this size, or as it is where there is no such size; b"" for none, or why it cannot be told."""


class MicrosoftGraph(Protocol):
    """Opens one tenant's Microsoft 365."""

    def directory(self, tenant: str) -> Directory:
        """The tenant's directory, with a fresh account of what is spent."""

    def mailboxes(self, tenant: str) -> Mailboxes:
        """The tenant's mailboxes, with a fresh account of what is spent."""

    def calendars(self, tenant: str, *, color: str = "") -> Calendars:
        """The calendars of the tenant's mailboxes, with a fresh account of what is spent; new ones get this colour."""

    def photos(self, tenant: str) -> Photos:
        """The tenant's photos, with a fresh account of what is spent."""
