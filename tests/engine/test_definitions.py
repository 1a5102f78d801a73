"""What is stored of definitions and of what sources were asked, at the edges."""

from __future__ import annotations

from io import BytesIO
from uuid import uuid4

import pytest

from sync_core.errors import InputError
from sync_core.state.syncs import load_sync
from tests.engine.world import SYNC, TENANT, World


def left_out(count: int) -> dict[str, object]:
    return {"selection": {"exclude": [str(uuid4()) for _ in range(count)]}}


async def test_a_definition_is_stored_whole_or_refused() -> None:
    world = World()
    await world.connect(left_out(700))
    assert len((await load_sync(world.tables, TENANT, SYNC)).definition.selection.exclude) == 700
    with pytest.raises(InputError, match="too large"):
        await world.define(left_out(1700))
    assert len((await load_sync(world.tables, TENANT, SYNC)).definition.selection.exclude) == 700


async def test_a_link_that_was_made_for_other_properties_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    people = world.hire_many(3, mailboxes=1)
    await world.connect()
    await world.run()
    world.tenant.change_user(people[1], {"jobTitle": "Baker"})
    with monkeypatch.context() as older:
        older.setattr("sync_core.sources.directory.SELECT", ("id", "displayName"))
        await world.run()
        world.cloud.counters.reset()
        await world.run()
        assert world.cloud.counters.templates["GET /users/delta"] == 1
    record = BytesIO()
    world.cloud.record_to(record)
    await world.run()
    assert b"users/delta?$select" in record.getvalue()
