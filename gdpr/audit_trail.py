"""The audit trail: an append-only chain of entries for each tenant, of which none can be changed, removed or moved unnoticed.

The newest entry is named twice, in the chain's own partition and in the tenant's, so that a cut-off end is noticed unless both
are rolled back; an export kept elsewhere tells even then.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from secrets import randbelow
from typing import Any

import orjson

from gdpr.audit_chain import (
    ANCHOR,
    CHAINED,
    END_OF_ROWS,
    FIRST_ROW,
    HEAD,
    ORIGIN,
    WITNESS,
    Actor,
    Link,
    actor_tag,
    commitment,
    hash_of,
    lasting_sealer,
    link_of,
    named,
    opened,
    row_of,
    salted,
    sealed_place,
    sealers_of,
    tag_of,
    time_of,
)
from sync_core.engine.context import Context
from sync_core.errors import ConflictError, InputError, TransientError
from sync_core.ports import Compare, Entity, Insert, Remove, Replace, Tables, Write
from sync_core.state.names import AUDIT, TENANTS
from sync_core.state.rows import grouped

_ONCE = "o:"
_TRIES = 200
_LARGEST_DETAILS = 32 * 1024  # as JSON; sealed it fits a property of 64 KiB with room to spare
_MOST_NAMES = 200
_ACTION = re.compile(r"[a-z][a-z_]{0,39}(\.[a-z][a-z_]{0,39}){1,3}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, opened. `actor` is None once it was shredded; both are when the tenant's data key is destroyed."""

    sequence: int
    at: datetime
    action: str
    actor: Actor | None
    details: Mapping[str, Any] | None
    hash: str


async def record(
    context: Context,
    tenant: str,
    *,
    actor: Actor,
    action: str,
    subject: str = "",
    before: object = None,
    after: object = None,
    once: str = "",
    outlives: bool = False,
) -> Link:
    """Append an entry and return its place.

    `action` is two or more words such as "sync.replaced"; `subject` names what it was done to, by ids. Of settings, `before` and
    `after` (mappings of JSON values) are kept where they differ, and only the names of the fields when that is too large. All of
    this but time and action is sealed. With `once`, a name for this very event, a repetition returns the first one's place. What
    `outlives` the tenant can be read when its data key is destroyed: nothing personal may be in it.

    Raises InputError for an unusable action, ConflictError when too many write at the same time.
    """
    if not _ACTION.fullmatch(action):
        raise InputError("action", "must be words joined by dots, such as sync.replaced")
    tables = context.tables
    audit_key = await context.keyring.audit_key(tenant)
    sealer = lasting_sealer(tenant, audit_key) if outlives else (await context.keyring.keys(tenant)).sealer
    marker = _ONCE + tag_of(audit_key, f"once|{once}") if once else ""
    who = salted({"kind": actor.kind, "id": actor.id, "home": actor.home})
    what = salted({"subject": subject, **_difference(before, after)})
    unanswered: Link | None = None
    for tried in range(_TRIES):
        if unanswered is not None and await _is_written(tables, tenant, unanswered):
            return unanswered
        if marker and (known := await tables.get(AUDIT, tenant, marker)) is not None:
            return link_of(known)
        head = await tables.get(AUDIT, tenant, HEAD)
        newest = link_of(head) if head is not None else ORIGIN
        row = row_of(newest.sequence + 1)
        values: dict[str, Any] = {
            "Sequence": newest.sequence + 1,
            "At": context.now(),
            "Action": action,
            "ActorCommitment": commitment(who),
            "DetailsCommitment": commitment(what),
            "Previous": newest.hash,
        }
        link = Link(newest.sequence + 1, hash_of(values))
        values |= {
            "Hash": link.hash,
            "Tag": tag_of(audit_key, link.hash),
            "ActorTag": actor_tag(audit_key, actor),
            "Actor": sealer.seal(who, place=sealed_place(tenant, row, "Actor")),
            "Details": sealer.seal(what, place=sealed_place(tenant, row, "Details")),
        }
        place = named(link, audit_key)
        writes: list[Write] = [Insert(row, values), Insert(HEAD, place) if head is None else Replace(HEAD, place, head.etag)]
        if marker:
            writes.append(Insert(marker, place))
        try:
            await tables.commit(AUDIT, tenant, writes)
        except ConflictError:
            await context.clock.sleep(randbelow(10 * min(tried + 1, 20)) / 1000)
        except TransientError:
            unanswered = link  # it may have been carried out all the same
        else:
            await _witness(tables, tenant, link, audit_key)
            return link
    raise ConflictError("too many write to the audit trail at the same time")


