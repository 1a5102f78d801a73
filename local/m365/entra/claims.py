"""What stands in tokens.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference,
https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid5

from local.m365.entra.keys import ISSUER
from local.m365.tenant import NAMESPACE
from local.m365.wire import GRAPH

if TYPE_CHECKING:
    from local.m365.entra.apps import Automation
    from local.m365.tenant import Tenant

LIFE = 3599  # seconds


def graph_claims(tenant: Tenant, now: datetime) -> dict[str, Any]:
    """The app's token for Microsoft Graph, which is of version 1.0."""
    return {
        "aud": GRAPH,
        "iss": f"https://sts.windows.net/{tenant.id}/",
        **_times(now),
        "appid": tenant.app.client_id,
        "idtyp": "app",
        "tid": tenant.id,
        "roles": sorted(tenant.app.permissions),
        "ver": "1.0",
    }


def person_claims(tenant: Tenant, user: dict[str, Any], now: datetime, *, scope: str) -> dict[str, Any]:
    """A person's token for the app's API."""
    roles = tenant.app.sign_ins.roles.get(user["id"], frozenset())
    return {
        **_ours(tenant, tenant.app.client_id, user["id"], now),
        "azpacr": "0",
        **_who(user),
        **({"roles": sorted(roles)} if roles else {}),
        "scp": scope,
    }


def app_claims(tenant: Tenant, client: Automation, now: datetime) -> dict[str, Any]:
    """A service principal's token for the app's API; the registration asks for the optional claim `idtyp`."""
    return {
        **_ours(tenant, client.client_id, client.object_id, now),
        "azpacr": "1",
        "idtyp": "app",
        **({"roles": sorted(client.roles)} if client.roles else {}),
    }


def id_claims(tenant: Tenant, user: dict[str, Any], now: datetime, *, nonce: str) -> dict[str, Any]:
    """Who signed in, for the client."""
    claims = _ours(tenant, tenant.app.client_id, user["id"], now)
    del claims["azp"]
    return {**claims, **_who(user), **({"nonce": nonce} if nonce else {})}


def _ours(tenant: Tenant, client_id: str, object_id: str, now: datetime) -> dict[str, Any]:
    return {
        "aud": tenant.app.client_id,
        "iss": ISSUER.replace("{tenantid}", tenant.id),
        **_times(now),
        "azp": client_id,
        "oid": object_id,
        "rh": "0.stand-in.",
        "sub": uuid5(NAMESPACE, f"{client_id}/{object_id}").hex,
        "tid": tenant.id,
        "uti": uuid5(NAMESPACE, f"{object_id}/{now.timestamp()}").hex[:22],
        "ver": "2.0",
    }


def _times(now: datetime) -> dict[str, int]:
    at = int(now.timestamp())
    return {"iat": at, "nbf": at, "exp": at + LIFE}


def _who(user: dict[str, Any]) -> dict[str, Any]:
    home = uuid5(NAMESPACE, str(user["id"]))
    return {
        "name": user.get("displayName") or user["userPrincipalName"],
        "preferred_username": user["userPrincipalName"],
        **({"idp": f"https://sts.windows.net/{home}/"} if user.get("userType") == "Guest" else {}),
    }
