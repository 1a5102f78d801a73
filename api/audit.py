"""The audit trail over HTTP: read, verified, exported."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from api.audits import append_entry
from api.connection import require_own
from api.endpoint import COMPLIANCE, Audit, Call, Endpoints, Listed, Strict
from gdpr import audit_trail
from gdpr.audit_chain import Actor, Link
from gdpr.audit_check import verify
from sync_core.errors import InputError

endpoints = Endpoints("Audit")

_PER_PAGE = 200


class After(Strict):
    """Where a page begins."""

    after: int = Field(default=0, ge=0, le=10**12, description="The `next` of the page before")


class Known(Strict):
    """The newest place that an earlier verdict or export named: it must still be there."""

    sequence: int | None = Field(default=None, ge=1, le=10**12)
    hash: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class EntryShown(BaseModel):
    """One entry. `actor` and `details` are null when they were shredded, or their key is destroyed."""

    sequence: int
    at: datetime
    action: str
    actor: dict[str, str] | None
    details: dict[str, Any] | None
    hash: str


class FaultShown(BaseModel):
    """What is wrong with the entry at a place: changed, missing, moved or forged."""

    sequence: int
    kind: str
    detail: str


class VerdictShown(BaseModel):
    """The outcome of a verification."""

    sound: bool
    first: int
    last: int
    entries: int
    shredded: int
    newest: str | None = Field(description="The hash of the newest entry: keep it, and name it the next time")
    faults: list[FaultShown]


class ActorNamed(Strict):
    """Whose acts are to be told of nobody any more: a person or script by object id."""

    object_id: UUID
    home: UUID | None = Field(default=None, description="The tenant of a partner's person or script; else it is the own one")


class Shredded(BaseModel):
    """In how many entries nobody can tell any more who it was."""

    entries: int


@endpoints.get("audit/entries", roles=COMPLIANCE)
async def list_entries(call: Call, query: After) -> Listed[EntryShown]:
    """Who did what, the oldest first, two hundred at a time. This read is an entry itself."""
    await append_entry(call, "audit.read", before=None, after=None)
    items: list[EntryShown] = []
    async for entry in audit_trail.entries(call.context, call.tenant, after=query.after):
        if len(items) == _PER_PAGE:
            return Listed(items=items, next=str(items[-1].sequence))
        actor = {"kind": entry.actor.kind, "id": entry.actor.id, "home": entry.actor.home} if entry.actor is not None else None
        details = dict(entry.details) if entry.details is not None else None
        items.append(
            EntryShown(sequence=entry.sequence, at=entry.at, action=entry.action, actor=actor, details=details, hash=entry.hash)
        )
    return Listed(items=items)


@endpoints.get("audit/verification", roles=COMPLIANCE)
async def verify_trail(call: Call, query: Known) -> VerdictShown:
    """Read the whole trail and name every entry that was changed, moved or is missing."""
    if (query.sequence is None) != (query.hash is None):
        raise InputError("hash", "name sequence and hash together, or neither")
    known = Link(query.sequence, query.hash) if query.sequence is not None and query.hash is not None else None
    verdict = await verify(call.context, call.tenant, known=known)
    return VerdictShown(
        sound=verdict.sound,
        first=verdict.first,
        last=verdict.last,
        entries=verdict.entries,
        shredded=verdict.shredded,
        newest=verdict.newest.hash if verdict.newest is not None else None,
        faults=[FaultShown(sequence=fault.sequence, kind=fault.kind, detail=fault.detail) for fault in verdict.faults],
    )


@endpoints.get("audit/export", roles=COMPLIANCE, produces="application/jsonl")
async def export_trail(call: Call) -> bytes:
    """The whole trail as lines of JSON that anybody can check without a key; the first one says how."""
    await append_entry(call, "audit.exported", before=None, after=None)
    return b"".join([line async for line in audit_trail.export(call.context, call.tenant)])


@endpoints.post("audit/shred", roles=COMPLIANCE, audits="actor.shredded")
async def shred_actor(call: Call, body: ActorNamed, audit: Audit) -> Shredded:
    """Make it impossible to tell what somebody did. The chain still verifies; nobody takes themselves out of it."""
    require_own(call)
    home = str(body.home or call.tenant)
    if (str(body.object_id), home) == (call.principal.object_id, call.principal.home):
        raise InputError("object_id", "must be somebody else's: nobody takes themselves out of the trail")
    await audit()
    actors = [Actor(kind, str(body.object_id), home) for kind in ("user", "app")]
    return Shredded(entries=sum([await audit_trail.shred_actor(call.context, call.tenant, actor) for actor in actors]))
