"""The steps of an erasure, a restriction and an objection over what is stored. Each may die anywhere and be repeated.

First comes the suppression: from its epoch on no run brings the person back. The mailboxes have a module of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from gdpr.audit_chain import SYSTEM, Actor
from gdpr.audit_trail import record, shred_actor
from gdpr.named_events import NAMED_KEY, events_naming, grounds_in, names_still, suppressed_by
from gdpr.requests import Request, RequestKind, save_request
from gdpr.subject import Match, concerns, find_people, person_in, photos_of, sources_of, stored_objects, syncs_of
from sync_core.engine.context import Context
from sync_core.engine.work import OutOfTimeError
from sync_core.errors import LostPagesError, NotFoundError
from sync_core.fingerprints import Fingerprinter
from sync_core.kinds import CONTACTS, EVENTS, Kind
from sync_core.model import Item, RunState
from sync_core.named import NAMED, item_without, owned_by
from sync_core.policies import Policies
from sync_core.ports import TenantKeys
from sync_core.state.choices import forget_choices
from sync_core.state.names import REFUSALS, partition
from sync_core.state.photos import PHOTOS
from sync_core.state.refusals import RefusalStore
from sync_core.state.runs import all_chunks, load_run, newest_runs, save_chunk
from sync_core.state.snapshots import SnapshotStore, kept_items
from sync_core.state.sources import CALENDAR, OF_TARGETS, USERS, SourceHead, SourceStore, owner_of, source_key
from sync_core.state.suppressions import Kind as SuppressionKind
from sync_core.state.suppressions import load_suppressions, suppress
from sync_core.suppression import addresses, by_key, by_mail, identifiers

_PLANNING = timedelta(minutes=30)
"""Longer no run plans: the platform ends a worker's call before."""

OWN_ACTS = frozenset({"choice.made", "fields.hidden", "own_request.made", "own_export.fetched"})
"""What employees do for themselves, without any role: it concerns nobody else, so nobody needs to prove who did it."""

KINDS = {
    RequestKind.ERASURE: SuppressionKind.ERASURE,
    RequestKind.RESTRICTION: SuppressionKind.RESTRICTION,
    RequestKind.OBJECTION: SuppressionKind.OBJECTION,
}


class WaitError(Exception):
    """Something else has to end first: go on in so many seconds."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self.delay = delay


class AgainError(Exception):
    """What was erased is there again, written by who began before: go back to the first step after the suppression."""


@dataclass(slots=True)
class Task:
    """One delivery's work on a request."""

    context: Context
    keys: TenantKeys
    request: Request
    deadline: datetime
    hashes: set[str] = field(default_factory=set)  # those that are suppressed on account of the request
    events: dict[str, dict[str, Item | None]] = field(default_factory=dict)  # by sync: see `erasure_events`

    async def save(self) -> None:
        """Store how far the request has got. Raises ConflictError when another delivery works on it."""
        await save_request(self.context, self.request)

    def check_time(self) -> None:
        """Raises OutOfTimeError when this delivery has worked long enough."""
        if self.context.now() >= self.deadline:
            raise OutOfTimeError

    @property
    def tenant(self) -> str:
        """The tenant."""
        return self.request.tenant


async def suppress_person(task: Task) -> None:
    """Suppress the person by all that identifies nobody else: who was found with them and is not meant must stay."""
    context, request = task.context, task.request
    meant = await _meant(task)
    theirs = _addresses_of(meant)
    found = {*request.subject.identifiers, *theirs}
    if request.subject.keys:
        found -= await _carried_by_others(task, found)
    # of whom events name, an officer has said that it is the same person
    found |= {by_mail(str(match.person["mail"])) for key, match in meant.items() if key.startswith(NAMED_KEY) and match.person}
    found |= {by_key(key) for key in request.subject.keys}
    request.epoch = await suppress(
        context.tables,
        task.keys.suppression_key,
        task.tenant,
        request.request,
        found,
        kind=KINDS[request.kind],
        now=context.now(),
    )
    request.counts["suppressedIdentifiers"] = len(found)
    # whatever was asked for until now may not know of it
    request.started_at = context.now()


async def known_as(task: Task) -> set[str]:
    """All that identifies the person, addresses that were found included."""
    subject = task.request.subject
    return {*subject.identifiers, *map(by_key, subject.keys), *_addresses_of(await _meant(task))}


def _addresses_of(people: Mapping[str, Match]) -> set[str]:
    return {by_mail(address) for match in people.values() for address in addresses(match.person)}


async def _meant(task: Task) -> dict[str, Match]:
    """The people who were confirmed, as far as they are known."""
    subject = task.request.subject
    found = await find_people(task.context, task.tenant, [*subject.identifiers, *map(by_key, subject.keys)])
    return {key: match for key, match in found.items() if concerns(subject.keys, key)}


