"""What login.microsoftonline.com answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from local.m365.entra.authorization import authorize, consent
from local.m365.entra.errors import EntraError
from local.m365.entra.grants import Grants
from local.m365.entra.keys import ISSUER, SigningKeys
from local.m365.tenant import Tenant
from local.m365.wire import Reply, Request, Response

ANY_TENANT = ("organizations", "common")
# Single page apps call these from their own origin
_CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET, POST, OPTIONS"}


class Entra:
    """Sign-in for all tenants."""

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self.keys = SigningKeys()
        self.grants = Grants(self.keys)
        self._tenants = tenants

    def handle(self, request: Request, now: datetime) -> Response | None:
        """The answer; None for an address that Entra does not have."""
        key, _, rest = request.path.partition("?")[0].strip("/").partition("/")
        paths = ("oauth2/v2.0/token", "oauth2/v2.0/authorize", "v2.0/.well-known/openid-configuration", "discovery/v2.0/keys")
        if rest not in (*paths, "adminconsent", "v2.0/adminconsent"):
            return None
        try:
            tenants = self._named(key)
            match rest:
                case "oauth2/v2.0/authorize":
                    return authorize(tenants, request, self.grants.codes, now)
                case "adminconsent" | "v2.0/adminconsent":
                    return consent(tenants, request, version=rest.partition("/adminconsent")[0] if "/" in rest else "")
                case "oauth2/v2.0/token":
                    reply = self._token(tenants, request, now)
                case "discovery/v2.0/keys":
                    reply = Reply(200, self.keys.document(_issuer(key, tenants)))
                case _:
                    reply = Reply(200, _metadata(key, tenants, request.base))
        except EntraError as error:
            reply = error.reply(now)
        reply.headers |= _CORS
        return reply.response()

    def _token(self, tenants: list[Tenant], request: Request, now: datetime) -> Reply:
        if request.method == "OPTIONS":
            return Reply(200)
        if request.method != "POST":
            raise EntraError(70003)
        return Reply(200, self.grants.answer(tenants, request, now), {"Cache-Control": "no-store"})

    def _named(self, key: str) -> list[Tenant]:
        if key.lower() in ANY_TENANT:
            return list(self._tenants.values())
        tenant = self._tenants.get(key.lower())
        if tenant is None:
            raise EntraError(90002)
        return [tenant]


def _issuer(key: str, tenants: list[Tenant]) -> str:
    return ISSUER if key.lower() in ANY_TENANT else ISSUER.replace("{tenantid}", tenants[0].id)


def _metadata(key: str, tenants: list[Tenant], base: str) -> dict[str, Any]:
    """The OpenID configuration (https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc)."""
    root = f"{base}/{key.lower()}"
    return {
        "issuer": _issuer(key, tenants),
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "tenant_region_scope": None if key.lower() in ANY_TENANT else tenants[0].region,
    }
