from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import pytest
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from local.azurite import Azurite
from local.host import FunctionsHost, HostSettings, QueueSettings

Handler = Callable[[func.QueueMessage], Awaitable[Any]]
QUICK = QueueSettings(batch_size=2, new_batch_threshold=1, max_dequeue_count=3, max_polling_interval=0.2)


class Bench:
    """A queue, and hosts that listen to it."""

    def __init__(self, azurite: Azurite, name: str) -> None:
        self.name = name
        self.connection_string = azurite.connection_string
        self.queue = self.client(name)
        self.poison = self.client(f"{name}-poison")
        self._hosts: list[FunctionsHost] = []

    def client(self, name: str) -> QueueClient:
        return QueueClient.from_connection_string(self.connection_string, name)

    async def send(self, *texts: str, delay: int | None = None) -> None:
        for text in texts:
            await self.queue.send_message(TextBase64EncodePolicy().encode(text), visibility_timeout=delay)

    def host(self, handler: Handler, settings: QueueSettings = QUICK, *, lease: float = 600, queue: str = "") -> FunctionsHost:
        app = func.FunctionApp()

        @app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection="Storage")
        async def handle(message: func.QueueMessage) -> Any:
            return await handler(message)

        environment = {"AzureWebJobsStorage": self.connection_string, "QUEUE": queue or self.name}
        self._hosts.append(FunctionsHost(app, HostSettings(queues=settings), environment=environment, lease=lease))
        return self._hosts[-1]

    async def close(self) -> None:
        for host in self._hosts:
            await host.stop()
        await self.queue.close()
        await self.poison.close()


@pytest.fixture
async def bench(azurite: Azurite, unique: Callable[[str], str]) -> AsyncIterator[Bench]:
    made = Bench(azurite, unique("work"))
    yield made
    await made.close()


async def count(queue: QueueClient) -> int:
    return (await queue.get_queue_properties()).approximate_message_count or 0


async def test_a_message_is_delivered_with_its_metadata_and_removed(bench: Bench) -> None:
    seen: list[func.QueueMessage] = []

    async def handler(message: func.QueueMessage) -> None:
        seen.append(message)

    host = bench.host(handler)
    await host.start()  # makes the queue
    await bench.send('{"id": "ü"}')
    assert await host.run_until_idle() == 0
    (message,) = seen
    assert message.get_json() == {"id": "ü"}
    assert message.id
    assert message.dequeue_count == 1
    assert message.insertion_time
    assert abs((datetime.now(UTC) - message.insertion_time).total_seconds()) < 30
    assert await count(bench.queue) == 0


async def test_what_a_function_sends_on_is_delivered_before_the_host_is_idle(bench: Bench) -> None:
    seen: list[str] = []

    async def handler(message: func.QueueMessage) -> None:
        text = message.get_body().decode()
        seen.append(text)
        if len(text) < 5:
            await asyncio.sleep(0.01)
            await bench.send(text + "x")

    host = bench.host(handler)
    await host.start()
    await bench.send("a", "b")
    await host.run_until_idle()
    assert sorted(seen) == ["a", "ax", "axx", "axxx", "axxxx", "b", "bx", "bxx", "bxxx", "bxxxx"]


async def test_idle_means_that_every_message_sent_before_was_handled(bench: Bench) -> None:
    handled = 0

    async def handler(message: func.QueueMessage) -> None:
        nonlocal handled
        handled += 1
        if message.get_body() == b"first":
            await bench.send("second")

    host = bench.host(handler)
    await host.start()
    for round_number in range(1, 11):
        await bench.send("first")
        await host.run_until_idle()
        assert handled == round_number * 2


async def test_at_most_a_batch_and_the_threshold_run_at_once(bench: Bench) -> None:
    now = most = 0

    async def handler(message: func.QueueMessage) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        # Uneven, so that the threshold is passed while others still run.
        await asyncio.sleep(0.3 if message.get_body() == b"long" else 0.01)
        now -= 1

    await bench.queue.create_queue()
    await bench.send("long", *["short"] * 8)
    host = bench.host(handler)
    await host.start()
    await host.run_until_idle()
    assert most == 3


async def test_a_message_that_always_fails_is_tried_as_often_as_allowed_and_moved(bench: Bench) -> None:
    attempts: list[int | None] = []

    async def handler(message: func.QueueMessage) -> None:
        attempts.append(message.dequeue_count)
        raise RuntimeError

    host = bench.host(handler)
    await host.start()
    await bench.send("bad")
    await host.run_until_idle()
    assert attempts == [1, 2, 3]
    assert await count(bench.queue) == 0
    (moved,) = [message async for message in bench.poison.receive_messages()]
    assert moved.content == TextBase64EncodePolicy().encode("bad")

    texts: list[bytes] = []

    async def bury(message: func.QueueMessage) -> None:
        texts.append(message.get_body())

    await bench.poison.update_message(moved.id, moved.pop_receipt, visibility_timeout=0)
    undertaker = bench.host(bury, queue=bench.poison.queue_name)
    await undertaker.start()
    await undertaker.run_until_idle()
    assert texts == [b"bad"]


