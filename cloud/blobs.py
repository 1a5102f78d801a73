"""Blob Storage, through azure-storage-blob: one private container for what people may fetch for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from sync_core.errors import NotFoundError, TransientError

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.storage.blob.aio import BlobServiceClient, ContainerClient

CONTAINER = "exports"
Answer = TypeVar("Answer")


class AzureBlobs:
    """Implements Blobs."""

    def __init__(
        self, *, connection_string: str = "", endpoint: str = "", credential: AsyncTokenCredential | None = None
    ) -> None:
        self._connection_string = connection_string
        self._endpoint = endpoint
        self._credential = credential
        self._service: BlobServiceClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        service, self._service = self._service, None
        if service:
            await service.close()

    async def put(self, name: str, content: AsyncIterator[bytes]) -> None:
        """See Blobs."""
        from azure.core.exceptions import ResourceExistsError
        from azure.storage.blob import BlobBlock

        container = self._container()
        with suppress(ResourceExistsError):
            await _asked(container.create_container())
        blob = container.get_blob_client(name)
        blocks: list[BlobBlock] = []
        async for part in content:
            block = f"{len(blocks):08d}"
            await _asked(blob.stage_block(block, part, length=len(part)))
            blocks.append(BlobBlock(block))
        # only now it can be seen: whoever dies before leaves what storage forgets by itself
        await _asked(blob.commit_block_list(blocks))

    async def get(self, name: str) -> AsyncIterator[bytes]:
        """See Blobs."""
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._container().get_blob_client(name)
        try:
            stream = await _asked(blob.download_blob())
        except ResourceNotFoundError:
            raise NotFoundError("there is no such export (any more)") from None
        async for part in stream.chunks():
            yield part

    async def delete(self, prefix: str) -> int:
        """See Blobs."""
        from azure.core.exceptions import ResourceNotFoundError

        container = self._container()
        count = 0
        try:
            async for name in container.list_blob_names(name_starts_with=prefix):
                await _asked(container.delete_blob(name))
                count += 1
        except ResourceNotFoundError:
            return count
        return count

    def _container(self) -> ContainerClient:
        from azure.storage.blob.aio import BlobServiceClient

        if self._service is None:
            if self._connection_string:
                self._service = BlobServiceClient.from_connection_string(self._connection_string)
            else:
                self._service = BlobServiceClient(self._endpoint, credential=self._credential)
        return self._service.get_container_client(CONTAINER)


async def _asked(call: Awaitable[Answer]) -> Answer:
    from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

    try:
        return await call
    except (ServiceRequestError, ServiceResponseError) as error:
        raise TransientError(f"blob storage could not be reached: {type(error).__name__}") from None
    except HttpResponseError as error:
        if error.status_code is None or error.status_code in (408, 429) or error.status_code >= 500:
            raise TransientError(f"blob storage answered {error.status_code}") from None
        raise
