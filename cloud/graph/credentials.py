"""Tokens for Graph: client credentials per customer tenant.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from cloud.graph.errors import error_for
from sync_core.errors import Reason, RollcallError, TenantError
from sync_core.ports import Clock, VersionedSecrets

if TYPE_CHECKING:
    import httpx
    from azure.core.credentials_async import AsyncTokenCredential

    from cloud.graph.token_transport import TokenTransport

_EARLY = 300.0  # seconds before its end at which a token is replaced
_KEPT = 1000  # tenants whose token is remembered
# https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
_EXCHANGE = "api://AzureADTokenExchange"
_NATIONAL_EXCHANGE = {
    "login.microsoftonline.us": f"{_EXCHANGE}USGov",
    "login.partner.microsoftonline.cn": f"{_EXCHANGE}China",
    "login.chinacloudapi.cn": f"{_EXCHANGE}China",
}


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """Sign in with the client secret of this name; while it is rotated, with the one before it when the newest is refused."""

    name: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """Sign in with the certificate of this name, private key included; rotated as ClientSecret is.

    Key Vault holds it as PEM, or as PKCS12 in base64
    (https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#exportable-or-non-exportable-key).
    """

    name: str


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """Sign in as the user-assigned managed identity that the application trusts as a federated credential.

    https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
    """

    client_id: str


Proof = ClientSecret | Certificate | ManagedIdentity


@dataclass(frozen=True, slots=True)
class Application:
    """Our registration in Microsoft Entra and how it proves itself."""

    client_id: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    until: float


class Tokens:
    """One access token per tenant, renewed before it expires.

    Every renewal makes a credential of its own: the credential's cache would be a second one behind this, and a slow one, and a
    rotated secret is picked up this way.
    """

    def __init__(
        self,
        application: Application,
        secrets: VersionedSecrets,
        clock: Clock,
        http: httpx.AsyncClient,
        *,
        authority: str,
        scope: str,
    ) -> None:
        self._application = application
        self._secrets = secrets
        self._clock = clock
        self._http = http
        self._authority = authority
        self._scope = scope
        self._tokens: OrderedDict[str, _Token] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._identity: AsyncTokenCredential | None = None

    async def get(self, tenant: str, *, rejected: str = "") -> str:
        """A token for the tenant, another one than `rejected`. Raises TenantError or TransientError."""
        token = self._usable(tenant, rejected)
        if token is None:
            lock = self._locks.setdefault(tenant, asyncio.Lock())
            async with lock:
                token = self._usable(tenant, rejected)
                if token is None:
                    token = await self._renew(tenant)
        return token.value

    async def issue(self, tenant: str) -> str:
        """A token that is issued now; others go on with it. Raises TenantError or TransientError."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            return (await self._renew(tenant)).value

    def _usable(self, tenant: str, rejected: str) -> _Token | None:
        token = self._tokens.get(tenant)
        if token is None or token.value == rejected or token.until <= self._clock.now().timestamp():
            return None
        self._tokens.move_to_end(tenant)
        return token

    async def _renew(self, tenant: str) -> _Token:
        """A new token by the newest credential that Microsoft takes, looked up anew when those kept here are all refused."""
        try:
            return await self._signed_in(tenant, fresh=False)
        except TenantError as error:
            if not _is_refusal(error) or isinstance(self._application.proof, ManagedIdentity):
                raise
        return await self._signed_in(tenant, fresh=True)

    async def _signed_in(self, tenant: str, *, fresh: bool) -> _Token:
        """Raises the error of the newest credential when all are refused."""
        refused: RollcallError | None = None
        async for credential in self._credentials(tenant, fresh=fresh):
            try:
                issued = await credential().get_token(self._scope)
            except Exception as error:
                meant = error_for(error)
                refused = refused or meant
                if not _is_refusal(meant):
                    raise meant from error
                continue
            return self._keep(tenant, issued.token, issued.expires_on - time.time())
        raise refused or TenantError(Reason.CREDENTIAL_REJECTED)

    def _keep(self, tenant: str, value: str, lifetime: float) -> _Token:
        token = _Token(value, self._clock.now().timestamp() + max(lifetime - _EARLY, lifetime / 2))
        self._tokens[tenant] = token
        self._tokens.move_to_end(tenant)
        if len(self._tokens) > _KEPT:
            self._tokens.popitem(last=False)
        return token

    async def _credentials(self, tenant: str, *, fresh: bool) -> AsyncIterator[Callable[[], AsyncTokenCredential]]:
        """What may prove who we are, in the order in which to try it. Raises what `error_for` makes of a missing secret."""
        from azure.identity.aio import CertificateCredential, ClientAssertionCredential, ClientSecretCredential

        from cloud.graph.token_transport import TokenTransport

        transport = TokenTransport(self._http, self._clock, authority=self._authority)
        options: Any = {
            "tenant_id": tenant,
            "client_id": self._application.client_id,
            "authority": transport.secure_authority,
            "transport": transport,
        }
        try:
            match self._application.proof:
                case ClientSecret(name):
                    for value in await self._secrets.versions(name, fresh=fresh):
                        yield partial(ClientSecretCredential, client_secret=value.decode(), **options)
                case Certificate(name):
                    for value in await self._secrets.versions(name, fresh=fresh):
                        yield partial(CertificateCredential, certificate_data=_certificate(value), **options)
                case ManagedIdentity(identity):
                    assertion = await self._assertion(identity, transport)
                    yield partial(ClientAssertionCredential, func=lambda: assertion, **options)
        except Exception as error:
            raise error_for(error) from error

    async def _assertion(self, identity: str, transport: TokenTransport) -> str:
        from azure.identity.aio import ManagedIdentityCredential

        if self._identity is None:
            self._identity = ManagedIdentityCredential(client_id=identity, transport=transport)
        audience = _NATIONAL_EXCHANGE.get(urlsplit(self._authority).hostname or "", _EXCHANGE)
        return (await self._identity.get_token(f"{audience}/.default")).token


def _is_refusal(error: RollcallError) -> bool:
    return isinstance(error, TenantError) and error.reason is Reason.CREDENTIAL_REJECTED


def _certificate(stored: bytes) -> bytes:
    if b"-----BEGIN" in stored or not stored.isascii():
        return stored
    try:
        return base64.b64decode(stored, validate=True)
    except binascii.Error:
        return stored
