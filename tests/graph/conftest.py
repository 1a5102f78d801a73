"""A small Microsoft 365 on a virtual clock, reached without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from cloud.graph.graph import Graph
from local.clock import VirtualClock
from local.m365.faults import Fault
from local.m365.service import Microsoft365
from local.m365.tenant import App, Tenant
from local.m365.transport import Microsoft365Transport
from sync_core.ports import Directory, Mailboxes
from tests.graph.canned import TENANT, open_graph


@dataclass
class World:
    """The stand-in, the adapter on top of it, and one tenant with people in it."""

    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.m365 = Microsoft365(self.clock)
        self.tenant: Tenant = self.m365.add_tenant(TENANT, "Contoso", App("the-app", "s3cret"))
        self.users = [
            self.tenant.add_user({"userPrincipalName": f"u{n}@contoso.example", "displayName": f"User {n}"}) for n in range(25)
        ]
        self.graph: Graph = self.open()

    def open(self, *, permanent_delete: bool | None = None) -> Graph:
        """Another process, as it were, in front of the same Microsoft 365."""
        return open_graph(Microsoft365Transport(self.m365), self.clock, permanent_delete=permanent_delete)

    def fault(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        return self.m365.faults.add(fault)

    def mailboxes(self) -> Mailboxes:
        """A new session."""
        return self.graph.mailboxes(TENANT)

    def directory(self) -> Directory:
        """A new session."""
        return self.graph.directory(TENANT)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A world whose traffic never leaves the directory and contacts."""
    world = World()
    yield world
    await world.graph.close()
    assert world.m365.counters.violations == []
