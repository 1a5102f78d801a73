"""Builds the object graph once per worker: settings -> adapters -> services. Nothing else knows both sides of the ports."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from secrets import token_hex
from typing import TYPE_CHECKING, cast

from cloud.settings import Settings
from sync_core.engine.context import Context
from sync_core.notices import Notice
from sync_core.ports import VersionedSecrets
from tenancy import notices, residency
from tenancy.services import Installation, Tenancy

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from cloud.graph.credentials import Proof


@dataclass(frozen=True, slots=True)
class Identity:
    """Our registration in Microsoft Entra, whom we ask about it, and how: `fetch` gets a document by its URL."""

    client_id: str
    authority: str
    fetch: Callable[[str], Awaitable[bytes]]


@cache
def context() -> Context:
    """The services of this process, built on first use. Raises InputError that names a wrong or missing setting."""
    return build(Settings.from_environment(os.environ))


def tenancy() -> Tenancy:
    """What connects tenants, over the services of this process. Raises InputError that names a wrong or missing setting."""
    return _tenancy(context(), Settings.from_environment(os.environ))


@cache
def identity() -> Identity:
    """What callers' tokens are checked against. Raises InputError that names a wrong or missing setting."""
    from cloud.documents import fetch

    settings = Settings.from_environment(os.environ)
    return Identity(settings.client_id, settings.authority, fetch)


def build(settings: Settings) -> Context:
    """Wire everything for `settings`. No connection is made before it is used."""
    from cloud.blobs import AzureBlobs
    from cloud.clock import SystemClock
    from cloud.graph.credentials import Application
    from cloud.graph.graph import Graph
    from cloud.queues import AzureQueues
    from cloud.tables import AzureTables
    from gdpr.encryption import TenantKeyring
    from gdpr.retention import purge_caches
    from gdpr.sealed_tables import SealedTables

    # At their usual level these log every URL, and in URLs stand people's object ids
    for name in ("httpx", "azure.core.pipeline.policies.http_logging_policy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    storage = settings.storage
    identity = None if storage.connection_string else _managed_identity(storage.identity_client_id)
    stored = AzureTables(connection_string=storage.connection_string, endpoint=storage.table_endpoint, credential=identity)
    queues = AzureQueues(connection_string=storage.connection_string, endpoint=storage.queue_endpoint, credential=identity)
    blobs = AzureBlobs(connection_string=storage.connection_string, endpoint=storage.blob_endpoint, credential=identity)
    secrets = _secrets(settings)
    keyring = TenantKeyring(stored, secrets, master=settings.master_key_name)
    tables = SealedTables(stored, keyring)
    clock = SystemClock()
    graph = Graph(
        Application(settings.client_id, _proof(settings)),
        secrets,
        clock,
        base_url=settings.graph,
        authority=settings.authority,
    )

    async def purge(tenant: str, sync: str | None) -> None:
        await purge_caches(tables, tenant, sync)

    async def admit(tenant: str) -> None:
        await residency.admit(_tenancy(core, settings), tenant)

    async def notify(notice: Notice) -> None:
        await notices.note(core, notice)

    core = Context(
        tables=tables,
        queues=queues,
        blobs=blobs,
        graph=graph,
        keyring=keyring,
        clock=clock,
        installation=settings.installation,
        lease=timedelta(seconds=settings.lease_seconds),
        owner=token_hex(8),
        purge=purge,
        admit=admit,
        notify=notify,
    )
    return core


def _tenancy(core: Context, settings: Settings) -> Tenancy:
    from cloud.documents import fetch
    from cloud.graph.graph import Graph
    from cloud.webhook import PublicWebhook
    from gdpr.tenants import erase_tenant

    async def erase(tenant: str) -> None:
        await erase_tenant(core, tenant)

    graph = cast("Graph", core.graph)
    installation = Installation(
        settings.client_id,
        settings.authority,
        settings.region,
        settings.tenants,
        address=settings.address,
        eu_address=settings.eu_address,
        graph=graph.resource,
    )
    return Tenancy(core, installation, _secrets(settings), graph.access(), PublicWebhook(), fetch, erase)


@cache
def _secrets(settings: Settings) -> VersionedSecrets:
    if settings.secrets_file is not None:
        from cloud.file_secrets import FileSecrets

        return FileSecrets(settings.secrets_file)
    from cloud.vault import VaultSecrets

    return VaultSecrets(settings.vault_url, _managed_identity(settings.storage.identity_client_id))


def _proof(settings: Settings) -> Proof:
    from cloud.graph.credentials import Certificate, ClientSecret, ManagedIdentity

    if settings.identity_client_id:
        return ManagedIdentity(settings.identity_client_id)
    if settings.certificate_name:
        return Certificate(settings.certificate_name)
    return ClientSecret(settings.client_secret_name)


def _managed_identity(client_id: str) -> AsyncTokenCredential:
    from azure.identity.aio import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=client_id or None)
