"""Privacy requests: what somebody asked for on a person's behalf, how far it has got and when it is due.

Who is meant stands sealed in the request's row, and only as long as it is needed: a finished erasure keeps counts and the place
of its receipt. Every change is a conditional write.
"""

from __future__ import annotations

import calendar
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from gdpr.audit_chain import Actor
from sync_core.engine.context import Context
from sync_core.errors import InputError, LostPagesError, NotFoundError
from sync_core.ports import Entity, Insert, Replace, Row, Sealer
from sync_core.state.names import REQUESTS
from sync_core.state.runs import new_run_id
from sync_core.state.syncs import optional_time
from sync_core.state.tenants import load_tenant
from sync_core.suppression import by_key, by_mail, by_phone

MOST_IDENTIFIERS = 20
WARN_BEFORE = timedelta(days=7)
_EXTENSION_MONTHS = 2
_SEALED = "Sealed"


class RequestKind(StrEnum):
    """What is asked for (GDPR, articles 15 to 21), or the end of a tenant's contract."""

    EXPORT = "export"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    RECTIFICATION = "rectification"
    TENANT_EXPORT = "tenant_export"


class RequestState(StrEnum):
    """Where a request stands. The last three are final."""

    RECEIVED = "received"  # a compliance officer has to look at it
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    LIFTED = "lifted"  # was done, and the suppression has been taken back

    @property
    def final(self) -> bool:
        """True when nothing more happens by itself."""
        return self not in (RequestState.RECEIVED, RequestState.RUNNING)


@dataclass(slots=True)
class Subject:
    """Who is meant: identifiers as they were given, and, once confirmed, the keys and mailboxes found under them."""

    identifiers: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    busy: list[tuple[str, str]] = field(default_factory=list)  # replicas (sync, mailbox) to come back to

    @property
    def meant(self) -> list[str]:
        """The keys that were confirmed; where nobody was known, those that the given object ids would have."""
        return self.keys or [name.partition(":")[2] for name in self.identifiers if name.startswith(by_key(""))]

    @property
    def object_ids(self) -> list[str]:
        """The object ids among the keys: perhaps those of mailboxes."""
        return [key.partition(":")[2] for key in self.meant if key.startswith("u:")]


@dataclass(frozen=True, slots=True)
class ExportPart:
    """A stored part of an export: its file's name, of how many sealed frames it is, its size in bytes, the files in it."""

    name: str
    frames: int
    size: int
    files: list[str]


@dataclass(slots=True)
class Request:
    """A request as stored. `step` and `cursor` say how far it has got, `counts` what was done, by store."""

    tenant: str
    request: str
    kind: RequestKind
    requested_at: datetime
    due_at: datetime
    by: Actor
    subject: Subject
    state: RequestState = RequestState.RECEIVED
    confirmed_by: Actor | None = None
    reason: str = ""
    extended: bool = False
    warned: bool = False
    step: int = 0
    cursor: str = ""
    rounds: int = 0
    epoch: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    receipt: int = 0
    receipt_hash: str = ""
    parts: list[ExportPart] = field(default_factory=list)
    expires_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    etag: str = ""

    def count(self, name: str, more: int = 1) -> None:
        """Add to what was done."""
        if more:
            self.counts[name] = self.counts.get(name, 0) + more


def identifiers_of(*, object_ids: tuple[str, ...] = (), emails: tuple[str, ...] = (), phones: tuple[str, ...] = ()) -> list[str]:
    """Identifiers from what a caller names a person by. Raises InputError when there is none, or too many."""
    found = [by_key(f"{kind}:{object_id}") for object_id in object_ids for kind in ("u", "o")]
    found += [*map(by_mail, emails), *map(by_phone, phones)]
    if not found:
        raise InputError("identifiers", "name the person by an object id, an e-mail address or a phone number")
    if len(object_ids) + len(emails) + len(phones) > MOST_IDENTIFIERS:
        raise InputError("identifiers", f"must not be more than {MOST_IDENTIFIERS}")
    if any(len(number) < len("phone:") + 6 for number in map(by_phone, phones)):
        raise InputError("phones", "must have at least six digits")
    return list(dict.fromkeys(found))


