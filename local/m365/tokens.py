"""Tokens by client credentials, the tenant's metadata, its keys, and the check of a token on every call.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference,
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from local.m365.call import Caller
from local.m365.wire import GRAPH, GraphError, Reply, Request

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from jwt.types import Options

    from local.m365.tenant import Tenant

LIFE = 3599  # seconds
KEY_ID = "stand-in-1"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

# code -> (OAuth error, what is wrong)
ERRORS = {
    65001: ("invalid_grant", "The user or administrator has not consented to use the application."),
    90002: ("invalid_request", "Tenant not found. Check to make sure you have the correct tenant ID."),
    900023: ("invalid_request", "Specified tenant identifier is neither a valid DNS name, nor a valid external domain."),
    500011: ("invalid_resource", "The resource principal was not found in the tenant."),
    700016: ("unauthorized_client", "Application was not found in the directory."),
    700027: ("invalid_client", "The client assertion contains an invalid signature."),
    7000112: ("unauthorized_client", "The application is disabled."),
    7000215: ("invalid_client", "Invalid client secret provided."),
    7000222: ("invalid_client", "The provided client secret keys are expired."),
    7000216: (
        "invalid_client",
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
    70003: ("unsupported_grant_type", "The app requested an unsupported grant type."),
    1002012: (
        "invalid_scope",
        "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed.",
    ),
}


@cache
def signing_key() -> RSAPrivateKey:
    """The key that signs every token of this process."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def keys() -> dict[str, Any]:
    """The public key as a JSON Web Key Set."""
    from jwt.algorithms import RSAAlgorithm

    key = json.loads(RSAAlgorithm.to_jwk(signing_key().public_key()))
    return {"keys": [{**{name: key[name] for name in ("kty", "n", "e")}, "use": "sig", "kid": KEY_ID, "alg": "RS256"}]}


def metadata(tenant: Tenant, base: str) -> dict[str, Any]:
    """The tenant's OpenID configuration (https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc)."""
    root = f"{base}/{tenant.id}"
    return {
        "issuer": f"https://login.microsoftonline.com/{tenant.id}/v2.0",
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "tenant_region_scope": tenant.region,
    }


def grant(tenant: Tenant, request: Request, now: datetime) -> Reply:
    """Answer the token endpoint."""
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    app = tenant.app
    if form.get("grant_type") != "client_credentials":
        return refusal(70003, now)
    if form.get("client_id", "").lower() != app.client_id.lower():
        return refusal(700016, now)
    if app.consent == "disabled":
        return refusal(7000112, now)
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION or form["client_assertion"].count(".") != 2:
            return refusal(700027, now)
    elif "client_secret" not in form:
        return refusal(7000216, now)
    elif form["client_secret"] != app.secret:
        return refusal(7000215, now)
    scope = form.get("scope", "")
    if not scope.endswith("/.default"):
        return refusal(1002012, now)
    if scope != f"{GRAPH}/.default":
        return refusal(500011, now)
    if app.consent == "revoked":
        return refusal(65001, now)
    token = issue(tenant, now)
    return Reply(200, {"token_type": "Bearer", "expires_in": LIFE, "ext_expires_in": LIFE, "access_token": token})


def issue(tenant: Tenant, now: datetime) -> str:
    """A token for the tenant's app."""
    import jwt

    at = int(now.timestamp())
    claims = {
        "aud": GRAPH,
        "iss": f"https://sts.windows.net/{tenant.id}/",
        "iat": at,
        "nbf": at,
        "exp": at + LIFE,
        "appid": tenant.app.client_id,
        "idtyp": "app",
        "tid": tenant.id,
        "roles": sorted(tenant.app.permissions),
        "ver": "1.0",
    }
    return jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": KEY_ID})


def refusal(code: int, now: datetime) -> Reply:
    """An error of the token endpoint."""
    error, text = ERRORS[code]
    status = 401 if error == "invalid_client" else 400
    body = {
        "error": error,
        "error_description": f"AADSTS{code}: {text}",
        "error_codes": [code],
        "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
        "trace_id": "00000000-0000-0000-0000-000000000000",
        "correlation_id": "00000000-0000-0000-0000-000000000000",
    }
    return Reply(status, body)


class TokenChecker:
    """Checks the bearer token of each call; a token checked before is only looked up."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Caller, int, int]] = {}

    def check(self, header: str, now: datetime) -> Caller:
        """Who calls. Raises GraphError 401 `InvalidAuthenticationToken`."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorised("Access token is empty.")
        known = self._seen.get(token)
        if known is None:
            if len(self._seen) > 10_000:
                self._seen.clear()
            known = self._seen[token] = self._verify(token)
        caller, not_before, expires = known
        at = now.timestamp()
        if at >= expires:
            raise _unauthorised("Lifetime validation failed, the token is expired.")
        if at + 300 < not_before:
            raise _unauthorised("Lifetime validation failed, the token is not yet valid.")
        return caller

    @staticmethod
    def _verify(token: str) -> tuple[Caller, int, int]:
        import jwt

        unchecked: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = jwt.decode(token, signing_key().public_key(), algorithms=["RS256"], audience=GRAPH, options=unchecked)
        except jwt.InvalidAudienceError:
            raise _unauthorised("Access token validation failure. Invalid audience.") from None
        except jwt.PyJWTError:
            raise _unauthorised("IDX10511: Signature validation failed or the token is not well formed.") from None
        return Caller(claims["tid"], claims["appid"], frozenset(claims["roles"])), claims["nbf"], claims["exp"]


def _unauthorised(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": 'Bearer realm=""'})
