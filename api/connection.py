"""A tenant's connection to Microsoft 365: consent, what it lets the app do, and its end."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from api.endpoint import ADMINS, EVERYONE, READERS, Audit, Call, Endpoints, Reply, Strict
from api.principal import Role
from api.problems import ProblemError
from api.signin import errors as sign_in_errors
from api.signin.authentication import require
from api.signin.errors import ForbiddenError
from composition import tenancy
from sync_core.errors import NotFoundError
from sync_core.state.syncs import syncs_of
from sync_core.state.tenants import load_tenant
from tenancy import check, connection, leaving
from tenancy.check import Finding, State
from tenancy.features import NEEDS, Feature
from tenancy.refusals import ConnectionRefusedError

endpoints = Endpoints("Connection")

Text = Annotated[str, StringConstraints(max_length=4000)]
_STATUS = {
    "state_invalid": 400,
    "state_expired": 400,
    "tenant_not_allowed": 403,
    "region_refused": 403,
    "region_unknown": 503,
    "consent_not_visible": 503,
    "try_again": 503,
}  # the others are 409


class ConsentLink(BaseModel):
    """Where an admin consents."""

    url: str = Field(description="At Microsoft; good for ten minutes, once, and only for whoever asked for it")


class ConsentAnswer(Strict):
    """What Microsoft's redirect carried, as it came."""

    state: Text
    tenant: Text = ""
    admin_consent: Text = ""
    scope: Text = ""
    error: Text = ""
    error_subcode: Text = ""
    error_description: Text = ""


class FeatureShown(BaseModel):
    """A feature and the permission that it takes."""

    feature: Feature
    permission: str
    purpose: str
    needed: bool = Field(description="Whether a sync uses it")
    granted: bool = Field(description="Whether it was in the token when consent was given; what Exchange grants is never in one")
    scopable: bool = Field(description="Whether Exchange can limit it to some mailboxes")


class FindingShown(BaseModel):
    """One thing that the check found out."""

    code: str
    state: State
    words: str = Field(description="What it means, and what to do next")
    feature: str
    permission: str
    mailbox: str = Field(description="The object id of the mailbox that was tried")
    detail: str = Field(description="Microsoft's error code")


class CheckShown(BaseModel):
    """A connection check."""

    at: datetime
    findings: list[FindingShown]


class ConnectionShown(BaseModel):
    """A tenant's connection."""

    tenant: str
    connected_by: str | None = Field(
        description="Object id of who consented; null where whoever runs the app connected the tenant"
    )
    connected_at: datetime | None
    region: str | None = Field(description="Where the tenant's data must stay, as Microsoft says")
    stopped: str | None = Field(description="Why nothing runs for the tenant")
    features: list[FeatureShown]
    consent_needed: bool = Field(description="Whether a sync uses a feature whose permission was not granted in Entra")
    last_check: CheckShown | None


class Mailboxes(Strict):
    """Users whose mailboxes the app should reach, and should not. Without them some are found."""

    inside: UUID | None = None
    outside: UUID | None = None


class Leave(Strict):
    """How to disconnect."""

    remove: bool = Field(description="Whether to take out of the mailboxes all that was ever written")


class DepartureShown(BaseModel):
    """A disconnection under way."""

    requested_by: str
    requested_at: datetime
    remove: bool
    step: leaving.Step
    syncs: int = Field(description="How many are not done with yet")


@endpoints.get("connection", roles=READERS)
async def read_connection(call: Call) -> ConnectionShown:
    """What the connection is, what it lets the app do, and what the last check found."""
    return await _shown(call)


@endpoints.post("connection/consent", roles=EVERYONE, audits="connection.consent_started", connected=False)
async def start_consent(call: Call, audit: Audit) -> ConsentLink:
    """Get a link to Microsoft at which an admin connects the tenant, or consents anew.

    Whoever is signed in may connect a tenant that is not connected yet: Microsoft asks for an admin. Later it takes the role.
    """
    await _check_admin(call)
    with _Explained():
        url = await connection.start(tenancy(), call.tenant, call.principal.object_id)
    await audit()
    return ConsentLink(url=url)