async def _carried_by_others(task: Task, found: set[str]) -> set[str]:
    meant = task.request.subject.keys
    shared: set[str] = set()
    async for source, stored, value in stored_objects(task.context, task.keys, task.tenant):
        key = source_key(source, stored, value)
        if key not in meant:
            shared |= found.intersection(identifiers(key, value))
    async for sync in syncs_of(task.context, task.tenant):
        async for item in kept_items(SnapshotStore(task.context.tables, task.keys.sealer, task.tenant, sync.sync)):
            if not concerns(meant, item.key):
                shared |= found.intersection(identifiers(item.key, person_in(item)))
    return shared


async def clean_sources(task: Task) -> None:
    """Write every page of every source anew without the person: the store leaves out who was erased, in events their names."""
    task.hashes = await suppressed_by(task.context, task.tenant, task.request.request)
    await clean_photos(task)
    for source in await sources_of(task.context, task.tenant):
        task.check_time()
        if source.startswith(PHOTOS):
            continue
        store = SourceStore(task.context.tables, task.keys, task.tenant, source)
        head = await store.head()
        try:
            if head is not None:
                await _clean_source(task, source, store, head)
                continue
        except LostPagesError:  # what cannot be opened is of use to nobody
            pass
        await store.discard()
        await store.photos.remove([place async for place in store.photos.places()])


async def _clean_source(task: Task, source: str, store: SourceStore, head: SourceHead) -> None:
    generation = token_hex(8)
    fresh = head
    for number in range(len(head.pages)):
        content = await store.page(head, number)
        meant = [stored for stored, value in content.items() if _is_meant(task, source, stored, value)]
        if meant:
            task.request.count("events", len(meant) if source.startswith(CALENDAR) else 0)
            task.request.count("photos", await store.photos.forget(meant))  # before nothing tells of them any more
            written = await store.write_page(generation, number, content, read_at=head.full_at)
            fresh = replace(fresh, pages=(*fresh.pages[:number], written, *fresh.pages[number + 1 :]))
            fresh = replace(fresh, count=fresh.count - len(content) + len(await store.page(fresh, number)))
            task.request.count("sourcePages")
    # also where nobody was found: pages that a dead worker has left go with it, and who is writing now starts anew
    await store.flip(fresh, head.etag)


async def clean_photos(task: Task) -> None:
    """Forget every photo of the person."""
    async for _, photos in photos_of(task.context, task.keys, task.tenant):
        task.check_time()
        task.request.count("photos", await photos.forget(task.request.subject.meant))


def _is_meant(task: Task, source: str, stored: str, value: dict[str, Any]) -> bool:
    if source.startswith(CALENDAR):
        owner = owned_by(owner_of(source), task.keys.suppression_key)
        return bool(grounds_in((*value.get(NAMED, ()), owner), task.hashes))
    key = source_key(source, stored, value)
    if source == USERS and value.keys() <= OF_TARGETS:
        return False
    wanted = {*task.request.subject.identifiers, *(by_key(one) for one in task.request.subject.keys)}
    return not wanted.isdisjoint(identifiers(key, value))


async def clean_snapshots(task: Task) -> None:
    """Take the person out of every snapshot of people, so that neither undo nor a paused sync brings them back."""
    task.request.count("snapshotItems", await strip_suppressed(task.context, task.keys, task.tenant, (CONTACTS,)))


async def clean_snapshots_of_events(task: Task) -> None:
    """Take the person's name out of every snapshot of events, once mailboxes have been rewritten by them."""
    task.request.count("snapshotItems", await strip_suppressed(task.context, task.keys, task.tenant, (EVENTS,)))


async def strip_suppressed(context: Context, keys: TenantKeys, tenant: str, kinds: Collection[Kind] = (CONTACTS, EVENTS)) -> int:
    """Take everybody who is suppressed out of the snapshots that are kept, which then count as of now; returns how many items."""
    suppressed = await load_suppressions(context.tables, keys.suppression_key, tenant)
    fingerprinter = Fingerprinter(keys.fingerprint_key, keys.fingerprint_key_id, kind=EVENTS)

    def left_of_person(item: Item) -> Item | None:
        return None if suppressed.covers(item.key, person_in(item)) else item

    def left_of_event(item: Item) -> Item | None:
        return item_without(item, suppressed.holds, fingerprinter)

    stripped = 0
    async for sync in syncs_of(context, tenant):
        if sync.definition.kind in kinds:
            store = SnapshotStore(context.tables, keys.sealer, tenant, sync.sync)
            stripped += await store.strip(
                left_of_event if sync.definition.kind is EVENTS else left_of_person,
                epoch=suppressed.epoch,
                policies=Policies.of(sync.definition).name,
            )
    return stripped


async def clean_refusals(task: Task) -> None:
    """Forget that somebody did not want the person on the phone."""
    async for sync in syncs_of(task.context, task.tenant):
        task.check_time()
        store = RefusalStore(task.context.tables, task.keys.fingerprint_key, task.tenant, sync.sync)
        rows = task.context.tables.query(REFUSALS, partition(task.tenant, sync.sync), select=())
        for mailbox in [entity.row async for entity in rows]:
            refusals = await store.load(mailbox)
            refusals.discard(task.request.subject.meant)
            if refusals.changed:
                await store.save(mailbox, refusals)
                task.request.count("refusals")


