"""What a delivery lets out."""

from __future__ import annotations

import traceback

import pytest

from sync_core import messages
from sync_core.engine import chunk
from sync_core.engine.context import Context
from sync_core.engine.delivery import UnexpectedError, deliver
from sync_core.errors import TransientError
from sync_core.state.names import POISON
from tests.engine.world import TENANT, World

PERSON = "Ada Lovelace"
BODY = b'{"tenant": "%b"}' % TENANT.encode()


async def test_a_bug_is_told_without_the_data_it_stumbled_over() -> None:
    async def stumble(context: Context, message: messages.PurgeTenant) -> None:
        raise ValueError(PERSON)

    with pytest.raises(UnexpectedError) as caught:
        await deliver(World().context, messages.PURGE_TENANT, messages.PurgeTenant, stumble, BODY)

    assert "ValueError in stumble" in str(caught.value)
    assert "Lovelace" not in "".join(traceback.format_exception(caught.value))


async def test_an_expected_error_is_delivered_again_as_it_is() -> None:
    async def wait(context: Context, message: messages.PurgeTenant) -> None:
        raise TransientError("busy")

    with pytest.raises(TransientError, match="busy"):
        await deliver(World().context, messages.PURGE_TENANT, messages.PurgeTenant, wait, BODY)


async def test_a_message_nobody_can_read_is_buried_at_once() -> None:
    world = World()

    async def never(context: Context, message: messages.PurgeTenant) -> None:
        raise AssertionError

    await deliver(world.context, messages.PURGE_TENANT, messages.PurgeTenant, never, b'{"tenant": 7}')

    (row,) = [entity async for entity in world.tables.scan(POISON)]
    assert (row.values["Queue"], row.values["Detail"]) == (messages.PURGE_TENANT, "tenant")


async def test_a_bug_in_one_mailbox_is_logged_without_the_data_it_stumbled_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def stumble(*_: object) -> None:
        raise ValueError(PERSON)

    world = World()
    world.hire_many(2)
    await world.connect()
    monkeypatch.setattr(chunk, "replicate", stumble)

    run = await world.run()

    assert run.reasons == {"internal_error": 2}
    assert "ValueError in stumble" in caplog.text
    assert PERSON not in caplog.text
