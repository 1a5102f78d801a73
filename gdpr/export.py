"""Exports: everything held on a person, or on a tenant, as a ZIP in private storage that can be fetched for seven days."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import orjson

from gdpr.archive import Entry, Frames, zipped
from gdpr.audit_chain import Actor, actor_tag
from gdpr.audit_trail import export as audit_lines
from gdpr.audit_trail import stored_entries
from gdpr.cards import as_csv, as_vcards
from gdpr.documents import manifest
from gdpr.erasure import Task, WaitError, known_as
from gdpr.named_events import events_naming, hashes_of
from gdpr.requests import Request, RequestKind, RequestState, Subject, load_request, newest_requests, save_request
from gdpr.subject import concerns, kept_items, person_in, photo_store, sources_of, stored_objects, syncs_of
from sync_core.engine.context import Context
from sync_core.errors import InputError, LostPagesError, NotFoundError
from sync_core.state.choices import load_choices, load_hidden
from sync_core.state.ledgers import LedgerStore
from sync_core.state.names import REFUSALS, SUPPRESSIONS, TENANTS, partition
from sync_core.state.photos import PHOTOS
from sync_core.state.refusals import RefusalStore
from sync_core.state.replicas import all_replicas, load_replica
from sync_core.state.runs import all_chunks, newest_runs
from sync_core.state.snapshots import SnapshotStore
from sync_core.state.sources import source_key
from sync_core.state.suppressions import load_suppressions
from sync_core.suppression import by_key, identifiers

KEPT_FOR = timedelta(days=7)

_OF_EVENTS = ("subject", "start", "end", "location")
_EXPORTS = (RequestKind.EXPORT, RequestKind.TENANT_EXPORT)
_EXPORT_DELAY = 10.0

_PERSON_FILES = {
    "person.json": "everything held on the person",
    "contacts.csv": "the person as in address books",
    "contacts.vcf": "the same as vCards",
}


async def build_export(task: Task) -> None:
    """Write the archive of a request, over that of an attempt before."""
    request, context = task.request, task.context
    entries = _of_tenant(task) if request.kind is RequestKind.TENANT_EXPORT else _of_person(task)
    frames = Frames(task.keys.sealer, _place(request))
    await context.blobs.put(_name(request), frames.sealed(zipped(entries, at=context.now())))
    request.frames, request.expires_at = frames.count, context.now() + KEPT_FOR


async def fetch_export(context: Context, tenant: str, request_id: str, *, by: Actor, is_officer: bool) -> AsyncIterator[bytes]:
    """The bytes of a finished export, for who asked for it and for compliance officers. Raises NotFoundError for anybody else."""
    request = await load_request(context, tenant, request_id)
    if not (is_officer or request.by == by) or request.kind not in _EXPORTS:
        raise NotFoundError("this request does not exist")
    if request.state is not RequestState.DONE:
        raise InputError("request", f"is {request.state}: there is nothing to fetch")
    if not request.frames or request.expires_at is None or context.now() >= request.expires_at:
        raise NotFoundError("this export has expired: ask for it again")
    frames = Frames((await context.keyring.keys(tenant)).sealer, _place(request))
    return frames.opened(context.blobs.get(_name(request)), request.frames)


async def discard_exports(context: Context, tenant: str, is_meant: Callable[[Request], bool]) -> int:
    """Delete exports and forget whom they are about; returns how many. Repeatable."""
    discarded = 0
    async for request in newest_requests(context, tenant):
        if request.frames and is_meant(request):
            await context.blobs.delete(_name(request))
            request.frames, request.subject = 0, Subject()
            await save_request(context, request)
            discarded += 1
    return discarded


async def clean_exports(task: Task) -> None:
    """Delete what has been exported of the person, and every export of the whole tenant."""
    subject = task.request.subject

    def holds(request: Request) -> bool:
        return request.kind is RequestKind.TENANT_EXPORT or not _names(subject).isdisjoint(_names(request.subject))

    task.request.count("exports", await discard_exports(task.context, task.tenant, holds))
    async for other in newest_requests(task.context, task.tenant):
        if other.state is RequestState.RUNNING and other.kind in _EXPORTS and holds(other):
            raise WaitError(_EXPORT_DELAY)  # it may have read before the person was erased


def _names(subject: Subject) -> set[str]:
    return {*subject.identifiers, *map(by_key, subject.keys)}


async def expire_exports(context: Context, tenant: str) -> None:
    """Delete what has been there for seven days."""
    now = context.now()
    await discard_exports(context, tenant, lambda request: request.expires_at is None or request.expires_at <= now)


async def _of_person(task: Task) -> AsyncIterator[Entry]:
    held = await held_on(task)
    people = [entry["properties"] for entry in held["sources"]] or [entry["contact"] for entry in held["contacts"]]
    yield "person.json", _once(orjson.dumps(held, option=orjson.OPT_INDENT_2))
    yield "contacts.csv", _once(as_csv(people))
    yield "contacts.vcf", _once(as_vcards(people))
    about = manifest(tenant=task.tenant, about="a person", made_at=task.context.now(), files=_PERSON_FILES)
    yield "manifest.json", _once(orjson.dumps(about, option=orjson.OPT_INDENT_2))


async def held_on(task: Task) -> dict[str, Any]:
    """Everything held on the person of a request, store by store."""
    context, tenant, subject = task.context, task.tenant, task.request.subject
    wanted = _names(subject)
    suppressed = await load_suppressions(context.tables, task.keys.suppression_key, tenant)
    sources: list[dict[str, Any]] = []
    async for source, stored, value in stored_objects(context, task.keys, tenant):
        key = source_key(source, stored, value)
        if not wanted.isdisjoint(identifiers(key, value)):
            sources.append({"source": source, "key": key, "properties": value})
    contacts: list[dict[str, Any]] = []
    mailboxes: list[dict[str, Any]] = []
    own: list[dict[str, Any]] = []
    async for sync in syncs_of(context, tenant):
        ledgers = LedgerStore(context.tables, task.keys.sealer, tenant, sync.sync)
        async for item in kept_items(SnapshotStore(context.tables, task.keys.sealer, tenant, sync.sync)):
            person = person_in(item)
            if not wanted.isdisjoint(identifiers(item.key, person)):
                contacts.append({"sync": sync.sync, "key": item.key, "contact": person})
        holding = 0
        async for replica in all_replicas(context.tables, tenant, sync.sync):
            task.check_time()
            holding += await _holds(ledgers, replica.mailbox, subject)
        mailboxes.append({"sync": sync.sync, "name": sync.definition.name, "mailboxesThatHoldThem": holding})
        for mailbox in subject.object_ids:
            own += await _own(task, sync.sync, mailbox, ledgers)
    return {
        "sources": sources,
        "photos": await _photos(task),
        "contacts": contacts,
        "events": await _events(task),
        "mailboxes": mailboxes,
        "ownMailbox": own,
        "choices": await _choices(task, subject.object_ids),
        "runs": await _runs(task),
        "suppressed": any(suppressed.covers(entry["key"], entry["properties"]) for entry in sources),
        "auditTrail": await _acts(task),
    }


async def _photos(task: Task) -> list[dict[str, str]]:
    """The photos kept of the person, each as JPEG in base64."""
    found: list[dict[str, str]] = []
    for source in await sources_of(task.context, task.tenant):
        if source.startswith(PHOTOS):
            store = photo_store(task.context, task.keys, task.tenant, source)
            for user in task.request.subject.object_ids:
                found += [{"source": source, "jpeg": b64encode(photo).decode()} for photo in await store.of(user)]
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


async def _holds(ledgers: LedgerStore, mailbox: str, subject: Subject) -> bool:
    ledger = await ledgers.open(mailbox, along=True)
    if ledger is None:
        return False
    try:
        await ledgers.load(mailbox, ledger)
    except LostPagesError:
        return False
    return any(concerns(subject.keys, key) for key in ledger.everything())


async def _own(task: Task, sync: str, mailbox: str, ledgers: LedgerStore) -> list[dict[str, Any]]:
    replica = await load_replica(task.context.tables, task.tenant, sync, mailbox)
    if replica is None:
        return []
    ledger = await ledgers.open(mailbox)
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


async def _runs(task: Task) -> list[dict[str, Any]]:
    theirs = set(task.request.subject.object_ids)
    found: list[dict[str, Any]] = []
    async for run in newest_runs(task.context.tables, task.tenant):
        if not theirs:
            break
        task.check_time()
        async for chunk in all_chunks(task.context.tables, run):
            found += [{"run": run.run, **asdict(result)} for result in chunk.results if result.mailbox in theirs]
    return found


async def _acts(task: Task) -> list[dict[str, Any]]:
    audit_key = await task.context.keyring.audit_key(task.tenant)
    tags = {actor_tag(audit_key, Actor("user", object_id, task.tenant)) for object_id in task.request.subject.object_ids}
    return [
        {"at": entity.values["At"], "action": entity.values["Action"]}
        async for entity in stored_entries(task.context.tables, task.tenant)
        if entity.values.get("ActorTag") in tags
    ]


async def _of_tenant(task: Task) -> AsyncIterator[Entry]:
    context, tenant = task.context, task.tenant
    files = {
        "tenant.json": "settings and definitions",
        "sources.jsonl": "every object of every source",
        "contacts.jsonl": "every contact of every snapshot that is kept",
        "replicas.jsonl": "which mailboxes hold something, and in what state",
        "runs.jsonl": "runs and what they did in each mailbox",
        "requests.jsonl": "privacy requests",
        "audit.jsonl": "the audit trail with all that it takes to check it",
    }
    yield "tenant.json", _once(orjson.dumps(await _settings(task), option=orjson.OPT_INDENT_2))
    yield "sources.jsonl", _lines(_all_objects(task))
    yield "contacts.jsonl", _lines(_all_contacts(task))
    yield "replicas.jsonl", _lines(_all_replicas(task))
    yield "runs.jsonl", _lines(_all_runs(task))
    yield "requests.jsonl", _lines(_all_requests(task))
    yield "audit.jsonl", audit_lines(context, tenant)
    about = manifest(tenant=tenant, about="the tenant", made_at=context.now(), files=files)
    yield "manifest.json", _once(orjson.dumps(about, option=orjson.OPT_INDENT_2))


async def _settings(task: Task) -> dict[str, Any]:
    entity = await task.context.tables.get(TENANTS, task.tenant, "tenant")
    suppressed = task.context.tables.query(SUPPRESSIONS, task.tenant, select=("Kind",))
    return {
        "tenant": task.tenant,
        "settings": orjson.loads(str(entity.values["Settings"])) if entity is not None else None,
        "syncs": [
            {"sync": sync.sync, "definition": sync.definition.model_dump(mode="json")}
            async for sync in syncs_of(task.context, task.tenant)
        ],
        "suppressedIdentifiers": len([entity.row async for entity in suppressed]),
    }


async def _all_objects(task: Task) -> AsyncIterator[Mapping[str, Any]]:
    async for source, stored, value in stored_objects(task.context, task.keys, task.tenant):
        yield {"source": source, "key": source_key(source, stored, value), "properties": value}


async def _all_contacts(task: Task) -> AsyncIterator[Mapping[str, Any]]:
    async for sync in syncs_of(task.context, task.tenant):
        async for item in kept_items(SnapshotStore(task.context.tables, task.keys.sealer, task.tenant, sync.sync)):
            yield {"sync": sync.sync, "key": item.key, "contact": orjson.loads(item.body)}


async def _all_replicas(task: Task) -> AsyncIterator[Mapping[str, Any]]:
    async for sync in syncs_of(task.context, task.tenant):
        refused = {row.row async for row in task.context.tables.query(REFUSALS, partition(task.tenant, sync.sync), select=())}
        async for replica in all_replicas(task.context.tables, task.tenant, sync.sync):
            yield {"sync": sync.sync, **asdict(replica), "refuses": replica.mailbox in refused}


async def _all_runs(task: Task) -> AsyncIterator[Mapping[str, Any]]:
    async for run in newest_runs(task.context.tables, task.tenant):
        results = [asdict(result) async for chunk in all_chunks(task.context.tables, run) for result in chunk.results]
        yield {**asdict(run), "mailboxes": results}


async def _all_requests(task: Task) -> AsyncIterator[Mapping[str, Any]]:
    async for request in newest_requests(task.context, task.tenant):
        yield asdict(request)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _lines(entries: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    async for entry in entries:
        yield orjson.dumps(entry) + b"\n"


def _name(request: Request) -> str:
    return f"{request.tenant}/{request.request}.zip.sealed"


def _place(request: Request) -> str:
    return f"exports|{request.tenant}|{request.request}"