@endpoints.post("connection/consent/answer", roles=EVERYONE, audits="connection.consented", connected=False)
async def finish_consent(call: Call, body: ConsentAnswer, audit: Audit) -> ConnectionShown:
    """Hand in what Microsoft answered, by whoever got the link: connects the tenant."""
    await _check_admin(call)
    answer = connection.Answer(body.state, body.tenant, body.admin_consent, body.error, body.error_description)
    with _Explained():
        await connection.finish(tenancy(), call.tenant, call.principal.object_id, answer, noted=audit)
    return await _shown(call)


@endpoints.post("connection/check", roles=ADMINS, audits="connection.checked")
async def check_connection(call: Call, body: Mailboxes) -> CheckShown:
    """Find out by trying what works of each feature, and whether the limit to some mailboxes holds."""
    inside, outside = (str(one) if one is not None else "" for one in (body.inside, body.outside))
    findings = await check.check(tenancy(), call.tenant, inside=inside, outside=outside)
    return CheckShown(at=call.context.now(), findings=list(map(_finding, findings)))


@endpoints.post("connection/disconnect", roles=ADMINS, audits="connection.disconnected", status=202)
async def disconnect_tenant(call: Call, body: Leave, audit: Audit) -> Reply[DepartureShown]:
    """Disconnect the tenant for good: stop, take back what was written if wanted, and erase everything. Repeat it to go on."""
    require_own(call)
    await audit(after={"remove": body.remove})
    await leaving.leave(call.context, call.tenant, by=call.principal.object_id, remove=body.remove)
    return Reply(await _departure(call), location="connection/departure")


@endpoints.get("connection/departure", roles=READERS)
async def read_departure(call: Call) -> DepartureShown:
    """How far disconnecting has got. When it is done, the tenant is not connected any more."""
    return await _departure(call)


def require_own(call: Call) -> None:
    """Check that somebody of the tenant itself asks, not of a partner. Raises ForbiddenError."""
    if call.principal.home != call.tenant:
        raise ForbiddenError(sign_in_errors.PERSON_REQUIRED, "Only somebody of the organisation itself may do this")


class _Explained:
    """Turns a refusal into a problem."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ConnectionRefusedError):
            status = _STATUS.get(error.code, 409)
            headers = {"Retry-After": "30"} if status == 503 else {}
            raise ProblemError(status, error.code, error.words, headers=headers) from None


async def _check_admin(call: Call) -> None:
    try:
        await load_tenant(call.context.tables, call.tenant)
    except NotFoundError:
        return
    require(call.principal, Role.ADMIN)


async def _shown(call: Call) -> ConnectionShown:
    services = tenancy()
    tenant = await load_tenant(call.context.tables, call.tenant)
    known = await connection.load_connection(services, call.tenant)
    needed = connection.features_of([sync.definition async for sync in syncs_of(call.context.tables, call.tenant)])
    roles = known.roles if known is not None else frozenset()
    try:
        at, findings = await check.last_check(services, call.tenant)
        last = CheckShown(at=at, findings=list(map(_finding, findings)))
    except NotFoundError:
        last = None
    return ConnectionShown(
        tenant=call.tenant,
        connected_by=known.by if known is not None else None,
        connected_at=known.at if known is not None else None,
        region=known.region if known is not None else None,
        stopped=tenant.stopped or None,
        features=[
            FeatureShown(
                feature=feature,
                permission=need.permission,
                purpose=need.purpose,
                needed=feature in needed,
                granted=need.met_by(roles),
                scopable=need.scopable,
            )
            for feature, need in NEEDS.items()
        ],
        consent_needed=bool(connection.missing(needed, roles)),
        last_check=last,
    )


def _finding(finding: Finding) -> FindingShown:
    return FindingShown(**asdict(finding), words=finding.words)


async def _departure(call: Call) -> DepartureShown:
    found = await leaving.departure(call.context, call.tenant)
    return DepartureShown(requested_by=found.by, requested_at=found.at, remove=found.remove, step=found.step, syncs=found.syncs)
