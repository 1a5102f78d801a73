"""Where a tenant's data may be handled: a tenant of the EU only by an installation in the EU.

Microsoft says of every tenant where its data stays, without sign-in, in its OpenID configuration.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import orjson

from sync_core.errors import NotAdmittedError, Reason, TransientError
from sync_core.ports import Put
from sync_core.state.names import TENANTS
from tenancy.services import REGION_SCOPE, Tenancy

EU = "EU"
EU_REGIONS = frozenset(
    {
        *("westeurope", "northeurope", "swedencentral", "swedensouth", "francecentral", "francesouth", "germanywestcentral"),
        *("germanynorth", "italynorth", "spaincentral", "polandcentral", "austriaeast", "belgiumcentral", "denmarkeast"),
    }
)
"""Azure regions in member states (https://learn.microsoft.com/azure/reliability/regions-list). Any other counts as outside."""

ASK_AGAIN = timedelta(days=1)
GOOD_FOR = timedelta(days=7)

_ROW = "region"
_SCOPE = re.compile(r"[A-Z]{2,10}")


async def admit(tenancy: Tenancy, tenant: str, *, keep: bool = True) -> str:
    """The tenant's region, if this installation may serve it. Raises NotAdmittedError, also when nobody knows the region.

    With `keep` off nothing is stored: the tenant is not connected yet.
    """
    now = tenancy.core.now()
    stored = await tenancy.core.tables.get(TENANTS, tenant, _ROW)
    scope, read_at = (str(stored.values["Scope"]), stored.values["ReadAt"]) if stored is not None else ("", None)
    if not isinstance(read_at, datetime) or now - read_at >= ASK_AGAIN:
        try:
            scope = await _ask(tenancy, tenant)
        except TransientError:
            if not isinstance(read_at, datetime) or now - read_at >= GOOD_FOR:
                raise NotAdmittedError(Reason.REGION_UNKNOWN) from None
        else:
            check(scope, tenancy.installation.region)
            if keep:
                await tenancy.core.tables.commit(TENANTS, tenant, [Put(_ROW, {"Scope": scope, "ReadAt": now})])
    check(scope, tenancy.installation.region)
    return scope


def check(scope: str, region: str) -> None:
    """Whether an installation in this Azure region may serve a tenant of this scope. Raises NotAdmittedError."""
    if scope == EU and region not in EU_REGIONS:
        raise NotAdmittedError(Reason.REGION_REFUSED, f"{scope}: {region}")


async def _ask(tenancy: Tenancy, tenant: str) -> str:
    """What Microsoft says now. Raises TransientError, NotAdmittedError when it says nothing that can be understood."""
    document = await tenancy.fetch(f"{tenancy.installation.authority}/{tenant}/v2.0/.well-known/openid-configuration")
    try:
        values = orjson.loads(document)
    except ValueError:
        values = None
    scope = values.get(REGION_SCOPE) if isinstance(values, dict) else None
    if not isinstance(scope, str) or not _SCOPE.fullmatch(scope.upper()):
        raise NotAdmittedError(Reason.REGION_UNKNOWN)
    return scope.upper()
