"""Microsoft 365 over Microsoft Graph v1.0."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from cloud.graph.access import GraphAccess
from cloud.graph.batch import Gates
from cloud.graph.calendars import GraphCalendars
from cloud.graph.client import Client
from cloud.graph.credentials import Application
from cloud.graph.directory import GraphDirectory
from cloud.graph.mailboxes import GraphMailboxes
from cloud.graph.photos import GraphPhotos
from sync_core.ports import Calendars, Clock, Directory, Mailboxes, MicrosoftGraph, Photos, VersionedSecrets

BASE_URL = "https://graph.microsoft.com/v1.0"
AUTHORITY = "https://login.microsoftonline.com"

# https://learn.microsoft.com/graph/deployments
_NATIONAL_CLOUDS = ("graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn")


class Graph(MicrosoftGraph):
    """Opens tenants. One per process and event loop: it holds the connections, the tokens and the gates of the mailboxes.

    `base_url` and `authority` name another cloud, or by plain http a server on this machine; `transport` replaces the network.
    `permanent_delete` says whether this cloud can remove for good, which the national clouds cannot
    (https://learn.microsoft.com/graph/api/contact-permanentdelete); None asks the host name.
    """

    def __init__(
        self,
        application: Application,
        secrets: VersionedSecrets,
        clock: Clock,
        *,
        base_url: str = BASE_URL,
        authority: str = AUTHORITY,
        permanent_delete: bool | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client = Client(application, secrets, clock, base_url=base_url, authority=authority, transport=transport)
        self.resource = self._client.resource
        self._clock = clock
        self._gates = Gates()
        if permanent_delete is None:
            permanent_delete = urlsplit(base_url).hostname not in _NATIONAL_CLOUDS
        self._permanent_delete = permanent_delete

    def directory(self, tenant: str) -> Directory:
        """The tenant's directory, with a fresh account of what is spent."""
        return GraphDirectory(tenant, self._client, self._clock)

    def mailboxes(self, tenant: str) -> Mailboxes:
        """The tenant's mailboxes, with a fresh account of what is spent."""
        return GraphMailboxes(tenant, self._client, self._gates, self._clock, permanent_delete=self._permanent_delete)

    def access(self) -> GraphAccess:
        """What the app may do in tenants."""
        return GraphAccess(self._client)

    def calendars(self, tenant: str, *, color: str = "") -> Calendars:
        """The calendars of the tenant's mailboxes; new ones get this colour."""
        permanent = self._permanent_delete
        return GraphCalendars(tenant, self._client, self._gates, self._clock, permanent_delete=permanent, color=color)

    def photos(self, tenant: str) -> Photos:
        """The tenant's photos, with a fresh account of what is spent."""
        return GraphPhotos(tenant, self._client, self._gates, self._clock)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()
