"""Tokens for the tests of the verifier, right and wrong in every way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from api.principal import Role
from api.signin.authentication import SignIn
from api.signin.keys import SigningKeys
from local.clock import VirtualClock
from local.memory import MemoryTables
from sync_core.definition import TenantSettings
from sync_core.errors import TransientError
from sync_core.state.tenants import Tenant, insert_tenant

TENANT = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"
PARTNER = "33333333-3333-3333-3333-333333333333"
PERSON = "aaaaaaaa-0000-0000-0000-000000000001"
CLIENT = "cccccccc-0000-0000-0000-000000000001"
AUTHORITY = "https://login.microsoftonline.com"
ISSUER = f"{AUTHORITY}/{{tenantid}}/v2.0"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"


@cache
def private_key(number: int = 1, bits: int = 2048) -> RSAPrivateKey:
    """A key of Entra's, or of somebody else."""
    return generate_private_key(public_exponent=65537, key_size=bits)


def jwk(kid: str, number: int = 1, **changed: Any) -> dict[str, Any]:
    """A key as the key set lists it."""
    key = json.loads(RSAAlgorithm.to_jwk(private_key(number).public_key()))
    return {"kty": "RSA", "use": "sig", "kid": kid, "n": key["n"], "e": key["e"], "issuer": ISSUER, **changed}


@dataclass
class Entra:
    """The two documents, as the port delivers them, and the sign-in that reads them."""

    keys: list[dict[str, Any]] = field(
        default_factory=lambda: [jwk("one"), jwk("personal", 2, issuer=ISSUER.replace("{tenantid}", PERSONAL))]
    )
    configuration: dict[str, Any] = field(
        default_factory=lambda: {"issuer": ISSUER, "jwks_uri": f"{AUTHORITY}/organizations/discovery/v2.0/keys"}
    )
    granted: set[tuple[str, str]] = field(default_factory=set)
    granted_roles: frozenset[str] = frozenset(Role)

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.tables = MemoryTables()
        self.fetched: list[str] = []
        self.down = False
        self.signing = SigningKeys(self.fetch, self.clock, authority=AUTHORITY)
        self.sign_in = SignIn(self.tables, self.signing, self.clock, client_id=CLIENT, granted=self._is_granted)

    async def _is_granted(self, customer: str, partner: str) -> frozenset[str]:
        return self.granted_roles if (customer, partner) in self.granted else frozenset()

    async def connect(self, *tenants: str) -> None:
        """Connect tenants."""
        for tenant in tenants:
            await insert_tenant(self.tables, Tenant(tenant, TenantSettings()))

    async def fetch(self, url: str) -> bytes:
        """The port."""
        self.fetched.append(url)
        await self.clock.sleep(1)
        if self.down:
            raise TransientError("down")
        if url == f"{AUTHORITY}/organizations/v2.0/.well-known/openid-configuration":
            return json.dumps(self.configuration).encode()
        assert url == self.configuration["jwks_uri"]
        return json.dumps({"keys": self.keys}).encode()

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What a person's token claims; a value of None leaves the claim out."""
        now = int(self.clock.now().timestamp())
        tenant = changed.get("tid", TENANT)
        claims = {
            "aud": CLIENT,
            "iss": ISSUER.replace("{tenantid}", str(tenant)),
            "iat": now,
            "nbf": now,
            "exp": now + 4000,
            "azp": CLIENT,
            "oid": PERSON,
            "scp": "access_as_user",
            "sub": "pairwise",
            "tid": TENANT,
            "ver": "2.0",
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def app_claims(self, **changed: Any) -> dict[str, Any]:
        """What a service principal's token claims."""
        return self.claims(**{"scp": None, "idtyp": "app", "azpacr": "1", "roles": ["Rollcall.Admin"], **changed})

    def token(self, *, key: Any = 1, kid: Any = "one", header: Any = None, **changed: Any) -> str:
        """A person's token."""
        return sign(self.claims(**changed), key=key, header={"kid": kid, **(header or {})})

    def at(self, seconds: float) -> int:
        """So many seconds from now, as tokens write times."""
        return int((self.clock.now() + timedelta(seconds=seconds)).timestamp())


def sign(claims: dict[str, Any], *, key: int = 1, header: dict[str, Any] | None = None) -> str:
    """A token with these claims."""
    return jwt.encode(claims, private_key(key), algorithm="RS256", headers={"kid": "one"} if header is None else header)
