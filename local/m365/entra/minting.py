"""Tokens that nobody had to sign in for: good ones, and one for each thing that can be wrong with a token."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from local.m365.entra.apps import SCOPE, person
from local.m365.entra.claims import LIFE, app_claims, person_claims
from local.m365.entra.errors import EntraError
from local.m365.entra.keys import SigningKeys, key_id, private_key
from local.m365.tenant import Tenant

Claims = dict[str, Any]
_SOMEBODY_ELSE = "99999999-9999-9999-9999-999999999999"
_NOBODYS_KEY = -1  # is never published

# What each one changes; None takes the claim away
CLAIMS: dict[str, Callable[[Claims], Claims]] = {
    "other_audience": lambda _: {"aud": _SOMEBODY_ELSE},
    "graph_audience": lambda _: {"aud": "https://graph.microsoft.com"},
    "other_issuer": lambda _: {"iss": f"https://login.microsoftonline.com/{_SOMEBODY_ELSE}/v2.0"},
    "other_tenant": lambda _: {"tid": _SOMEBODY_ELSE},
    "expired": lambda claims: {name: claims[name] - 2 * LIFE for name in ("iat", "nbf", "exp")},
    "not_yet_valid": lambda claims: {"nbf": claims["nbf"] + LIFE},
    "issued_later": lambda claims: {"iat": claims["iat"] + LIFE},
    "version_1": lambda claims: {
        "iss": f"https://sts.windows.net/{claims['tid']}/", "ver": "1.0", "appid": claims["azp"], "azp": None,
    },
    "no_oid": lambda _: {"oid": None},
    "no_tid": lambda _: {"tid": None},
    "no_expiry": lambda _: {"exp": None},
    "no_scope": lambda _: {"scp": None},
    "other_scope": lambda _: {"scp": "User.Read"},
    "no_role": lambda _: {"roles": None},
    "guest": lambda _: {"idp": f"https://sts.windows.net/{_SOMEBODY_ELSE}/", "roles": None},
}  # fmt: skip
SIGNATURES = ("wrong_signature", "unknown_kid", "alg_none", "hs256_with_public_key", "changed_afterwards")
DEFECTS = (*CLAIMS, *SIGNATURES)


def mint(keys: SigningKeys, tenant: Tenant, now: datetime, *, user: str = "", client: str = "", defect: str = "") -> str:
    """A token of a person (by id or user principal name) or of a client (by client id). Raises EntraError for unknown ones."""
    if client:
        if client not in tenant.app.sign_ins.automation:
            raise EntraError(700016)
        claims = app_claims(tenant, tenant.app.sign_ins.automation[client], now)
    else:
        claims = person_claims(tenant, person(tenant, user), now, scope=SCOPE)
    if defect in CLAIMS:
        changed = claims | CLAIMS[defect](claims)
        return keys.sign({name: value for name, value in changed.items() if value is not None})
    return _signed(keys, claims, defect)


def _signed(keys: SigningKeys, claims: Claims, defect: str) -> str:
    import jwt

    stranger, kid = private_key(_NOBODYS_KEY), key_id(keys.current)
    match defect:
        case "":
            return keys.sign(claims)
        case "wrong_signature":
            return jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": kid})
        case "unknown_kid":
            return jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": key_id(_NOBODYS_KEY)})
        case "alg_none":
            return f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': kid})}.{_part(claims)}."
        case "hs256_with_public_key":
            return _symmetric(keys, claims, kid)
        case "changed_afterwards":
            head, _, signature = keys.sign(claims).split(".")
            return f"{head}.{_part({**claims, 'roles': ['Rollcall.Admin'], 'oid': _SOMEBODY_ELSE})}.{signature}"
    raise ValueError(f"there is no defect {defect}: choose one of {', '.join(DEFECTS)}")


def _symmetric(keys: SigningKeys, claims: Claims, kid: str) -> str:
    """What passes for genuine where the public key is taken for a shared secret."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = private_key(keys.current).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{_part(claims)}"
    return f"{signed}.{_base64(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def _part(content: Claims) -> str:
    return _base64(orjson.dumps(content))


def _base64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
