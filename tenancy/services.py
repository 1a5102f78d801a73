"""What this package needs of the world, beyond what the engine needs. `cloud` implements these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sync_core.engine.context import Context
from sync_core.ports import VersionedSecrets

REGION_SCOPE = "tenant_region_scope"
"""The field of a tenant's OpenID configuration that says where its data must stay."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What Graph answered to one request. `code` is its error code, `body` what it sent when it was well."""

    status: int
    code: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the request was allowed and answered."""
        return 200 <= self.status < 300


class Microsoft(Protocol):
    """Microsoft 365 as the app alone sees it, without anything that the engine adds."""

    async def roles(self, tenant: str) -> frozenset[str]:
        """The application permissions in a token that is issued now. Raises TenantError, TransientError."""

    async def look(self, tenant: str, path: str) -> Seen:
        """GET a path of Graph, such as `/users?$top=1`, once. Raises TenantError (no token), TransientError."""


class Webhook(Protocol):
    """Sends to addresses that tenants name: they are not to be trusted."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST to an https address in the public internet; returns the status. Raises UnreachableError."""


class UnreachableError(Exception):
    """A webhook could not be called. `why` is one of a few words, nothing of the other side."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Installation:
    """How this app is set up.

    `tenants` are those that may be connected, None for any. `address` is where people reach the app, "" where nobody said.
    `eu_address` is where a deployment in the EU is reached. `region` is an Azure region.
    """

    client_id: str
    authority: str
    region: str
    tenants: frozenset[str] | None
    address: str = ""
    eu_address: str = ""
    graph: str = "https://graph.microsoft.com"


@dataclass(frozen=True, slots=True)
class Tenancy:
    """The services of this package. `fetch` gets a public document; `erase` forgets all about a tenant, and may be repeated."""

    core: Context
    installation: Installation
    secrets: VersionedSecrets
    microsoft: Microsoft
    webhook: Webhook
    fetch: Callable[[str], Awaitable[bytes]]
    erase: Callable[[str], Awaitable[None]]
