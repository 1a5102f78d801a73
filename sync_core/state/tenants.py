"""Tenants: what holds for a whole Microsoft 365 organisation."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from sync_core.definition import TenantSettings
from sync_core.errors import NotFoundError
from sync_core.ports import Entity, Insert, Replace, Row, Tables
from sync_core.state.names import TENANTS

_ROW = "tenant"


@dataclass(slots=True)
class Tenant:
    """A connected tenant. `stopped` holds the reason when consent or credential is gone."""

    tenant: str
    settings: TenantSettings
    stopped: str = ""
    etag: str = ""

    @property
    def version(self) -> str:
        """Names the settings as they are."""
        return blake2b(self.settings.model_dump_json().encode(), digest_size=8).hexdigest()


async def load_tenant(tables: Tables, tenant: str) -> Tenant:
    """The tenant. Raises NotFoundError."""
    entity = await tables.get(TENANTS, tenant, _ROW)
    if entity is None:
        raise NotFoundError("this tenant is not connected")
    return _decode(entity)


async def insert_tenant(tables: Tables, tenant: Tenant) -> None:
    """Connect a tenant. Raises ConflictError when it is connected already."""
    (tenant.etag,) = await tables.commit(TENANTS, tenant.tenant, [Insert(_ROW, _encode(tenant))])


async def save_tenant(tables: Tables, tenant: Tenant) -> None:
    """Write a changed tenant back. Raises ConflictError when somebody else changed it first."""
    (tenant.etag,) = await tables.commit(TENANTS, tenant.tenant, [Replace(_ROW, _encode(tenant), tenant.etag)])


def _encode(tenant: Tenant) -> Row:
    return {"Settings": tenant.settings.model_dump_json(), "Stopped": tenant.stopped}


def _decode(entity: Entity) -> Tenant:
    return Tenant(
        tenant=entity.partition,
        settings=TenantSettings.model_validate_json(str(entity.values["Settings"])),
        stopped=str(entity.values["Stopped"]),
        etag=entity.etag,
    )
