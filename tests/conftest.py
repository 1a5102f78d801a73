"""Fixtures that any test may ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from local.azurite import Azurite

LONGEST = "tests/engine/test_machine.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that takes by far the longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """The storage emulator, started for the first test that asks for it and shared by all: use `unique` names in it."""
    with Azurite() as running:
        yield running


@pytest.fixture
def unique() -> Callable[[str], str]:
    """`unique("orders")` is a name that no other test uses and that tables, queues and containers accept (letters and digits)."""
    return lambda prefix: f"{prefix}{uuid4().hex[:16]}"