async def test_after_a_failure_the_message_waits(bench: Bench) -> None:
    attempts = 0

    async def handler(message: func.QueueMessage) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise RuntimeError

    host = bench.host(handler, QueueSettings(visibility_timeout=1, max_polling_interval=0.1))
    await host.start()
    await bench.send("later")
    assert await host.run_until_idle() == 1
    assert attempts == 1
    async with asyncio.timeout(5):
        while attempts < 2:
            await asyncio.sleep(0.05)
    assert await host.run_until_idle() == 0


async def test_a_message_sent_with_a_delay_counts_as_waiting(bench: Bench) -> None:
    async def handler(message: func.QueueMessage) -> None:
        pytest.fail("too early")

    host = bench.host(handler)
    await host.start()
    await bench.send("tomorrow", delay=3600)
    assert await host.run_until_idle() == 1


async def test_a_message_that_is_not_base64_is_moved_at_once(bench: Bench) -> None:
    calls = 0

    async def handler(message: func.QueueMessage) -> None:
        nonlocal calls
        calls += 1

    host = bench.host(handler)
    await host.start()
    await bench.queue.send_message("{not base64}")
    await host.run_until_idle()
    assert calls == 0
    assert [message.content async for message in bench.poison.receive_messages()] == ["{not base64}"]


async def test_a_function_that_returns_a_value_fails(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(message: func.QueueMessage) -> str:
        return "nobody takes this"

    host = bench.host(handler, QueueSettings(max_dequeue_count=1))
    await host.start()
    await bench.send("x")
    await host.run_until_idle()
    assert await count(bench.poison) == 1
    assert "handle returned a value but has no $return binding" in caplog.text


async def test_a_lease_is_renewed_while_the_function_runs(bench: Bench) -> None:
    deliveries = 0

    async def handler(message: func.QueueMessage) -> None:
        nonlocal deliveries
        deliveries += 1
        await asyncio.sleep(1.6)

    hosts = [bench.host(handler, lease=1) for _ in range(2)]
    for host in hosts:
        await host.start()
    await bench.send("long")
    for host in hosts:
        await host.run_until_idle()
    assert deliveries == 1
    assert await count(bench.queue) == 0


async def test_a_host_that_goes_down_leaves_its_message_to_the_next_one(bench: Bench) -> None:
    begun = asyncio.Event()
    attempts: list[int | None] = []

    async def endless(message: func.QueueMessage) -> None:
        begun.set()
        await asyncio.sleep(60)

    async def handler(message: func.QueueMessage) -> None:
        attempts.append(message.dequeue_count)

    first = bench.host(endless, lease=1)
    await first.start()
    await bench.send("x")
    await begun.wait()
    await first.stop()
    second = bench.host(handler)
    await second.start()
    assert await second.run_until_idle() == 1  # still leased to the one that is gone
    async with asyncio.timeout(5):
        while not attempts:
            await asyncio.sleep(0.05)
    assert attempts == [2]


async def test_a_message_on_which_every_worker_died_is_moved_unseen(bench: Bench) -> None:
    async def handler(message: func.QueueMessage) -> None:
        pytest.fail("it had its chances")

    await bench.queue.create_queue()
    await bench.send("deadly")
    for _ in range(QUICK.max_dequeue_count):
        (taken,) = [message async for message in bench.queue.receive_messages(visibility_timeout=60)]
        await bench.queue.update_message(taken.id, taken.pop_receipt, visibility_timeout=0)
    host = bench.host(handler)
    await host.start()
    await host.run_until_idle()
    assert (await count(bench.queue), await count(bench.poison)) == (0, 1)


async def test_a_graceful_stop_lets_functions_end_and_takes_nothing_new(bench: Bench) -> None:
    begun = asyncio.Event()
    ended = 0

    async def handler(message: func.QueueMessage) -> None:
        nonlocal ended
        begun.set()
        await asyncio.sleep(0.2)
        ended += 1

    host = bench.host(handler, QueueSettings(batch_size=1, new_batch_threshold=0))
    await host.start()
    await bench.send("first", "second")
    await begun.wait()
    await host.stop(drain=5)
    assert ended == 1
    assert await count(bench.queue) == 1


async def test_a_function_that_takes_a_message_away_does_not_stop_the_host(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(message: func.QueueMessage) -> None:
        await bench.queue.clear_messages()

    host = bench.host(handler)
    await host.start()
    await bench.send("x")
    await host.run_until_idle()
    assert "could not be settled" in caplog.text
    await bench.send("y")
    assert await host.run_until_idle() == 0


async def test_a_queue_that_disappears_is_made_again(bench: Bench) -> None:
    seen: list[bytes] = []

    async def handler(message: func.QueueMessage) -> None:
        seen.append(message.get_body())

    host = bench.host(handler)
    await host.start()
    await bench.queue.delete_queue()
    async with asyncio.timeout(5):
        while not seen:
            await asyncio.sleep(0.05)
            try:
                await bench.send("again")
            except Exception:  # not there yet
                continue
            await host.run_until_idle()
    assert seen == [b"again"]


async def test_a_missing_connection_is_named(bench: Bench) -> None:
    app = func.FunctionApp()
    app.queue_trigger(arg_name="message", queue_name="q", connection="Elsewhere")(lambda message: None)
    with pytest.raises(ValueError, match="the setting Elsewhere is not set"):
        await FunctionsHost(app, environment={}).start()
