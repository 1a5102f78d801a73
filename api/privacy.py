"""Privacy requests: made by compliance officers or by employees for themselves, confirmed and watched by officers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from api.audits import append_entry
from api.endpoint import ADMINS, COMPLIANCE, EVERYONE, Call, Endpoints, Listed, Reply, RunId, Strict
from gdpr import requests, rotation
from gdpr.audit_chain import Actor
from gdpr.privacy_queue import lift_request, start_request
from gdpr.requests import MOST_IDENTIFIERS, Request, RequestKind, RequestState
from gdpr.subject import find_people, shown
from sync_core import messages

endpoints = Endpoints("Privacy")

Email = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^\s@]+@[^\s@]+$")]
Phone = Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=40)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class RequestPath(Strict):
    """Names a request."""

    request: RunId


class NewRequest(Strict):
    """What is asked for, and the person by all that is known: everybody who has one of these is shown before anything happens."""

    kind: RequestKind
    object_ids: list[UUID] = Field(default=[], max_length=MOST_IDENTIFIERS)
    emails: list[Email] = Field(default=[], max_length=MOST_IDENTIFIERS)
    phones: list[Phone] = Field(default=[], max_length=MOST_IDENTIFIERS)


class MyRequest(Strict):
    """What I ask for, about myself."""

    kind: Literal["export", "erasure", "restriction", "objection", "rectification"]


class Confirmation(Strict):
    """The keys of those who are meant, as the matches name them. Without any, what carries the identifiers is looked for."""

    keys: list[Annotated[str, StringConstraints(max_length=300)]] = Field(default=[], max_length=100)


class Because(Strict):
    """Why, in words that the person is told."""

    reason: Reason


class RequestShown(BaseModel):
    """A request. Who is meant is not shown: ask for the matches."""

    request: str
    kind: RequestKind
    state: RequestState
    requested_at: datetime
    due_at: datetime = Field(description="One month after the request, three when extended")
    extended: bool
    reason: str | None
    step: int
    counts: dict[str, int] = Field(description="What was done, by store")
    receipt: int | None = Field(description="The sequence number of the receipt in the audit trail")
    expires_at: datetime | None = Field(description="Until when an export can be fetched")
    ended_at: datetime | None


class MatchShown(BaseModel):
    """A person whom the identifiers led to, and where they are held."""

    key: str
    name: str | None
    email: str | None
    places: list[str]


class RotationShown(BaseModel):
    """A rotation has begun."""

    state: Literal["announced"] = "announced"


@endpoints.post("privacy/requests", roles=COMPLIANCE, audits="request.made", status=201, idempotent=True)
async def make_privacy_request(call: Call, body: NewRequest) -> Reply[RequestShown]:
    """Make a request for a person, or, as tenant_export, for the whole tenant. Nothing happens before it is confirmed."""
    if body.kind is RequestKind.TENANT_EXPORT:
        identifiers: list[str] = []
    else:
        identifiers = requests.identifiers_of(
            object_ids=tuple(map(str, body.object_ids)), emails=tuple(body.emails), phones=tuple(body.phones)
        )
    return _made(await requests.make_request(call.context, call.tenant, body.kind, identifiers, by=actor_of(call)))


@endpoints.get("privacy/requests", roles=COMPLIANCE)
async def list_privacy_requests(call: Call) -> Listed[RequestShown]:
    """All requests that are kept, the newest first."""
    return Listed(items=[_shown(request) async for request in requests.newest_requests(call.context, call.tenant)])


@endpoints.get("privacy/requests/{request}", roles=COMPLIANCE)
async def get_privacy_request(call: Call, path: RequestPath) -> RequestShown:
    """One request: how far it has got, and when it is due."""
    return _shown(await requests.load_request(call.context, call.tenant, path.request))


@endpoints.get("privacy/requests/{request}/matches", roles=COMPLIANCE)
async def get_matches(call: Call, path: RequestPath) -> Listed[MatchShown]:
    """Whom the identifiers lead to. This look is itself an entry of the audit trail."""
    request = await requests.load_request(call.context, call.tenant, path.request)
    await append_entry(call, "person.looked_up", before=None, after=None)
    found = await find_people(call.context, call.tenant, request.subject.identifiers)
    return Listed(items=[MatchShown.model_validate(shown(match)) for match in found.values()])


@endpoints.post("privacy/requests/{request}/confirm", roles=COMPLIANCE, audits="request.confirmed", status=202)
async def confirm_privacy_request(call: Call, path: RequestPath, body: Confirmation) -> RequestShown:
    """Let a request begin, for those who are meant. Where the tenant wants four eyes, by a person other than who made it."""
    request = await requests.confirm(call.context, call.tenant, path.request, by=actor_of(call), keys=body.keys)
    await start_request(call.context, request)
    return _shown(request)


@endpoints.post("privacy/requests/{request}/refuse", roles=COMPLIANCE, audits="request.refused")
async def refuse_privacy_request(call: Call, path: RequestPath, body: Because) -> RequestShown:
    """Refuse a request that waits. Whom it was about is forgotten."""
    return _shown(await requests.refuse(call.context, call.tenant, path.request, by=actor_of(call), reason=body.reason))


@endpoints.post("privacy/requests/{request}/extend", roles=COMPLIANCE, audits="request.extended")
async def extend_privacy_request(call: Call, path: RequestPath, body: Because) -> RequestShown:
    """Extend the time by two months, once."""
    return _shown(await requests.extend(call.context, call.tenant, path.request, reason=body.reason))


@endpoints.post("privacy/requests/{request}/finish", roles=COMPLIANCE, audits="request.finished")
async def finish_privacy_request(call: Call, path: RequestPath) -> RequestShown:
    """Note that a rectification was made in the directory, from where it arrives with the next run."""
    return _shown(await requests.finish_by_hand(call.context, call.tenant, path.request, by=actor_of(call)))


@endpoints.post("privacy/requests/{request}/lift", roles=COMPLIANCE, audits="suppression.lifted")
async def lift_suppression(call: Call, path: RequestPath) -> RequestShown:
    """Take back the suppression of an erasure, a restriction or an objection: the next run may bring the person again."""
    return _shown(await lift_request(call.context, call.tenant, path.request))


@endpoints.post("privacy/keys/rotate", roles=ADMINS | COMPLIANCE, audits="keys.rotated", status=202)
async def rotate_keys(call: Call) -> RotationShown:
    """Give the tenant a new data key. What was encrypted before is encrypted anew in the background; no mailbox is written."""
    await rotation.begin_rotation(call.context, call.tenant)
    message = messages.as_dict(messages.PurgeTenant(call.tenant))
    await call.context.queues.send(messages.PURGE_TENANT, message, delay=rotation.SPREAD.total_seconds())
    return RotationShown()


@endpoints.post("me/privacy/requests", roles=EVERYONE, audits="own_request.made", status=201, idempotent=True)
async def make_my_request(call: Call, body: MyRequest) -> Reply[RequestShown]:
    """Ask for something about myself. A compliance officer decides."""
    identifiers = requests.identifiers_of(object_ids=(call.principal.object_id,))
    return _made(await requests.make_request(call.context, call.tenant, RequestKind(body.kind), identifiers, by=actor_of(call)))


@endpoints.get("me/privacy/requests", roles=EVERYONE)
async def list_my_requests(call: Call) -> Listed[RequestShown]:
    """What I have asked for."""
    mine = actor_of(call)
    found = requests.newest_requests(call.context, call.tenant)
    return Listed(items=[_shown(request) async for request in found if request.by == mine])


def actor_of(call: Call) -> Actor:
    """Who calls, as the trail and requests name them."""
    who = call.principal
    return Actor("app" if who.is_app else "user", who.object_id, who.home)


def _made(request: Request) -> Reply[RequestShown]:
    return Reply(_shown(request), location=f"privacy/requests/{request.request}")


def _shown(request: Request) -> RequestShown:
    return RequestShown(
        request=request.request,
        kind=request.kind,
        state=request.state,
        requested_at=request.requested_at,
        due_at=request.due_at,
        extended=request.extended,
        reason=request.reason or None,
        step=request.step,
        counts=request.counts,
        receipt=request.receipt or None,
        expires_at=request.expires_at,
        ended_at=request.ended_at,
    )