async def make_request(context: Context, tenant: str, kind: RequestKind, identifiers: list[str], *, by: Actor) -> Request:
    """Store a request, due in a month."""
    now = context.now()
    request = Request(tenant, new_run_id(now), kind, now, months_after(now, 1), by, Subject(identifiers))
    sealer = (await context.keyring.keys(tenant)).sealer
    (request.etag,) = await context.tables.commit(REQUESTS, tenant, [Insert(request.request, _encode(request, sealer))])
    return request


async def load_request(context: Context, tenant: str, request: str) -> Request:
    """The request. Raises NotFoundError."""
    entity = await context.tables.get(REQUESTS, tenant, request)
    if entity is None:
        raise NotFoundError("this request does not exist")
    return _decode(entity, (await context.keyring.keys(tenant)).sealer)


async def save_request(context: Context, request: Request) -> None:
    """Write a changed request back. Raises ConflictError when somebody else changed it first."""
    sealer = (await context.keyring.keys(request.tenant)).sealer
    write = Replace(request.request, _encode(request, sealer), request.etag)
    (request.etag,) = await context.tables.commit(REQUESTS, request.tenant, [write])


async def newest_requests(context: Context, tenant: str) -> AsyncIterator[Request]:
    """A tenant's requests, the newest first."""
    sealer = (await context.keyring.keys(tenant)).sealer
    async for entity in context.tables.query(REQUESTS, tenant):
        yield _decode(entity, sealer)


async def confirm(context: Context, tenant: str, request_id: str, *, by: Actor, keys: list[str]) -> Request:
    """Let a request begin, for the people under these keys (of those that were found). Repeatable.

    Raises NotFoundError, or InputError when it is not waiting, when there is nothing that could be done by us, or when the tenant
    wants four eyes and they are not.
    """
    request = await load_request(context, tenant, request_id)
    if request.state is RequestState.RUNNING and request.subject.keys == sorted(keys):
        return request
    if request.state is not RequestState.RECEIVED:
        raise InputError("request", f"is {request.state}: only one that waits can be confirmed")
    if request.kind is RequestKind.RECTIFICATION:
        raise InputError(
            "request", "what is wrong is corrected in the directory, and arrives with the next run: finish or refuse it"
        )
    if (by == request.by or by.kind != "user") and (await load_tenant(context.tables, tenant)).settings.four_eyes:
        raise InputError("request", "must be confirmed by another person than made it: this tenant wants four eyes")
    request.state, request.confirmed_by, request.started_at = RequestState.RUNNING, by, context.now()
    request.subject.keys = sorted(keys)
    await save_request(context, request)
    return request


async def refuse(context: Context, tenant: str, request_id: str, *, by: Actor, reason: str) -> Request:
    """Refuse a request that waits, with the reason that the person is told. Who is meant is forgotten."""
    request = await load_request(context, tenant, request_id)
    if request.state is not RequestState.RECEIVED:
        raise InputError("request", f"is {request.state}: only one that waits can be refused")
    if not reason.strip():
        raise InputError("reason", "must say why: the person has a right to know (GDPR, article 12(4))")
    finish(request, RequestState.REFUSED, context.now())
    request.reason, request.confirmed_by = reason.strip()[:2000], by
    await save_request(context, request)
    return request


async def finish_by_hand(context: Context, tenant: str, request_id: str, *, by: Actor) -> Request:
    """Note that a rectification was made in the directory."""
    request = await load_request(context, tenant, request_id)
    if request.kind is not RequestKind.RECTIFICATION or request.state is not RequestState.RECEIVED:
        raise InputError("request", "only a rectification that waits is finished by hand")
    finish(request, RequestState.DONE, context.now())
    request.confirmed_by = by
    await save_request(context, request)
    return request


