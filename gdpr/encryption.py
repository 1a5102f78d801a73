"""Envelope encryption: a master key in the secret store wraps the keys of each tenant; the data key seals what is stored.

The keys of fingerprints, suppressions and the audit trail are keys of their own. Deleting a tenant's wrapped data key makes every
copy of its sealed data unreadable, backups included.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sync_core.errors import ConflictError, InputError, LostPagesError
from sync_core.ports import Entity, Insert, Scalar, Secrets, Tables, TenantKeys
from sync_core.state.names import TENANTS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY = "rollcall-master-key"
KEYS_ROW = "keys"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_LEVEL = 1  # on ledgers, level 6 takes nearly three times as long to save 4 %
_PURPOSES = {"data": "DataKey", "fingerprint": "FingerprintKey", "suppression": "SuppressionKey", "audit": "AuditKey"}


class TenantSealer:
    """Implements Sealer: zlib, then AES-256-GCM under the tenant's data key.

    Layout: format version (1 byte), key id (4), nonce (12), ciphertext and tag. The header, the tenant and the place are
    authenticated. Nonces are random, so one key is good for some 2**32 pages (NIST SP 800-38D, section 8.3).
    """

    def __init__(self, tenant: str, key: bytes) -> None:
        self._tenant = tenant
        self._cipher = _aes(key)
        self._header = _VERSION + _key_id(key)

    def seal(self, plain: bytes, *, place: str) -> bytes:
        """See Sealer."""
        nonce = os.urandom(_NONCE_BYTES)
        packed = zlib.compress(plain, _LEVEL)
        return self._header + nonce + self._cipher.encrypt(nonce, packed, self._bound_to(place))

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """See Sealer."""
        from cryptography.exceptions import InvalidTag

        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        if header != self._header or len(nonce) < _NONCE_BYTES:
            raise LostPagesError("sealed in another format or under another key")
        try:
            return zlib.decompress(self._cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], self._bound_to(place)))
        except (InvalidTag, zlib.error):
            raise LostPagesError("damaged, or sealed for another place or tenant") from None

    def _bound_to(self, place: str) -> bytes:
        return self._header + f"{self._tenant}|{place}".encode()


@dataclass(frozen=True, slots=True)
class _Unwrapped:
    until: float
    keys: TenantKeys
    audit_key: bytes


class TenantKeyring:
    """Implements Keyring. Unwrapped keys are kept for `max_age` seconds, those of the `max_tenants` last used."""

    def __init__(
        self,
        tables: Tables,
        secrets: Secrets,
        *,
        max_tenants: int = 256,
        max_age: float = 900,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = tables
        self._secrets = secrets
        self._max_tenants = max_tenants
        self._max_age = max_age
        self._monotonic = monotonic
        self._cached: OrderedDict[str, _Unwrapped] = OrderedDict()

    async def keys(self, tenant: str) -> TenantKeys:
        """See Keyring. Raises NotFoundError without a master key, InputError when it is not the one that wrapped these keys."""
        return (await self._current(tenant)).keys

    async def audit_key(self, tenant: str) -> bytes:
        """See Keyring. Raises like `keys`."""
        return (await self._current(tenant)).audit_key

    async def _current(self, tenant: str) -> _Unwrapped:
        now = self._monotonic()
        known = self._cached.get(tenant)
        if known is None or known.until <= now:
            stored = await self._tables.get(TENANTS, tenant, KEYS_ROW) or await self._make(tenant)
            known = await self._unwrapped(tenant, stored, until=now + self._max_age)
            self._cached[tenant] = known
        self._cached.move_to_end(tenant)
        while len(self._cached) > self._max_tenants:
            self._cached.popitem(last=False)
        return known

    def forget(self, tenant: str) -> None:
        """Drop what is kept of a tenant's keys in this process."""
        self._cached.pop(tenant, None)

    async def _make(self, tenant: str) -> Entity:
        master = await self._master(MASTER_KEY)
        values: dict[str, Scalar] = {"MasterKey": MASTER_KEY}
        for purpose, name in _PURPOSES.items():
            values[name] = _wrap(master, os.urandom(_KEY_BYTES), tenant, purpose)
        try:
            [etag] = await self._tables.commit(TENANTS, tenant, [Insert(KEYS_ROW, values)])
        except ConflictError:
            winner = await self._tables.get(TENANTS, tenant, KEYS_ROW)
            if winner is None:
                raise
            return winner
        return Entity(tenant, KEYS_ROW, values, etag)

    async def _unwrapped(self, tenant: str, stored: Entity, *, until: float) -> _Unwrapped:
        name = str(stored.values.get("MasterKey"))
        master = await self._master(name)
        data, fingerprint, suppression, audit = (
            _unwrap(master, stored.values.get(column), tenant, purpose, name) for purpose, column in _PURPOSES.items()
        )
        fingerprint_key_id = base64.b32encode(_key_id(fingerprint)).decode()[:3].lower()
        return _Unwrapped(until, TenantKeys(TenantSealer(tenant, data), fingerprint, fingerprint_key_id, suppression), audit)

    async def _master(self, name: str) -> AESGCM:
        secret = await self._secrets.get(name)
        key = _decoded(secret) if secret.isascii() else secret  # a vault holds text; bytes that read as text are no random key
        if len(key) != _KEY_BYTES:
            raise InputError(name, "the secret must be 32 random bytes in base64, as `openssl rand -base64 32` prints them")
        return _aes(key)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        return b""


def _wrap(master: AESGCM, key: bytes, tenant: str, purpose: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + master.encrypt(nonce, key, _wrapped_for(tenant, purpose))


def _unwrap(master: AESGCM, wrapped: Scalar | None, tenant: str, purpose: str, name: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        if not isinstance(wrapped, bytes) or len(wrapped) < _NONCE_BYTES:
            raise InvalidTag
        return master.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _wrapped_for(tenant, purpose))
    except InvalidTag:
        raise InputError(
            name, f"does not open the {purpose} key of tenant {tenant}: restore the secret that wrapped it"
        ) from None


def _wrapped_for(tenant: str, purpose: str) -> bytes:
    return f"rollcall key|{tenant}|{purpose}".encode()


def _key_id(key: bytes) -> bytes:
    return hmac.new(key, b"rollcall key id", hashlib.sha256).digest()[:_KEY_ID_BYTES]


def _aes(key: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
