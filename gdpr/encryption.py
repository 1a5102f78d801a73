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
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sync_core.errors import ConflictError, InputError, LostPagesError, NotFoundError
from sync_core.ports import Entity, Insert, Remove, Replace, Scalar, Secrets, Tables, TenantKeys
from sync_core.state.names import AUDIT, TENANTS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY = "rollcall-master-key"
KEYS_ROW = "keys"
AUDIT_KEY_ROW = "key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x02"
_KEY_ID_BYTES = 4
_HEADER_BYTES = len(_VERSION) + _KEY_ID_BYTES
_LEVEL = 1  # on pages, level 3 takes up to twice the time and saves nothing
_PURPOSES = {"data": "DataKey", "fingerprint": "FingerprintKey", "suppression": "SuppressionKey"}
_DATA_KEYS = {**_PURPOSES, "next": "NextDataKey", "former": "FormerDataKey"}
_AUDIT = {"audit": "AuditKey"}


class DataKeyChange(StrEnum):
    """The steps of a rotation: the new key is known to all before it is used, and the old one as long as something needs it."""

    ANNOUNCE = "announce"
    ACTIVATE = "activate"
    FORGET = "forget"


_STEPS = {"NextDataKey": DataKeyChange.ANNOUNCE, "FormerDataKey": DataKeyChange.ACTIVATE}