async def newest_link(tables: Tables, tenant: str) -> Link | None:
    """The newest entry's place, None when there is none."""
    head = await tables.get(AUDIT, tenant, HEAD)
    return link_of(head) if head is not None else None


async def entries(context: Context, tenant: str, *, after: int = 0) -> AsyncIterator[Entry]:
    """The entries after a sequence number, the oldest first, each as far as it can be opened."""
    sealers = await sealers_of(context, tenant)
    async for entity in stored_entries(context.tables, tenant, after=after):
        who, what = opened(sealers, entity, "Actor"), opened(sealers, entity, "Details")
        yield Entry(
            sequence=link_of(entity).sequence,
            at=time_of(entity),
            action=str(entity.values["Action"]),
            actor=Actor(**who["content"]) if who is not None else None,
            details=what["content"] if what is not None else None,
            hash=link_of(entity).hash,
        )


async def export(context: Context, tenant: str, *, after: int | None = None) -> AsyncIterator[bytes]:
    """The whole trail as lines of JSON: first where it begins and ends, then every entry with all that it takes to check it.

    With `after`, a sequence number, only the lines of the entries after that one.

    `hash` is the SHA-256 of the chained values as a compact JSON array in the order of `chained`; a commitment is that of the
    part {"content", "salt"} as compact JSON with sorted keys.
    """
    sealers = await sealers_of(context, tenant)
    anchor, head = await context.tables.get(AUDIT, tenant, ANCHOR), await context.tables.get(AUDIT, tenant, HEAD)
    start, end = (link_of(place) if place is not None else ORIGIN for place in (anchor, head))
    chained = [_camel(name) for name in CHAINED]
    if after is None:
        yield _line({"schema": 1, "tenant": tenant, "at": context.now(), "chained": chained, "after": start, "newest": end})
    async for entity in stored_entries(context.tables, tenant, after=max(start.sequence, after or 0)):
        values = {_camel(name): entity.values.get(name) for name in (*CHAINED, "Hash", "Tag")}
        values["at"] = time_of(entity).isoformat(timespec="microseconds")
        yield _line({**values, "actor": opened(sealers, entity, "Actor"), "details": opened(sealers, entity, "Details")})


async def shred_actor(context: Context, tenant: str, actor: Actor, *, only: Collection[str] | None = None) -> int:
    """Make it impossible to tell what this actor did, of all actions or `only` these: returns in how many entries.

    The chain still verifies. Repeatable.
    """
    tag = actor_tag(await context.keyring.audit_key(tenant), actor)
    shredded = 0
    async for entity in entries_by(context.tables, tenant, tag):
        if only is not None and entity.values["Action"] not in only:
            continue
        values = {name: value for name, value in entity.values.items() if name not in ("Actor", "ActorTag")}
        await context.tables.commit(AUDIT, tenant, [Replace(entity.row, values, entity.etag)])
        shredded += 1
    return shredded