async def clean_choices(task: Task) -> None:
    """Forget what the person chose for the own mailbox and the own card."""
    syncs = [sync.sync async for sync in syncs_of(task.context, task.tenant)]
    for user in task.request.subject.object_ids:
        task.request.count("choices", await forget_choices(task.context.tables, task.tenant, syncs, user))


async def clean_trail(task: Task) -> None:
    """Shred the person as actor of what they did for themselves. What they did in a role stays provable."""
    for user in task.request.subject.object_ids:
        actor = Actor("user", user, task.tenant)
        task.request.count("auditActors", await shred_actor(task.context, task.tenant, actor, only=OWN_ACTS))


async def clean_results(task: Task) -> None:
    """Take the results of the person's own mailbox out of runs that are over."""
    theirs = set(task.request.subject.object_ids)
    async for run in newest_runs(task.context.tables, task.tenant):
        if not theirs or not run.state.final:
            continue
        task.check_time()
        async for chunk in all_chunks(task.context.tables, run):
            results = [result for result in chunk.results if result.mailbox not in theirs]
            replicas = [replica for replica in chunk.replicas if replica.mailbox not in theirs]
            if len(results) < len(chunk.results) or len(replicas) < len(chunk.replicas):
                task.request.count("results", len(chunk.results) - len(results))
                chunk.results, chunk.replicas = results, replicas
                for mailbox in theirs:
                    chunk.carried.pop(mailbox, None)
                await save_chunk(task.context.tables, run, chunk)


async def verify(task: Task) -> None:
    """Look again, once no run plans any more that may have read before the suppression. Raises WaitError or AgainError."""
    request = task.request
    assert request.started_at is not None
    if task.context.now() - request.started_at < _PLANNING:
        async for sync in syncs_of(task.context, task.tenant):
            if sync.active_run and await _plans_since_before(task, sync.active_run, request.started_at):
                raise WaitError(30)
    async for sync in syncs_of(task.context, task.tenant):
        store = SnapshotStore(task.context.tables, task.keys.sealer, task.tenant, sync.sync)
        for head in (await store.head(), await store.previous()):
            if head is not None and head.epoch < request.epoch:
                raise AgainError
    wanted = [*request.subject.identifiers, *(by_key(key) for key in request.subject.keys)]
    left = await find_people(task.context, task.tenant, wanted)
    if request.kind is not RequestKind.ERASURE:
        left = {key: match for key, match in left.items() if any(place.startswith("snapshot/") for place in match.places)}
    if any(concerns(request.subject.keys or list(left), key) for key in left) or await _has_photo(task):
        raise AgainError
    if await _is_named(task):
        raise AgainError
    request.counts["foundWhenLookedAgain"] = len(left)


async def _is_named(task: Task) -> bool:
    context, tenant = task.context, task.tenant
    hashes = await suppressed_by(context, tenant, task.request.request)
    if task.request.kind is RequestKind.ERASURE:
        async for _ in events_naming(context, task.keys, tenant, await sources_of(context, tenant), hashes):
            return True
    async for sync in syncs_of(context, tenant):
        if await names_still(SnapshotStore(context.tables, task.keys.sealer, tenant, sync.sync), hashes):
            return True
    return False


async def _has_photo(task: Task) -> bool:
    if task.request.kind is not RequestKind.ERASURE:
        return False
    keys = task.request.subject.meant
    return any([await photos.tells_of(keys) async for _, photos in photos_of(task.context, task.keys, task.tenant)])


async def _plans_since_before(task: Task, run_id: str, when: datetime) -> bool:
    try:
        run = await load_run(task.context.tables, task.tenant, run_id)
    except NotFoundError:
        return False
    return run.state is RunState.QUEUED and run.requested_at <= when


async def write_receipt(task: Task) -> None:
    """Chain a receipt into the audit trail: counts, and nothing personal."""
    request = task.request
    details = {
        "kind": str(request.kind),
        "requestedAt": request.requested_at.isoformat(),
        "startedAt": request.started_at.isoformat() if request.started_at is not None else None,
        "counts": dict(sorted(request.counts.items())),
        "remains": REMAINS if request.kind is RequestKind.ERASURE else (),
    }
    link = await record(
        task.context,
        task.tenant,
        actor=SYSTEM,
        action=f"{request.kind}.done",
        subject=f"request/{request.request}",
        after=details,
        once=f"receipt|{request.request}",
    )
    request.receipt, request.receipt_hash = link.sequence, link.hash


REMAINS = (
    "the keyed hashes of the suppression, until it is lifted",
    "object id and account state of a user whose own mailbox is served",
    "in mailboxes under a hold or a retention policy: what Microsoft 365 keeps there by the customer's rules",
    "in Deleted Items: copies that users themselves had deleted before; Graph shows apps no contacts there",
    "in mailboxes: contacts that were left to their users as their own, and what users have copied",
    "in the audit trail: by object id, who did what in an app role, until the trail's retention ends or an officer shreds it",
    "in phones: what they show until they have synchronised with the mailbox the next time",
)
"""What an erasure leaves, and says so."""
