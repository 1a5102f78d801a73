"""Delivers queue messages as the Azure storage extension does.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger
"""

from __future__ import annotations

import asyncio
import binascii
import logging
import math
from base64 import b64decode
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, cast

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.functions.queue import QueueMessage as FunctionMessage
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient, QueueServiceClient

from local.host.functions import Function, Work
from local.host.settings import QueueSettings

_log = logging.getLogger(__name__)
_SHORTEST_PAUSE = 0.05  # seconds between two looks at an empty queue, doubling up to maxPollingInterval
_PAUSE_AFTER_WORK = 0.4  # seconds
_POISON = "-poison"


class QueueListener:
    """Polls one queue and calls one function for each message."""

    def __init__(
        self, function: Function, name: str, service: QueueServiceClient, settings: QueueSettings, work: Work, *, lease: float
    ) -> None:
        """Deliver messages of queue `name`. A message stays leased for `lease` seconds, renewed while its function runs."""
        self._function = function
        self._queue: QueueClient = service.get_queue_client(name)
        self.is_poison = name.endswith(_POISON)
        # The poison queue of a poison queue would be one without end: there, a message that fails stays until it expires.
        self._poison = None if self.is_poison else service.get_queue_client(name + _POISON)
        self._settings = settings
        self._work = work
        self._lease = lease
        self._running: set[asyncio.Task[Any]] = set()
        self._wake = asyncio.Event()
        self._next_pause = _SHORTEST_PAUSE
        self.receiving = False

    async def prepare(self) -> None:
        """Make the queue if there is none."""
        await _create(self._queue)

    async def run(self) -> None:
        """Deliver messages until cancelled; what has been delivered goes on running."""
        pause = _SHORTEST_PAUSE
        while True:
            while len(self._running) > self._settings.new_batch_threshold:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            if await self._receive():
                pause = _SHORTEST_PAUSE
                continue
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
                pause = self._next_pause
            except TimeoutError:
                pause = min(pause * 2, self._settings.max_polling_interval)
            self._wake.clear()

    def wake(self) -> None:
        """Look at the queue now."""
        self._next_pause = _SHORTEST_PAUSE
        self._wake.set()

    def look_soon(self) -> None:
        """Look at the queue now, and less closely afterwards: there may be a message, or one with a delay."""
        self._next_pause = _PAUSE_AFTER_WORK
        self._wake.set()

    async def visible(self) -> bool:
        """Is there a message that could be delivered now?"""
        try:
            return bool(await self._queue.peek_messages(1))
        except ResourceNotFoundError:
            return False

    async def waiting(self) -> int:
        """How many messages there are in all, those with a delay and those leased included."""
        try:
            return (await self._queue.get_queue_properties()).approximate_message_count or 0
        except ResourceNotFoundError:
            return 0

    async def _receive(self) -> bool:
        """Take a batch of messages and begin to work on them; False when there were none."""
        self.receiving = True  # between the server's answer and the start of the work, the message is nowhere to be seen
        found = False
        try:
            size = self._settings.batch_size
            batch = self._queue.receive_messages(
                messages_per_page=size, max_messages=size, visibility_timeout=_whole(self._lease)
            )
            async for message in batch:
                found = True
                task = self._work.start(self._deliver(message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
        except ResourceNotFoundError:
            await _create(self._queue)
        except AzureError as error:
            _log.warning("queue %s cannot be read: %s", self._queue.queue_name, type(error).__name__)
        finally:
            self.receiving = False
        return found

    async def _deliver(self, message: QueueMessage) -> None:
        """Call the function for one message, then delete the message, give it back or move it to the poison queue."""
        receipt = _Receipt(self._queue, message)
        attempts = message.dequeue_count or 0
        if attempts > self._settings.max_dequeue_count:
            # The last worker that was allowed to try died on it.
            await self._settle(self._fail(receipt, attempts))
            return
        try:
            body = b64decode(message.content, validate=True) if self._settings.base64 else message.content.encode()
        except (binascii.Error, ValueError):
            _log.error("a message of queue %s is not base64", self._queue.queue_name)
            await self._settle(self._fail(receipt, self._settings.max_dequeue_count))
            return
        argument = FunctionMessage(  # type: ignore[no-untyped-call]  # the library annotates nothing here
            id=message.id,
            body=body,
            dequeue_count=message.dequeue_count,
            expiration_time=message.expires_on,
            insertion_time=message.inserted_on,
            time_next_visible=message.next_visible_on,
            pop_receipt=message.pop_receipt,
        )
        done = asyncio.Event()
        renewal = asyncio.create_task(receipt.renew(self._lease, done))
        failed = False
        try:
            await self._function.invoke(argument)
        except asyncio.CancelledError:
            renewal.cancel()  # the host goes down: the message comes back when its lease is over
            raise
        except Exception:
            _log.exception("%s failed, attempt %d", self._function.name, attempts)
            failed = True
        done.set()
        await renewal
        await self._settle(self._fail(receipt, attempts) if failed else receipt.delete())

    async def _settle(self, step: Coroutine[Any, Any, None]) -> None:
        try:
            await step
        except AzureError as error:
            # Mostly: the lease was lost and another worker has the message. It comes again, or came already.
            code = getattr(error, "error_code", type(error).__name__)
            _log.warning("a message of queue %s could not be settled: %s", self._queue.queue_name, code)

    async def _fail(self, receipt: _Receipt, attempts: int) -> None:
        if self._poison is None:
            return
        if attempts < self._settings.max_dequeue_count:
            await receipt.hide(self._settings.visibility_timeout)
            return
        try:
            await self._poison.send_message(receipt.content, time_to_live=-1)
        except ResourceNotFoundError:
            await _create(self._poison)
            await self._poison.send_message(receipt.content, time_to_live=-1)
        await receipt.delete()
        _log.error("a message of queue %s was moved to %s", self._queue.queue_name, self._poison.queue_name)


class _Receipt:
    """Our hold on a message. Each renewal changes the pop receipt that the next step must show."""

    def __init__(self, queue: QueueClient, message: QueueMessage) -> None:
        self._queue = queue
        self._id = message.id
        self._receipt = message.pop_receipt
        self.content = cast("str", message.content)

    async def hide(self, seconds: float) -> None:
        """Let the message be invisible for so long from now on."""
        updated = await self._queue.update_message(self._id, self._receipt, visibility_timeout=_whole(seconds))
        self._receipt = updated.pop_receipt

    async def delete(self) -> None:
        """The message is done."""
        await self._queue.delete_message(self._id, self._receipt)

    async def renew(self, lease: float, done: asyncio.Event) -> None:
        """Keep the message leased until `done`, or until it is lost."""
        while True:
            try:
                await asyncio.wait_for(done.wait(), lease / 2)
                return
            except TimeoutError:
                pass
            try:
                await self.hide(lease)
            except ResourceNotFoundError:
                return
            except AzureError as error:
                _log.warning("a lease on queue %s was not renewed: %s", self._queue.queue_name, type(error).__name__)


async def _create(queue: QueueClient) -> None:
    with suppress(ResourceExistsError):
        await queue.create_queue()


def _whole(seconds: float) -> int:
    """The storage service counts in whole seconds."""
    return math.ceil(seconds)