async def prune(context: Context, tenant: str, *, before: datetime) -> int:
    """Delete the entries older than `before`, and remember where the chain then begins. Returns how many. Repeatable.

    The newest entry always stays: it holds the end of the chain.
    """
    audit_key = await context.keyring.audit_key(tenant)
    head, anchor = await context.tables.get(AUDIT, tenant, HEAD), await context.tables.get(AUDIT, tenant, ANCHOR)
    if head is None:
        return 0
    newest, start = link_of(head), link_of(anchor) if anchor is not None else ORIGIN
    last = start
    async for entity in stored_entries(context.tables, tenant, after=start.sequence):
        if time_of(entity) >= before or link_of(entity).sequence >= newest.sequence:
            break
        last = link_of(entity)
    if last.sequence > start.sequence:
        values = named(last, audit_key)
        write: Write = Insert(ANCHOR, values) if anchor is None else Replace(ANCHOR, values, anchor.etag)
        await context.tables.commit(AUDIT, tenant, [write])
    return await _delete_up_to(context.tables, tenant, last.sequence)


async def forget_trail(tables: Tables, tenant: str, *, before: datetime) -> None:
    """Delete the whole trail of a tenant that is no more, key and all, once its newest entry is older than `before`."""
    newest = await newest_link(tables, tenant)
    entity = await tables.get(AUDIT, tenant, row_of(newest.sequence)) if newest is not None else None
    if entity is None or time_of(entity) >= before:
        return
    for group in grouped([Remove(row.row) async for row in tables.query(AUDIT, tenant, select=())]):
        await tables.commit(AUDIT, tenant, group)


def entries_by(tables: Tables, tenant: str, tag: str) -> AsyncIterator[Entity]:
    """The rows of the entries of an actor, known by `actor_tag`, in order."""
    return tables.query(AUDIT, tenant, start=FIRST_ROW, end=END_OF_ROWS, where=Compare("ActorTag", "eq", tag))


def stored_entries(tables: Tables, tenant: str, *, after: int = 0) -> AsyncIterator[Entity]:
    """The rows of the entries after a sequence number, in order."""
    return tables.query(AUDIT, tenant, start=row_of(after + 1), end=END_OF_ROWS)


async def _delete_up_to(tables: Tables, tenant: str, sequence: int) -> int:
    old = tables.query(AUDIT, tenant, start=FIRST_ROW, end=row_of(sequence + 1), select=())
    gone = [entity.row async for entity in old]
    expired = Compare("Sequence", "le", sequence)
    markers = tables.query(AUDIT, tenant, start=_ONCE, end="o;", where=expired, select=())
    for group in grouped([Remove(row) for row in [*gone, *[entity.row async for entity in markers]]]):
        await tables.commit(AUDIT, tenant, group)
    return len(gone)


async def _is_written(tables: Tables, tenant: str, link: Link) -> bool:
    entity = await tables.get(AUDIT, tenant, row_of(link.sequence))
    return entity is not None and link_of(entity) == link


async def _witness(tables: Tables, tenant: str, link: Link, audit_key: bytes) -> None:
    """Name the newest entry in the tenant's own partition too. It may lag behind: the head is written with the entry."""
    values = named(link, audit_key)
    for _ in range(_TRIES):
        known = await tables.get(TENANTS, tenant, WITNESS)
        if known is not None and link_of(known).sequence >= link.sequence:
            return
        write: Write = Insert(WITNESS, values) if known is None else Replace(WITNESS, values, known.etag)
        try:
            await tables.commit(TENANTS, tenant, [write])
        except ConflictError:
            continue
        return


def _difference(before: object, after: object) -> dict[str, object]:
    """What of settings to keep: the fields that differ, bounded in size."""
    kept: dict[str, object] = {}
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        kept = {
            "before": {name: before[name] for name in names if name in before},
            "after": {name: after[name] for name in names if name in after},
        }
    elif before is not None or after is not None:
        kept = {"before": before, "after": after}
    if len(orjson.dumps(kept)) <= _LARGEST_DETAILS:
        return kept
    return {name: _fields_only(value) for name, value in kept.items()}


def _fields_only(value: object) -> object:
    fields = sorted(map(str, value))[:_MOST_NAMES] if isinstance(value, Mapping) else []
    return {"tooLarge": len(orjson.dumps(value)), "fields": [name[:100] for name in fields]}


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]


def _line(values: Mapping[str, object]) -> bytes:
    return orjson.dumps(values) + b"\n"
