"""What is held on a person, and on a tenant: read for exports store by store, in pieces after each of which one can go on."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from gdpr.archive import Unit
from gdpr.audit_chain import Actor, actor_tag
from gdpr.audit_trail import entries_by
from gdpr.audit_trail import export as audit_lines
from gdpr.cards import as_csv, as_vcards
from gdpr.erasure import Task, known_as
from gdpr.named_events import events_naming, hashes_of
from gdpr.requests import RequestKind, Subject, newest_requests
from gdpr.subject import concerns, person_in, photos_of, sources_of, stored_objects, syncs_of
from sync_core.errors import LostPagesError
from sync_core.model import Item
from sync_core.state.choices import load_choices, load_hidden
from sync_core.state.ledgers import LedgerStore
from sync_core.state.names import REFUSALS, SUPPRESSIONS, TENANTS, partition
from sync_core.state.photos import PHOTOS, key_at
from sync_core.state.refusals import RefusalStore
from sync_core.state.replicas import all_replicas, load_replica
from sync_core.state.runs import all_chunks, newest_runs
from sync_core.state.snapshots import SnapshotStore, kept_items
from sync_core.state.sources import SourceStore, source_key
from sync_core.state.suppressions import load_suppressions
from sync_core.suppression import by_key, identifiers

Section = Callable[[Task, str], AsyncIterator[Unit]]
"""Yields what comes after a place that one of its units named, or all."""

_OF_PERSON = {
    "person.json": "everything held on the person but for what follows",
    "contacts.csv": "the person as in address books",
    "contacts.vcf": "the same as vCards",
    "mailboxes.jsonl": "how many mailboxes hold the person, by sync",
    "runs.jsonl": "what runs did in the person's own mailbox",
    "audit.jsonl": "what the person did",
}
_OF_TENANT = {
    "tenant.json": "settings and definitions",
    "choices.jsonl": "what employees have chosen for themselves",
    "sources.jsonl": "every object of every source",
    "photos.jsonl": "every photo that is kept, as JPEG in base64",
    "contacts.jsonl": "every item of every snapshot that is kept",
    "replicas.jsonl": "which mailboxes hold something, and in what state",
    "runs.jsonl": "runs and what they did in each mailbox",
    "requests.jsonl": "privacy requests",
    "audit.jsonl": "the audit trail with all that it takes to check it",
}
FILES: Mapping[RequestKind, Mapping[str, str]] = {RequestKind.EXPORT: _OF_PERSON, RequestKind.TENANT_EXPORT: _OF_TENANT}
"""What the files of an export hold."""

_OF_EVENTS = ("subject", "start", "end", "location")
_ALL = "."
_MAILBOXES = 200
_ROWS = 1000
_TRIES = 3


def sections(task: Task) -> Sequence[Section]:
    """What an export consists of, in order."""
    if task.request.kind is RequestKind.TENANT_EXPORT:
        return (_tenant, _everybodys_choices, _objects, _everybodys_photos, _contacts, _replicas, _all_runs, _requests, _trail)
    return (_person, _mailboxes, _runs, _acts)


async def _person(task: Task, after: str) -> AsyncIterator[Unit]:
    if after:
        return
    held = await held_on(task)
    people = [entry["properties"] for entry in held["sources"]] or [entry["contact"] for entry in held["contacts"]]
    yield Unit("person.json", "", orjson.dumps(held, option=orjson.OPT_INDENT_2))
    yield Unit("contacts.csv", "", as_csv(people))
    yield Unit("contacts.vcf", _ALL, as_vcards(people))


async def held_on(task: Task) -> dict[str, Any]:
    """What is held on the person of a request, but for what grows with mailboxes, runs and the trail."""
    context, tenant, subject = task.context, task.tenant, task.request.subject
    wanted = {*subject.identifiers, *map(by_key, subject.keys)}
    suppressed = await load_suppressions(context.tables, task.keys.suppression_key, tenant)
    sources: list[dict[str, Any]] = []
    async for source, stored, value in stored_objects(context, task.keys, tenant):
        key = source_key(source, stored, value)
        if not wanted.isdisjoint(identifiers(key, value)):
            sources.append({"source": source, "key": key, "properties": value})
    contacts: list[dict[str, Any]] = []
    own: list[dict[str, Any]] = []
    async for sync in syncs_of(context, tenant):
        async for item in kept_items(SnapshotStore(context.tables, task.keys.sealer, tenant, sync.sync)):
            person = person_in(item)
            if not wanted.isdisjoint(identifiers(item.key, person)):
                contacts.append({"sync": sync.sync, "key": item.key, "contact": person})
        for mailbox in subject.object_ids:
            own += await _own(task, sync.sync, mailbox)
    return {
        "sources": sources,
        "photos": await _photos(task),
        "contacts": contacts,
        "events": await _events(task),
        "ownMailbox": own,
        "choices": await _choices(task, subject.object_ids),
        "suppressed": any(suppressed.covers(entry["key"], entry["properties"]) for entry in sources),
    }


async def _photos(task: Task) -> list[dict[str, str]]:
    """The photos kept of the person, each as JPEG in base64."""
    found: list[dict[str, str]] = []
    async for source, photos in photos_of(task.context, task.keys, task.tenant):
        for key in task.request.subject.meant:
            found += [{"source": source, "jpeg": b64encode(photo).decode()} for photo in await photos.of(key)]
    return found


async def _events(task: Task) -> list[dict[str, Any]]:
    """The events that name the person, or are from their calendar: without the names of others."""
    context, tenant = task.context, task.tenant
    hashes = hashes_of(await known_as(task), task.keys)
    sources = await sources_of(context, tenant)
    return [
        {"source": source, "key": key, "as": [role for role, _, _ in grounds], **{name: event[name] for name in _OF_EVENTS}}
        async for source, key, event, grounds in events_naming(context, task.keys, tenant, sources, hashes)
    ]


async def _own(task: Task, sync: str, mailbox: str) -> list[dict[str, Any]]:
    replica = await load_replica(task.context.tables, task.tenant, sync, mailbox)
    if replica is None:
        return []
    ledger = await LedgerStore(task.context.tables, task.keys.sealer, task.tenant, sync).open(mailbox)
    refusals = await RefusalStore(task.context.tables, task.keys.fingerprint_key, task.tenant, sync).load(mailbox)
    state = {name: value for name, value in asdict(replica).items() if name not in ("etag", "owner", "owned_until")}
    return [{"sync": sync, "replica": state, "contacts": ledger.head.count if ledger else None, "refused": len(refusals.hashes)}]


async def _choices(task: Task, users: Collection[str] | None = None) -> list[dict[str, Any]]:
    """What these employees have chosen (with None: all), for lists and for their own cards."""
    context, tenant = task.context, task.tenant
    found: list[dict[str, Any]] = []
    async for sync in syncs_of(context, tenant):
        chosen = await load_choices(context.tables, tenant, sync.sync)
        found += [{"user": user, "sync": sync.sync, "choice": choice} for user, choice in sorted(chosen.items())]
    hidden = await load_hidden(context.tables, tenant)
    found += [{"user": user, "hides": sorted(fields)} for user, fields in sorted(hidden.items())]
    return [choice for choice in found if users is None or choice["user"] in users]


async def _mailboxes(task: Task, after: str) -> AsyncIterator[Unit]:
    """Counted in steps: in a large tenant it takes several deliveries."""
    counts = task.request.counts
    sync_after, _, mailbox_after = after.partition("|")
    async for sync in syncs_of(task.context, task.tenant):
        if sync.sync < sync_after or (sync.sync == sync_after and mailbox_after == _ALL):
            continue
        counted = f"heldIn:{sync.sync}"
        ledgers = LedgerStore(task.context.tables, task.keys.sealer, task.tenant, sync.sync)
        looked = 0
        async for replica in all_replicas(task.context.tables, task.tenant, sync.sync):
            if sync.sync == sync_after and replica.mailbox <= mailbox_after:
                continue
            counts[counted] = counts.get(counted, 0) + await _holds(ledgers, replica.mailbox, task.request.subject)
            looked += 1
            if looked % _MAILBOXES == 0:
                yield Unit("mailboxes.jsonl", f"{sync.sync}|{replica.mailbox}", b"")
        held = {"sync": sync.sync, "name": sync.definition.name, "mailboxesThatHoldThem": counts.pop(counted, 0)}
        yield Unit("mailboxes.jsonl", f"{sync.sync}|{_ALL}", _lines([held]))


async def _holds(ledgers: LedgerStore, mailbox: str, subject: Subject) -> bool:
    ledger = await ledgers.open(mailbox, along=True)
    if ledger is None:
        return False
    try:
        await ledgers.load(mailbox, ledger)
    except LostPagesError:
        return False
    return any(concerns(subject.keys, key) for key in ledger.everything())


async def _runs(task: Task, after: str) -> AsyncIterator[Unit]:
    theirs = set(task.request.subject.object_ids)
    if not theirs:
        return
    async for run in newest_runs(task.context.tables, task.tenant):
        if run.run > after:
            chunks = [chunk async for chunk in all_chunks(task.context.tables, run)]
            results = [result for chunk in chunks for result in chunk.results if result.mailbox in theirs]
            yield Unit("runs.jsonl", run.run, _lines({"run": run.run, **asdict(result)} for result in results))


async def _acts(task: Task, after: str) -> AsyncIterator[Unit]:
    if after:
        return
    audit_key = await task.context.keyring.audit_key(task.tenant)
    for object_id in task.request.subject.object_ids:
        tag = actor_tag(audit_key, Actor("user", object_id, task.tenant))
        async for entity in entries_by(task.context.tables, task.tenant, tag):
            yield Unit("audit.jsonl", "", _lines([{"at": entity.values["At"], "action": entity.values["Action"]}]))


async def _tenant(task: Task, after: str) -> AsyncIterator[Unit]:
    if after:
        return
    entity = await task.context.tables.get(TENANTS, task.tenant, "tenant")
    suppressed = task.context.tables.query(SUPPRESSIONS, task.tenant, select=("Kind",))
    settings = {
        "tenant": task.tenant,
        "settings": orjson.loads(str(entity.values["Settings"])) if entity is not None else None,
        "syncs": [
            {"sync": sync.sync, "definition": sync.definition.model_dump(mode="json")}
            async for sync in syncs_of(task.context, task.tenant)
        ],
        "suppressedIdentifiers": len([entity.row async for entity in suppressed]),
    }
    yield Unit("tenant.json", _ALL, orjson.dumps(settings, option=orjson.OPT_INDENT_2))


async def _everybodys_choices(task: Task, after: str) -> AsyncIterator[Unit]:
    if not after:
        yield Unit("choices.jsonl", _ALL, _lines(await _choices(task)))


async def _objects(task: Task, after: str) -> AsyncIterator[Unit]:
    """Page by page. An object keeps the number of its page, whichever reading that is of."""
    source_after, _, page_after = after.rpartition("|")
    for source in await sources_of(task.context, task.tenant):
        if source.startswith(PHOTOS) or source < source_after:
            continue
        store = SourceStore(task.context.tables, task.keys, task.tenant, source)
        number = int(page_after) + 1 if source == source_after else 0
        head, tries = await store.head(), 0
        while head is not None and number < len(head.pages):
            try:
                page = await store.page(head, number)
            except LostPagesError:
                fresh, tries = await store.head(), tries + 1
                if tries == _TRIES:
                    break  # what cannot be read is as good as gone
                if fresh is not None and len(fresh.pages) != len(head.pages):
                    raise
                head = fresh
                continue
            objects = (
                {"source": source, "key": source_key(source, key, value), "properties": value} for key, value in page.items()
            )
            yield Unit("sources.jsonl", f"{source}|{number:05d}", _lines(objects))
            number += 1


async def _everybodys_photos(task: Task, after: str) -> AsyncIterator[Unit]:
    source_after, _, place_after = after.partition("|")
    async for source, photos in photos_of(task.context, task.keys, task.tenant):
        if source < source_after:
            continue
        async for place in photos.places():
            if source == source_after and place <= place_after:
                continue
            jpeg = await photos.photo(place)
            if jpeg is not None:
                held = {"source": source, "key": key_at(place), "jpeg": b64encode(jpeg).decode()}
                yield Unit("photos.jsonl", f"{source}|{place}", _lines([held]))


async def _contacts(task: Task, after: str) -> AsyncIterator[Unit]:
    async for sync in syncs_of(task.context, task.tenant):
        store = SnapshotStore(task.context.tables, task.keys.sealer, task.tenant, sync.sync)
        for version, head in enumerate((await store.head(), await store.previous())):
            for number in range(len(head.digests) if head is not None else 0):
                place = f"{sync.sync}|{version}|{number:05d}"
                if head is None or _in_order(place) <= _in_order(after):
                    continue
                try:
                    page = await store.page(head, number)
                except LostPagesError:
                    break
                yield Unit("contacts.jsonl", place, _lines(_item(sync.sync, item) for item in page.values()))


def _item(sync: str, item: Item) -> dict[str, Any]:
    return {"sync": sync, "key": item.key, "contact": orjson.loads(item.body)}


async def _replicas(task: Task, after: str) -> AsyncIterator[Unit]:
    async for sync in syncs_of(task.context, task.tenant):
        refused = {row.row async for row in task.context.tables.query(REFUSALS, partition(task.tenant, sync.sync), select=())}
        waiting: list[dict[str, Any]] = []
        place = ""
        async for replica in all_replicas(task.context.tables, task.tenant, sync.sync):
            place = f"{sync.sync}|{replica.mailbox}"
            if _in_order(place) > _in_order(after):
                waiting.append({"sync": sync.sync, **asdict(replica), "refuses": replica.mailbox in refused})
            if len(waiting) == _ROWS:
                yield Unit("replicas.jsonl", place, _lines(waiting))
                waiting = []
        if waiting:
            yield Unit("replicas.jsonl", place, _lines(waiting))


async def _all_runs(task: Task, after: str) -> AsyncIterator[Unit]:
    async for run in newest_runs(task.context.tables, task.tenant):
        if run.run > after:
            results = [asdict(result) async for chunk in all_chunks(task.context.tables, run) for result in chunk.results]
            yield Unit("runs.jsonl", run.run, _lines([{**asdict(run), "mailboxes": results}]))


async def _requests(task: Task, after: str) -> AsyncIterator[Unit]:
    if not after:
        requests = [asdict(request) async for request in newest_requests(task.context, task.tenant)]
        yield Unit("requests.jsonl", _ALL, _lines(requests))


async def _trail(task: Task, after: str) -> AsyncIterator[Unit]:
    waiting: list[bytes] = []
    async for line in audit_lines(task.context, task.tenant, after=int(after) if after else None):
        waiting.append(line)
        if len(waiting) == _ROWS:
            yield Unit("audit.jsonl", str(orjson.loads(line)["sequence"]), b"".join(waiting))
            waiting = []
    yield Unit("audit.jsonl", "", b"".join(waiting))


def _in_order(place: str) -> list[str]:
    return place.split("|")


def _lines(entries: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(entry) + b"\n" for entry in entries)
