"""What a token claims, once its signature and all that we rely on have been checked. Pure.

https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference,
https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-tokens

Version 2.0 only: our registration asks Entra for it (`requestedAccessTokenVersion`), so a token of version 1.0, whose issuer is
`https://sts.windows.net/{tenant}/`, was made for somebody else or by a registration that docs/sign-in.md did not set up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from api.principal import Role
from api.signin import errors
from api.signin.errors import ForbiddenError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt.types import Options

SCOPE = "access_as_user"
"""The delegated permission that our registration exposes."""

LEEWAY = timedelta(seconds=60)
TENANT_PLACE = "{tenantid}"

_LARGEST = 16 * 1024  # bytes; Entra keeps tokens small enough for headers
_TOKEN = re.compile(r"[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PERSONAL_ACCOUNTS = "9188040d-6c67-4c5b-b112-36a304b66dad"
_ROLES = {str(role): role for role in Role}
_REQUIRED = ["aud", "iss", "exp", "nbf", "iat", "tid", "oid", "ver"]


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key of Entra. `issuer` is whose tokens it may sign, with TENANT_PLACE where the tenant's id stands."""

    public: RSAPublicKey
    issuer: str


@dataclass(frozen=True, slots=True)
class Claims:
    """A caller. `tenant` issued the token; `is_guest` marks a person whose account lives in another tenant."""

    tenant: str
    object_id: str
    roles: frozenset[Role]
    is_app: bool
    is_guest: bool


def is_guid(value: object) -> bool:
    """Whether this is an id as Entra writes them."""
    return isinstance(value, str) and _GUID.fullmatch(value) is not None


def bearer(authorization: str) -> str:
    """The token in an Authorization header. Raises AuthenticationError."""
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise errors.not_signed_in()
    if len(token) > _LARGEST or not _TOKEN.fullmatch(token):
        raise errors.invalid_token()
    return token


def key_id(token: str) -> str:
    """The id of the key that a token says it is signed with; nothing else in its header is heeded. Raises AuthenticationError."""
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise errors.invalid_token() from None
    name = header.get("kid")
    if header.get("alg") != "RS256" or not isinstance(name, str) or not name:
        raise errors.invalid_token()
    return name


def verify(token: str, key: SigningKey, *, client_id: str, now: datetime) -> Claims:
    """Check signature, issuer, audience, times and kind of a token. Raises AuthenticationError, or ForbiddenError for a lack."""
    import jwt

    # The times are compared below, with the clock that everything else goes by
    options: Options = {
        "require": _REQUIRED, "strict_aud": True, "verify_exp": False, "verify_nbf": False, "verify_iat": False,
    }  # fmt: skip
    try:
        claims = jwt.decode(token, key.public, algorithms=["RS256"], audience=client_id, options=options)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise errors.invalid_token() from None
    tenant, person = claims["tid"], claims["oid"]
    if claims["ver"] != "2.0" or not is_guid(tenant) or not is_guid(person) or tenant == _PERSONAL_ACCOUNTS:
        raise errors.invalid_token()
    if claims["iss"] != key.issuer.replace(TENANT_PLACE, tenant) or not _is_now(claims, now):
        raise errors.invalid_token()
    is_app = _is_app(claims)
    return Claims(tenant, person, _roles(claims), is_app, not is_app and _is_guest(claims))


def _is_now(claims: dict[str, Any], now: datetime) -> bool:
    issued, begins, ends = claims["iat"], claims["nbf"], claims["exp"]
    if type(issued) is not int or type(begins) is not int or type(ends) is not int:
        return False
    at, leeway = now.timestamp(), LEEWAY.total_seconds()
    return issued - leeway <= at and begins - leeway <= at < ends + leeway


def _is_app(claims: dict[str, Any]) -> bool:
    """Whether a service principal calls for itself. A token that neither says so nor shows a person's scope is refused."""
    kind, scopes = claims.get("idtyp", "user"), claims.get("scp")
    if kind == "app" and scopes is None:
        return True
    if kind != "user" or (scopes is not None and not isinstance(scopes, str)):
        raise errors.invalid_token()
    if SCOPE not in (scopes or "").split(" "):
        raise ForbiddenError(errors.MISSING_SCOPE, f"Ask Microsoft Entra for a token with the scope {SCOPE}")
    return False


def _is_guest(claims: dict[str, Any]) -> bool:
    """Whether another tenant, or no tenant at all, has signed the person in. The own one may go by either of its two issuers."""
    at_home = (claims["iss"], f"https://sts.windows.net/{claims['tid']}/")
    return claims.get("idp", claims["iss"]) not in at_home or claims.get("acct") in (1, "1")


def _roles(claims: dict[str, Any]) -> frozenset[Role]:
    names = claims.get("roles", [])
    if not isinstance(names, list):
        raise errors.invalid_token()
    return frozenset(_ROLES[name] for name in names if isinstance(name, str) and name in _ROLES)
