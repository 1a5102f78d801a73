"""A tenant's connection: made by an admin's consent, and what it lets the app do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson

from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.engine import admin
from sync_core.errors import (
    ConflictError,
    InputError,
    NotAdmittedError,
    NotFoundError,
    Reason,
    TenantError,
    TransientError,
)
from sync_core.kinds import CONTACTS
from sync_core.ports import Put
from sync_core.state.names import TENANTS
from sync_core.state.tenants import load_tenant, save_tenant
from tenancy import residency, states
from tenancy.features import NEEDS, Feature
from tenancy.refusals import ConnectionRefusedError, explained
from tenancy.services import Tenancy

REDIRECT = "/connect"
"""The page of the app to which Microsoft sends the admin back; it hands on what it was given."""

_ROW = "connection"
_VISIBLE_AFTER = (0, 2, 4)  # seconds: Entra's servers do not all know of a consent at once
_CURED_BY_CONSENT = {Reason.CONSENT_MISSING, Reason.CREDENTIAL_REJECTED, Reason.TENANT_UNKNOWN}


@dataclass(frozen=True, slots=True)
class Answer:
    """What Microsoft sent the admin's browser back with."""

    state: str
    tenant: str = ""
    admin_consent: str = ""
    error: str = ""
    error_description: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Connection:
    """What is known of a tenant's connection. `by` is the object id of the admin who consented, `roles` what was granted then."""

    by: str
    at: datetime
    region: str
    roles: frozenset[str]


async def start(tenancy: Tenancy, tenant: str, object_id: str) -> str:
    """The address at Microsoft where this admin can consent. Raises ConnectionRefusedError, InputError, NotFoundError."""
    _check_allowed(tenancy, tenant)
    await _admitted(tenancy, tenant, keep=False)
    ours = tenancy.installation
    if not ours.address:
        raise InputError("ROLLCALL_ADDRESS", "is missing: set it to the address at which people reach the app")
    # to ask for application permissions takes /.default: https://learn.microsoft.com/entra/identity-platform/v2-admin-consent
    query = {
        "client_id": ours.client_id,
        "scope": f"{ours.graph}/.default",
        "redirect_uri": f"{ours.address}{REDIRECT}",
        "state": await states.issue(tenancy, tenant, object_id),
    }
    return f"{ours.authority}/{tenant}/v2.0/adminconsent?{urlencode(query)}"


async def _unnoted() -> None:
    return None


async def finish(
    tenancy: Tenancy, tenant: str, object_id: str, answer: Answer, *, noted: Callable[[], Awaitable[None]] = _unnoted
) -> Connection:
    """Take what Microsoft answered to this admin of `tenant`, and connect it. Raises ConnectionRefusedError.

    `noted` is called once the answer is known to be the admin's, before anything is done. Who dies in between has connected
    nothing, or all but the note of it: the admin starts again.
    """
    nonce = await states.redeem(tenancy, answer.state, tenant, object_id)
    if answer.error:
        raise explained(answer.error, answer.error_description)
    if answer.tenant.lower() != tenant:
        raise ConnectionRefusedError("wrong_account")
    if answer.admin_consent.lower() != "true":
        raise ConnectionRefusedError("consent_declined")
    await noted()
    try:
        return await connect(tenancy, tenant, object_id)
    except ConnectionRefusedError as error:
        if error.code in ("consent_not_visible", "try_again"):
            await states.restore(tenancy, tenant, nonce)
        raise


async def connect(tenancy: Tenancy, tenant: str, object_id: str) -> Connection:
    """Connect a tenant that has consented. To repeat it is to look at the permissions again. Raises ConnectionRefusedError."""
    _check_allowed(tenancy, tenant)
    region = await _admitted(tenancy, tenant)
    roles = await _granted(tenancy, tenant)
    core = tenancy.core
    try:
        known = await load_tenant(core.tables, tenant)
    except NotFoundError:
        await admin.connect_tenant(core, tenant, TenantSettings())
    else:
        if known.stopped == Reason.DISCONNECTED:
            raise ConnectionRefusedError("disconnecting")
        if known.stopped in _CURED_BY_CONSENT:
            known.stopped = ""
            try:
                await save_tenant(core.tables, known)
            except ConflictError:
                raise ConnectionRefusedError("try_again") from None
    connection = Connection(object_id, core.now(), region, roles)
    await core.tables.commit(TENANTS, tenant, [Put(_ROW, _encode(connection))])
    return connection