async def extend(context: Context, tenant: str, request_id: str, *, reason: str) -> Request:
    """Extend the time, once, by two further months. Raises InputError when it was extended before, is due or is over."""
    request = await load_request(context, tenant, request_id)
    if request.state.final or request.extended or context.now() > request.due_at:
        raise InputError("request", "can be extended once, before it is due (GDPR, article 12(3))")
    if not reason.strip():
        raise InputError("reason", "must say why: the person has a right to know (GDPR, article 12(3))")
    request.due_at = months_after(request.requested_at, 1 + _EXTENSION_MONTHS)
    request.extended, request.warned, request.reason = True, False, reason.strip()[:2000]
    await save_request(context, request)
    return request


def finish(request: Request, state: RequestState, now: datetime) -> None:
    """End a request; whom it was about is forgotten, of an export when it expires."""
    request.state, request.ended_at, request.cursor = state, now, ""
    if request.kind is not RequestKind.EXPORT:  # by whom it is about, an erasure finds it
        request.subject = Subject()


def months_after(start: datetime, months: int) -> datetime:
    """The same day so many months later, or the last one of that month (Regulation 1182/71, article 3)."""
    years, month = divmod(start.month - 1 + months, 12)
    last = calendar.monthrange(start.year + years, month + 1)[1]
    return start.replace(year=start.year + years, month=month + 1, day=min(start.day, last))


def place_of(tenant: str, request: str) -> str:
    """What the sealed part of a request is bound to."""
    return f"{REQUESTS}|{tenant}|{request}|{_SEALED}"


def _encode(request: Request, sealer: Sealer) -> Row:
    personal = {
        "by": asdict(request.by),
        "confirmedBy": asdict(request.confirmed_by) if request.confirmed_by is not None else None,
        "reason": request.reason,
        "cursor": request.cursor,
        "subject": asdict(request.subject),
    }
    return {
        "Kind": str(request.kind),
        "State": str(request.state),
        "RequestedAt": request.requested_at,
        "DueAt": request.due_at,
        "Extended": request.extended,
        "Warned": request.warned,
        "Step": request.step,
        "Rounds": request.rounds,
        "Epoch": request.epoch,
        "Counts": orjson.dumps(request.counts).decode(),
        "Receipt": request.receipt,
        "ReceiptHash": request.receipt_hash,
        "Parts": orjson.dumps(request.parts).decode(),
        "ExpiresAt": request.expires_at,
        "StartedAt": request.started_at,
        "EndedAt": request.ended_at,
        _SEALED: sealer.seal(orjson.dumps(personal), place=place_of(request.tenant, request.request)),
    }


def _decode(entity: Entity, sealer: Sealer) -> Request:
    values = entity.values
    personal: Mapping[str, Any] = {}
    sealed = values.get(_SEALED)
    if isinstance(sealed, bytes):
        try:
            personal = orjson.loads(sealer.open(sealed, place=place_of(entity.partition, entity.row)))
        except LostPagesError:
            raise NotFoundError("this request cannot be read: its key is destroyed, or it was damaged") from None
    requested, due = values["RequestedAt"], values["DueAt"]
    assert isinstance(requested, datetime)
    assert isinstance(due, datetime)
    confirmed = personal.get("confirmedBy")
    subject = personal["subject"]
    return Request(
        tenant=entity.partition,
        request=entity.row,
        kind=RequestKind(str(values["Kind"])),
        requested_at=requested,
        due_at=due,
        by=Actor(**personal["by"]),
        subject=Subject(subject["identifiers"], subject["keys"], [(sync, mailbox) for sync, mailbox in subject["busy"]]),
        state=RequestState(str(values["State"])),
        confirmed_by=Actor(**confirmed) if confirmed else None,
        reason=personal["reason"],
        extended=bool(values["Extended"]),
        warned=bool(values["Warned"]),
        step=int(str(values["Step"])),
        cursor=personal["cursor"],
        rounds=int(str(values["Rounds"])),
        epoch=int(str(values["Epoch"])),
        counts=orjson.loads(str(values["Counts"])),
        receipt=int(str(values["Receipt"])),
        receipt_hash=str(values["ReceiptHash"]),
        parts=[ExportPart(**part) for part in orjson.loads(str(values["Parts"]))],
        expires_at=optional_time(values.get("ExpiresAt")),
        started_at=optional_time(values.get("StartedAt")),
        ended_at=optional_time(values.get("EndedAt")),
        etag=entity.etag,
    )
