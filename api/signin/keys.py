"""Entra's signing keys: fetched when first needed, when old, and when a token names a key that is not among them.

https://learn.microsoft.com/entra/identity-platform/signing-key-rollover
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from api.signin.claims import TENANT_PLACE, SigningKey
from sync_core.errors import TransientError
from sync_core.ports import Clock

Fetch = Callable[[str], Awaitable[bytes]]
"""Gets a document by its URL. Bounds time and size; raises TransientError when it cannot be had."""

FRESH = timedelta(hours=12)
USABLE = timedelta(hours=24)
"""After FRESH the keys are fetched again; if that fails, they still serve until USABLE, and then nobody is let in."""

PAUSE = timedelta(seconds=60)
"""Between two fetches, whatever keys are asked for: made-up key ids must not become requests to Entra."""

RETRY = timedelta(seconds=5)
"""Between two fetches while there are no keys at all."""

_DISCOVERY = "organizations/v2.0/.well-known/openid-configuration"
_LEAST_BITS = 2048
_MOST_KEYS = 100


class SigningKeys:
    """The keys of one authority, for all tenants. Belongs to one event loop."""

    def __init__(self, fetch: Fetch, clock: Clock, *, authority: str) -> None:
        self._fetch = fetch
        self._clock = clock
        self._authority = authority
        self._keys: dict[str, SigningKey] = {}
        self._fetched: datetime | None = None
        self._tried: datetime | None = None
        self._lock = asyncio.Lock()

    async def get(self, key_id: str) -> SigningKey | None:
        """The key of this id; None when Entra has none. Raises TransientError when Entra cannot be asked."""
        if not self._needs_fetch(key_id) or (self._lock.locked() and key_id in self._keys and self._within(USABLE)):
            return self._keys.get(key_id)
        async with self._lock:
            if self._needs_fetch(key_id) and not _within(self._tried, self._clock.now(), PAUSE if self._keys else RETRY):
                await self._renew()
        if not self._within(USABLE):
            raise TransientError("the signing keys of Microsoft Entra cannot be read")
        return self._keys.get(key_id)

    def _needs_fetch(self, key_id: str) -> bool:
        return key_id not in self._keys or not self._within(FRESH)

    def _within(self, age: timedelta) -> bool:
        return _within(self._fetched, self._clock.now(), age)

    async def _renew(self) -> None:
        self._tried = self._clock.now()
        try:
            self._keys = await self._read()
        except TransientError:
            return
        self._fetched = self._clock.now()

    async def _read(self) -> dict[str, SigningKey]:
        configuration = _json(await self._fetch(f"{self._authority}/{_DISCOVERY}"))
        issuer, address = configuration.get("issuer"), configuration.get("jwks_uri")
        if not isinstance(issuer, str) or not issuer.startswith("https://") or not issuer.endswith(f"/{TENANT_PLACE}/v2.0"):
            raise TransientError("the OpenID configuration names no issuer of tenants")
        if not isinstance(address, str) or not address.startswith(f"{self._authority}/"):
            raise TransientError("the OpenID configuration names keys of somebody else")
        listed = _json(await self._fetch(address)).get("keys")
        keys = {}
        for entry in listed[:_MOST_KEYS] if isinstance(listed, list) else []:
            if isinstance(entry, dict) and (key := _key(entry, issuer)) is not None:
                keys[entry["kid"]] = key
        if not keys:
            raise TransientError("the key set holds no key that can be used")
        return keys


def _within(since: datetime | None, now: datetime, age: timedelta) -> bool:
    """Whether less than `age` has gone by; a clock that was set back counts as too long."""
    return since is not None and timedelta(0) <= now - since < age


def _json(document: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise TransientError("a document of Microsoft Entra is no JSON") from None
    if not isinstance(value, dict):
        raise TransientError("a document of Microsoft Entra is no JSON object")
    return value


def _key(entry: Mapping[str, Any], issuer: str) -> SigningKey | None:
    """A key that may sign tokens; None for any other kind. A key without an issuer of its own is the document's."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt import PyJWTError
    from jwt.algorithms import RSAAlgorithm

    named = entry.get("issuer", issuer)
    if not isinstance(entry.get("kid"), str) or not entry["kid"] or not isinstance(named, str):
        return None
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    if named != issuer and TENANT_PLACE in named:
        return None
    try:
        key = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
    except (PyJWTError, KeyError, ValueError, TypeError):
        return None
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
        return None
    return SigningKey(key, named)
