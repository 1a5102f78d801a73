"""Who may act for the tenant, and for whom the caller's own organisation may act."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from api.connection import require_own
from api.endpoint import ADMINS, READERS, Audit, Call, Endpoints, Listed, Strict
from api.principal import Role
from tenancy import partners
from tenancy.partners import Grant

endpoints = Endpoints("Partners")


class PartnerPath(Strict):
    """Names a partner by its tenant id."""

    partner: UUID


class Roles(Strict):
    """What a partner may do."""

    roles: Annotated[list[Role], Field(min_length=1, description="Its people have those of these that they also have at home")]


class PartnerShown(BaseModel):
    """An organisation that may act for the tenant."""

    partner: str
    roles: list[Role]
    granted_by: str
    granted_at: datetime


class CustomerShown(BaseModel):
    """A tenant for which the caller's organisation may act: its id goes into the header Rollcall-Tenant."""

    customer: str
    roles: list[Role]
    granted_at: datetime


@endpoints.get("partners", roles=READERS)
async def list_partners(call: Call) -> Listed[PartnerShown]:
    """The organisations that may act for the tenant."""
    return Listed(items=[_partner(grant) async for grant in partners.grants_of(call.context.tables, call.tenant)])


@endpoints.put("partners/{partner}", roles=ADMINS, audits="partner.granted")
async def grant_partner(call: Call, path: PartnerPath, body: Roles, audit: Audit) -> PartnerShown:
    """Let another organisation act for the tenant, with these roles instead of those it had."""
    require_own(call)
    before = await partners.granted_roles(call.context.tables, call.tenant, str(path.partner))
    await audit(before={"roles": sorted(before)}, after={"roles": sorted(body.roles)})
    made = await partners.grant(call.context, call.tenant, str(path.partner), body.roles, by=call.principal.object_id)
    return _partner(made)


@endpoints.delete("partners/{partner}", roles=ADMINS, audits="partner.revoked")
async def revoke_partner(call: Call, path: PartnerPath) -> None:
    """Let it act for the tenant no longer, from its next request on."""
    require_own(call)
    await partners.revoke(call.context, call.tenant, str(path.partner))


@endpoints.get("customers", roles=READERS, connected=False)
async def list_customers(call: Call) -> Listed[CustomerShown]:
    """The tenants for which the caller's own organisation may act."""
    found = partners.customers_of(call.context.tables, call.principal.home)
    return Listed(
        items=[CustomerShown(customer=grant.customer, roles=_roles(grant), granted_at=grant.at) async for grant in found]
    )


def _partner(grant: Grant) -> PartnerShown:
    return PartnerShown(partner=grant.partner, roles=_roles(grant), granted_by=grant.by, granted_at=grant.at)


def _roles(grant: Grant) -> list[Role]:
    return [Role(role) for role in sorted(grant.roles)]
