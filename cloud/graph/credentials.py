"""Tokens for Graph: client credentials per customer tenant.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from cloud.graph.errors import error_for
from sync_core.ports import Clock, Secrets

if TYPE_CHECKING:
    import httpx
    from azure.core.credentials_async import AsyncTokenCredential

    from cloud.graph.token_transport import TokenTransport

_EARLY = 300.0  # seconds before its end at which a token is replaced
_KEPT = 1000  # tenants whose token is remembered
_EXCHANGE_SCOPE = "api://AzureADTokenExchange/.default"


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """Sign in with the client secret of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """Sign in with the certificate (PEM or PKCS12, private key included) of this name."""

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
        self, application: Application, secrets: Secrets, clock: Clock, http: httpx.AsyncClient, *, authority: str, scope: str
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

    def _usable(self, tenant: str, rejected: str) -> _Token | None:
        token = self._tokens.get(tenant)
        if token is None or token.value == rejected or token.until <= self._clock.now().timestamp():
            return None
        self._tokens.move_to_end(tenant)
        return token

    async def _renew(self, tenant: str) -> _Token:
        try:
            credential = await self._credential(tenant)
            issued = await credential.get_token(self._scope)
        except Exception as error:
            raise error_for(error) from error
        lifetime = issued.expires_on - time.time()
        token = _Token(issued.token, self._clock.now().timestamp() + max(lifetime - _EARLY, lifetime / 2))
        self._tokens[tenant] = token
        self._tokens.move_to_end(tenant)
        if len(self._tokens) > _KEPT:
            self._tokens.popitem(last=False)
        return token

    async def _credential(self, tenant: str) -> AsyncTokenCredential:
        from azure.identity.aio import CertificateCredential, ClientAssertionCredential, ClientSecretCredential

        from cloud.graph.token_transport import TokenTransport

        client_id = self._application.client_id
        transport = TokenTransport(self._http, self._clock, authority=self._authority)
        authority = transport.secure_authority
        match self._application.proof:
            case ClientSecret(name):
                secret = (await self._secrets.get(name)).decode()
                return ClientSecretCredential(tenant, client_id, secret, authority=authority, transport=transport)
            case Certificate(name):
                data = await self._secrets.get(name)
                return CertificateCredential(tenant, client_id, certificate_data=data, authority=authority, transport=transport)
            case ManagedIdentity(identity):
                assertion = await self._assertion(identity, transport)
                return ClientAssertionCredential(tenant, client_id, lambda: assertion, authority=authority, transport=transport)

    async def _assertion(self, identity: str, transport: TokenTransport) -> str:
        from azure.identity.aio import ManagedIdentityCredential

        if self._identity is None:
            self._identity = ManagedIdentityCredential(client_id=identity, transport=transport)
        return (await self._identity.get_token(_EXCHANGE_SCOPE)).token
