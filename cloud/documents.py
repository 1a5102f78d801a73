"""Public documents of Microsoft Entra, such as its signing keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sync_core.errors import TransientError

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_PATIENCE = 10.0  # seconds, for all of it
_LARGEST = 1024 * 1024  # bytes


async def fetch(url: str) -> bytes:
    """The document at a URL, of at most 1 MiB, within ten seconds; redirects are not followed. Raises TransientError."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    plain = {"Accept-Encoding": "identity"}  # what is packed may unpack to any size
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(url, headers=plain, allow_redirects=False) as answer,
        ):
            document = await _bounded(answer)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise TransientError(f"a document of Microsoft Entra cannot be read: {type(error).__name__}") from error
    if answer.status != 200:
        raise TransientError(f"a document of Microsoft Entra cannot be read: status {answer.status}")
    return document


async def _bounded(answer: ClientResponse) -> bytes:
    document = bytearray()
    async for piece in answer.content.iter_any():
        document += piece
        if len(document) > _LARGEST:
            raise TransientError("a document of Microsoft Entra is too large")
    return bytes(document)