class TenantSealer:
    """Implements Sealer: Zstandard, then AES-256-GCM under the tenant's data key. What one of `others` has sealed opens too.

    Layout: format version (1 byte), key id (4), nonce (12), ciphertext and tag. The header, the tenant and the place are
    authenticated. Nonces are random, so one key is good for some 2**32 pages (NIST SP 800-38D, section 8.3).
    """

    def __init__(self, tenant: str, key: bytes, *others: bytes) -> None:
        self._tenant = tenant
        self._ciphers = {_VERSION + _key_id(one): _aes(one) for one in (key, *others)}
        self._header = _VERSION + _key_id(key)

    def seal(self, plain: bytes, *, place: str) -> bytes:
        """See Sealer."""
        import zstandard

        nonce = os.urandom(_NONCE_BYTES)
        packed = zstandard.compress(plain, _LEVEL)
        return self._header + nonce + self._ciphers[self._header].encrypt(nonce, packed, self._bound_to(self._header, place))

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """See Sealer."""
        import zstandard
        from cryptography.exceptions import InvalidTag

        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        cipher = self._ciphers.get(header)
        if cipher is None or len(nonce) < _NONCE_BYTES:
            raise LostPagesError("sealed in another format or under another key")
        try:
            packed = cipher.decrypt(nonce, sealed[_HEADER_BYTES + _NONCE_BYTES :], self._bound_to(header, place))
            return zstandard.decompress(packed)
        except (InvalidTag, zstandard.ZstdError):
            raise LostPagesError("damaged, or sealed for another place or tenant") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether something was sealed under the key that is used now."""
        return sealed[:_HEADER_BYTES] == self._header

    def _bound_to(self, header: bytes, place: str) -> bytes:
        return header + f"{self._tenant}|{place}".encode()


class TenantKeyring:
    """Implements Keyring. Unwrapped keys are kept for `max_age` seconds, those of the `max_tenants` last used.

    `master` names the secret that wraps what is wrapped from now on; a row names the one that wrapped it.
    """

    def __init__(
        self,
        tables: Tables,
        secrets: Secrets,
        *,
        master: str = MASTER_KEY,
        max_tenants: int = 256,
        max_age: float = 900,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = tables
        self._secrets = secrets
        self._master_name = master
        self._max_tenants = max_tenants
        self._max_age = max_age
        self._monotonic = monotonic
        self._cached: OrderedDict[str, tuple[float, TenantKeys]] = OrderedDict()
        self._audit_keys: OrderedDict[str, bytes] = OrderedDict()

    async def keys(self, tenant: str) -> TenantKeys:
        """See Keyring. Raises NotFoundError without a master key, InputError when it is not the one that wrapped these keys."""
        now = self._monotonic()
        until, keys = self._cached.get(tenant, (now, None))
        if keys is None or until <= now:
            stored = await self._tables.get(TENANTS, tenant, KEYS_ROW) or await self._make(TENANTS, tenant, KEYS_ROW, _PURPOSES)
            keys = await self._unwrapped(tenant, stored)
            self._cached[tenant] = (now + self._max_age, keys)
        self._cached.move_to_end(tenant)
        while len(self._cached) > self._max_tenants:
            self._cached.popitem(last=False)
        return keys

    async def audit_key(self, tenant: str) -> bytes:
        """See Keyring. Raises like `keys`."""
        key = self._audit_keys.get(tenant)
        if key is None:
            stored = await self._tables.get(AUDIT, tenant, AUDIT_KEY_ROW) or await self._make(
                AUDIT, tenant, AUDIT_KEY_ROW, _AUDIT
            )
            key = self._audit_keys[tenant] = (await self._opened(tenant, stored, _AUDIT))["audit"]
        self._audit_keys.move_to_end(tenant)
        while len(self._audit_keys) > self._max_tenants:
            self._audit_keys.popitem(last=False)
        return key

    def forget(self, tenant: str) -> None:
        """Drop what is kept of a tenant's keys in this process."""
        self._cached.pop(tenant, None)
        self._audit_keys.pop(tenant, None)

    async def destroy(self, tenant: str) -> None:
        """Delete the keys, and with them every copy of what they sealed. That of the audit trail stays: it opens nothing."""
        await self._tables.commit(TENANTS, tenant, [Remove(KEYS_ROW)])
        self.forget(tenant)

    async def rewrap(self, tenant: str) -> bool:
        """Wrap a tenant's keys anew where another master key wrapped them; returns whether one did. Repeatable."""
        done = False
        for table, row, purposes in ((TENANTS, KEYS_ROW, _DATA_KEYS), (AUDIT, AUDIT_KEY_ROW, _AUDIT)):
            stored = await self._tables.get(table, tenant, row)
            if stored is None or stored.values.get("MasterKey") == self._master_name:
                continue
            keys = await self._opened(tenant, stored, _there(purposes, stored))
            values = {**stored.values, **await self._wrapped(tenant, keys, purposes)}
            await self._tables.commit(table, tenant, [Replace(row, values, stored.etag)])
            self.forget(tenant)
            done = True
        return done

    async def change_data_key(self, tenant: str, change: DataKeyChange, now: datetime) -> None:
        """Take one step of a rotation: see `gdpr.rotation`. Raises ConflictError when somebody else was first."""
        stored = await self._tables.get(TENANTS, tenant, KEYS_ROW)
        if stored is None:
            raise NotFoundError("this tenant has no keys")
        keys = await self._opened(tenant, stored, _there(_DATA_KEYS, stored))
        if change is DataKeyChange.ANNOUNCE:
            keys["next"] = os.urandom(_KEY_BYTES)
        elif change is DataKeyChange.ACTIVATE:
            keys["former"], keys["data"] = keys["data"], keys.pop("next")
        else:
            keys.pop("former")
        values = {**await self._wrapped(tenant, keys, _DATA_KEYS), "RotatedAt": now}
        await self._tables.commit(TENANTS, tenant, [Replace(KEYS_ROW, values, stored.etag)])
        self.forget(tenant)

    async def rotation(self, tenant: str) -> tuple[DataKeyChange | None, datetime | None]:
        """The last step of a rotation that is not over, and when it was taken."""
        stored = await self._tables.get(TENANTS, tenant, KEYS_ROW)
        if stored is None:
            return None, None
        at = stored.values.get("RotatedAt")
        change = next((done for column, done in _STEPS.items() if column in stored.values), None)
        return change, at if isinstance(at, datetime) else None

    async def _make(self, table: str, tenant: str, row: str, purposes: Mapping[str, str]) -> Entity:
        values = await self._wrapped(tenant, {purpose: os.urandom(_KEY_BYTES) for purpose in purposes}, purposes)
        try:
            [etag] = await self._tables.commit(table, tenant, [Insert(row, values)])
        except ConflictError:
            winner = await self._tables.get(table, tenant, row)
            if winner is None:
                raise
            return winner
        return Entity(tenant, row, values, etag)

    async def _wrapped(self, tenant: str, keys: Mapping[str, bytes], purposes: Mapping[str, str]) -> dict[str, Scalar]:
        master = await self._master(self._master_name)
        wrapped: dict[str, Scalar] = {purposes[purpose]: _wrap(master, key, tenant, purpose) for purpose, key in keys.items()}
        return {"MasterKey": self._master_name, **wrapped}

    async def _opened(self, tenant: str, stored: Entity, purposes: Mapping[str, str]) -> dict[str, bytes]:
        name = str(stored.values.get("MasterKey"))
        master = await self._master(name)
        return {
            purpose: _unwrap(master, stored.values.get(column), tenant, purpose, name) for purpose, column in purposes.items()
        }

    async def _unwrapped(self, tenant: str, stored: Entity) -> TenantKeys:
        keys = await self._opened(tenant, stored, _there(_DATA_KEYS, stored))
        fingerprint = keys["fingerprint"]
        fingerprint_key_id = base64.b32encode(_key_id(fingerprint)).decode()[:3].lower()
        others = [keys[purpose] for purpose in ("former", "next") if purpose in keys]
        return TenantKeys(TenantSealer(tenant, keys["data"], *others), fingerprint, fingerprint_key_id, keys["suppression"])

    async def _master(self, name: str) -> AESGCM:
        secret = await self._secrets.get(name)
        key = _decoded(secret) if secret.isascii() else secret  # a vault holds text; bytes that read as text are no random key
        if len(key) != _KEY_BYTES:
            raise InputError(name, "the secret must be 32 random bytes in base64, as `openssl rand -base64 32` prints them")
        return _aes(key)


def _there(purposes: Mapping[str, str], stored: Entity) -> dict[str, str]:
    """The keys that a row must have, and those of a rotation that it has."""
    return {name: column for name, column in purposes.items() if name not in ("next", "former") or column in stored.values}


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
