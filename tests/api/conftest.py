"""An admin of the world's tenant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api import rates
from tests.api.client import Client
from tests.engine.world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def admin(world: World, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a connected tenant with one sync."""
    await world.connect()
    return Client(monkeypatch, world.context)


@pytest.fixture(autouse=True)
def full_buckets() -> Iterator[None]:
    rates.forget()
    yield
    rates.forget()
