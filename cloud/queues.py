"""Queue Storage, through azure-storage-queue."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sync_core.errors import TransientError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.queue.aio import QueueClient, QueueServiceClient

LARGEST_MESSAGE = 49_152  # bytes: 64 KiB in base64
LONGEST_DELAY = 7 * 24 * 3600  # seconds
_FOREVER = -1


class AzureQueues:
    """Implements Queues. Messages are base64 text, as the Functions host expects them, and do not expire."""

    def __init__(
        self, *, connection_string: str = "", endpoint: str = "", credential: AsyncTokenCredential | None = None
    ) -> None:
        self._connection_string = connection_string
        self._endpoint = endpoint
        self._credential = credential
        self._service: QueueServiceClient | None = None
        self._clients: dict[str, QueueClient] = {}

    async def close(self) -> None:
        """Close the connections."""
        service, self._service = self._service, None
        self._clients.clear()
        if service:
            await service.close()

    async def send(self, queue: str, message: Mapping[str, str | int], *, delay: float = 0) -> None:
        """See Queues. Raises ValueError for a message over 49,152 bytes or a delay over 7 days."""
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError, ServiceRequestError, ServiceResponseError

        text = encode(message, delay=delay)
        client = self._client(queue)
        try:
            try:
                await self._send(client, text, delay)
            except ResourceNotFoundError:
                await _create(client)
                await self._send(client, text, delay)
        except HttpResponseError as error:
            if error.status_code is None or error.status_code in (408, 409, 429) or error.status_code >= 500:
                raise TransientError(f"queue storage answered {error.status_code}") from None
            raise
        except (ServiceRequestError, ServiceResponseError) as error:
            raise TransientError(f"queue storage could not be reached: {type(error).__name__}") from None

    async def _send(self, client: QueueClient, text: str, delay: float) -> None:
        await client.send_message(text, visibility_timeout=math.ceil(delay), time_to_live=_FOREVER)

    def _client(self, queue: str) -> QueueClient:
        from azure.storage.queue import TextBase64EncodePolicy

        if self._service is None:
            self._service = self._connect()
        if queue not in self._clients:
            self._clients[queue] = self._service.get_queue_client(queue, message_encode_policy=TextBase64EncodePolicy())
        return self._clients[queue]

    def _connect(self) -> QueueServiceClient:
        from azure.storage.queue.aio import QueueServiceClient

        options: dict[str, Any] = {"retry_total": 4, "initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
        if self._connection_string:
            return QueueServiceClient.from_connection_string(self._connection_string, **options)
        return QueueServiceClient(self._endpoint, credential=self._credential, **options)


def encode(message: Mapping[str, str | int], *, delay: float = 0) -> str:
    """The message as compact JSON. Raises ValueError for what a queue does not take."""
    text = json.dumps(dict(message), separators=(",", ":"))
    if len(text.encode()) > LARGEST_MESSAGE:
        raise ValueError(f"a message has at most {LARGEST_MESSAGE} bytes")
    if not 0 <= delay <= LONGEST_DELAY:
        raise ValueError(f"a message waits 0 to {LONGEST_DELAY} seconds, not {delay}")
    return text


async def _create(client: QueueClient) -> None:
    from azure.core.exceptions import ResourceExistsError

    try:
        await client.create_queue()
    except ResourceExistsError:
        return
