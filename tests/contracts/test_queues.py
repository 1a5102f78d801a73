"""What every implementation of Queues must do."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from azure.storage.queue.aio import QueueServiceClient

from cloud.queues import AzureQueues
from local.azurite import Azurite
from local.clock import VirtualClock
from local.memory import MemoryQueues
from sync_core.ports import Queues

Visible = Callable[[str], Awaitable[list[bytes]]]


@dataclass
class Subject:
    queues: Queues
    visible: Visible  # takes out what a worker would get now, decoded as the Functions host decodes it


@pytest.fixture(params=["memory", "azure"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "memory":
        memory = MemoryQueues(VirtualClock())

        async def from_memory(queue: str) -> list[bytes]:
            return [delivery.body for delivery in iter(lambda: memory.receive(queue), None)]

        yield Subject(memory, from_memory)
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    adapter = AzureQueues(connection_string=azurite.connection_string)
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as service:

        async def from_azure(queue: str) -> list[bytes]:
            client = service.get_queue_client(queue)
            return [base64.b64decode(message.content, validate=True) async for message in client.receive_messages()]

        yield Subject(adapter, from_azure)
        await adapter.close()


async def test_a_message_comes_as_json_from_a_queue_made_on_first_use(subject: Subject, unique: Callable[[str], str]) -> None:
    queue = unique("q")
    await subject.queues.send(queue, {"tenant": "t", "chunk": 3})
    await subject.queues.send(queue, {"tenant": "Zoë"})
    bodies = await subject.visible(queue)
    assert sorted((json.loads(body) for body in bodies), key=len) == [{"tenant": "Zoë"}, {"tenant": "t", "chunk": 3}]


async def test_a_delayed_message_is_not_visible_yet(subject: Subject, unique: Callable[[str], str]) -> None:
    queue = unique("q")
    await subject.queues.send(queue, {"n": 1}, delay=7 * 24 * 3600)
    await subject.queues.send(queue, {"n": 2}, delay=0.5)
    await subject.queues.send(queue, {"n": 3})
    assert [json.loads(body) for body in await subject.visible(queue)] == [{"n": 3}]


async def test_what_a_queue_does_not_take_is_refused(subject: Subject, unique: Callable[[str], str]) -> None:
    queue = unique("q")
    frame = len('{"text":""}')
    await subject.queues.send(queue, {"text": "x" * (49_152 - frame)})
    with pytest.raises(ValueError, match="bytes"):
        await subject.queues.send(queue, {"text": "x" * (49_153 - frame)})
    for delay in (-1, 7 * 24 * 3600 + 1):
        with pytest.raises(ValueError, match="waits"):
            await subject.queues.send(queue, {"n": 1}, delay=delay)
    assert len(await subject.visible(queue)) == 1