async def load_connection(tenancy: Tenancy, tenant: str) -> Connection | None:
    """What is known of the connection; None for a tenant that whoever runs the app has connected without consent here."""
    stored = await tenancy.core.tables.get(TENANTS, tenant, _ROW)
    if stored is None:
        return None
    at = stored.values["At"]
    assert isinstance(at, datetime)
    roles = frozenset(orjson.loads(str(stored.values["Roles"])))
    return Connection(str(stored.values["By"]), at, str(stored.values["Region"]), roles)


def features_of(definitions: Iterable[SyncDefinition]) -> list[Feature]:
    """What these syncs need, in the order of the table."""
    needed = {Feature.DIRECTORY}
    for definition in definitions:
        needed.add(Feature.CONTACTS if definition.kind is CONTACTS else Feature.CALENDARS)
        values = definition.model_dump(mode="json")
        needed |= {_KINDS[source["kind"]] for source in values["sources"] if source["kind"] in _KINDS}
        if _names_groups(values):
            needed.add(Feature.GROUPS)
        if _wants_photos(values):
            needed.add(Feature.PHOTOS)
    if needed == {Feature.DIRECTORY}:
        needed.add(Feature.CONTACTS)
    return [feature for feature in NEEDS if feature in needed]


def missing(features: Iterable[Feature], roles: frozenset[str]) -> dict[Feature, str]:
    """By feature, the permission that is in no token. Exchange may have granted it for some mailboxes all the same."""
    return {feature: NEEDS[feature].permission for feature in features if not NEEDS[feature].met_by(roles)}


_KINDS = {
    "group": Feature.GROUPS,
    "orgContacts": Feature.ORG_CONTACTS,
    "mailbox": Feature.SHARED_MAILBOXES,
    "calendar": Feature.CALENDARS,
}


def _names_groups(values: Any) -> bool:
    """Whether a list of groups that is not empty stands anywhere in a definition."""
    if isinstance(values, dict):
        return any((name == "groups" and bool(value)) or _names_groups(value) for name, value in values.items())
    return isinstance(values, list) and any(map(_names_groups, values))


def _wants_photos(values: dict[str, Any]) -> bool:
    """Whether those of users are: contacts in shared mailboxes have theirs with them, and others are handed over."""
    kinds = {source["kind"] for source in values["sources"]}
    return bool(values.get("photos", "none") != "none" and kinds & {"directory", "group"})


def _check_allowed(tenancy: Tenancy, tenant: str) -> None:
    try:
        canonical = str(UUID(tenant)) == tenant
    except ValueError:
        canonical = False
    allowed = tenancy.installation.tenants
    if not canonical or (allowed is not None and tenant not in allowed):
        raise ConnectionRefusedError("tenant_not_allowed")


async def _admitted(tenancy: Tenancy, tenant: str, *, keep: bool = True) -> str:
    try:
        return await residency.admit(tenancy, tenant, keep=keep)
    except NotAdmittedError as error:
        if error.reason is Reason.REGION_REFUSED and tenancy.installation.eu_address:
            raise ConnectionRefusedError("region_refused", f"go to {tenancy.installation.eu_address}") from None
        raise ConnectionRefusedError(str(error.reason)) from None


async def _granted(tenancy: Tenancy, tenant: str) -> frozenset[str]:
    refused = ""
    for wait in _VISIBLE_AFTER:
        await tenancy.core.clock.sleep(wait)
        try:
            return await tenancy.microsoft.roles(tenant)
        except TransientError:
            refused = "try_again"
        except TenantError as error:
            if error.reason is not Reason.CONSENT_MISSING:
                raise ConnectionRefusedError("app_misconfigured", error.detail) from None
            refused = "consent_not_visible"
    raise ConnectionRefusedError(refused)


def _encode(connection: Connection) -> dict[str, Any]:
    return {
        "By": connection.by,
        "At": connection.at,
        "Region": connection.region,
        "Roles": orjson.dumps(sorted(connection.roles)).decode(),
    }
