"""The register of replicas: which mailboxes hold something of a sync. Not a cache: it must survive every purge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from itertools import islice

from sync_core.model import Replica, ReplicaState
from sync_core.ports import AllOf, AnyOf, Compare, Condition, Entity, Insert, Remove, Replace, Row, Tables, Write
from sync_core.state.names import REPLICAS, partition
from sync_core.state.syncs import optional_time

ROWS_PER_COMMIT = 100


async def load_replica(tables: Tables, tenant: str, sync: str, mailbox: str) -> Replica | None:
    """One replica, or None."""
    entity = await tables.get(REPLICAS, partition(tenant, sync), mailbox)
    return None if entity is None else _decode(entity)


async def all_replicas(tables: Tables, tenant: str, sync: str) -> AsyncIterator[Replica]:
    """Every replica of a sync, by mailbox id."""
    async for entity in tables.query(REPLICAS, partition(tenant, sync)):
        yield _decode(entity)


async def replicas_to_serve(
    tables: Tables, tenant: str, sync: str, *, current: str, folder_name: str, folder_color: str, now: datetime, check_all: bool
) -> AsyncIterator[Replica]:
    """Replicas that have something to do.

    Those not at the `current` snapshot or not in a folder of this name and colour, dirty or leaving ones, and those due for
    an audit or another look. With `check_all`, every one.
    """
    if check_all:
        async for replica in all_replicas(tables, tenant, sync):
            yield replica
        return

    due = Compare("Due", "le", now)
    behind: tuple[Condition, ...] = (
        Compare("Applied", "ne", current),
        Compare("FolderName", "ne", folder_name),
        Compare("FolderColor", "ne", folder_color),
        Compare("Dirty", "eq", True),
        due,
    )
    active = AllOf((Compare("State", "eq", ReplicaState.ACTIVE), AnyOf(behind)))
    waits = (Compare("State", "eq", state) for state in (ReplicaState.LEAVING, ReplicaState.SET_ASIDE))
    waiting = AllOf((AnyOf(tuple(waits)), due))
    async for entity in tables.query(REPLICAS, partition(tenant, sync), where=AnyOf((active, waiting))):
        yield _decode(entity)


async def set_aside(tables: Tables, tenant: str, sync: str, *, start: str = "") -> AsyncIterator[Replica]:
    """The replicas that cannot be reached at present, from this mailbox id on."""
    where = Compare("State", "eq", ReplicaState.SET_ASIDE)
    async for entity in tables.query(REPLICAS, partition(tenant, sync), start=start, where=where):
        yield _decode(entity)


async def count_set_aside(tables: Tables, tenant: str, sync: str) -> int:
    """How many mailboxes of a sync cannot be reached at present."""
    where = Compare("State", "eq", ReplicaState.SET_ASIDE)
    return sum([1 async for _ in tables.query(REPLICAS, partition(tenant, sync), where=where, select=())])


async def insert_replicas(tables: Tables, tenant: str, sync: str, replicas: Sequence[Replica]) -> None:
    """Register new replicas. Raises ConflictError when one exists already."""
    await _commit(tables, tenant, sync, (Insert(replica.mailbox, _encode(replica)) for replica in replicas))


async def save_replicas(tables: Tables, tenant: str, sync: str, replicas: Sequence[Replica]) -> None:
    """Write changed replicas back, a hundred to a transaction, and renew their etags.

    Raises ConflictError when one of them was changed by somebody else; nothing of its transaction is written then.
    """
    etags = await _commit(
        tables, tenant, sync, (Replace(replica.mailbox, _encode(replica), replica.etag) for replica in replicas)
    )
    for replica, etag in zip(replicas, etags, strict=True):
        replica.etag = etag


async def remove_replicas(tables: Tables, tenant: str, sync: str, mailboxes: Sequence[str]) -> None:
    """Forget replicas that hold nothing of ours any more."""
    await _commit(tables, tenant, sync, map(Remove, mailboxes))


async def _commit(tables: Tables, tenant: str, sync: str, writes: Iterable[Write]) -> list[str]:
    etags: list[str] = []
    rest = iter(writes)
    while batch := list(islice(rest, ROWS_PER_COMMIT)):
        etags += await tables.commit(REPLICAS, partition(tenant, sync), batch)
    return etags


def _encode(replica: Replica) -> Row:
    return {
        "State": str(replica.state),
        "Reason": replica.reason,
        "Folder": replica.folder_id,
        "FolderName": replica.folder_name,
        "FolderColor": replica.folder_color,
        "LeftFolder": " ".join(replica.left_folders),
        "Applied": replica.applied,
        "Dirty": replica.dirty,
        "LookAfter": replica.look_after,
        "Due": replica.due,
        "GoneSince": replica.gone_since,
        "Owner": replica.owner,
        "OwnedUntil": replica.owned_until,
    }


def _decode(entity: Entity) -> Replica:
    values = entity.values
    return Replica(
        mailbox=entity.row,
        state=ReplicaState(str(values["State"])),
        reason=str(values["Reason"]),
        folder_id=str(values["Folder"]),
        folder_name=str(values["FolderName"]),
        folder_color=str(values.get("FolderColor", "")),
        left_folders=tuple(str(values["LeftFolder"]).split()),
        applied=str(values["Applied"]),
        dirty=bool(values["Dirty"]),
        look_after=optional_time(values.get("LookAfter")),
        due=optional_time(values.get("Due")),
        gone_since=optional_time(values.get("GoneSince")),
        owner=str(values["Owner"]),
        owned_until=optional_time(values.get("OwnedUntil")),
        etag=entity.etag,
    )
