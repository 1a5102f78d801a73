"""What every implementation of Blobs must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from cloud.blobs import AzureBlobs
from local.azurite import Azurite
from local.memory import MemoryBlobs
from sync_core.errors import NotFoundError, TransientError
from sync_core.ports import Blobs


@pytest.fixture(params=["memory", "azure"])
async def blobs(request: pytest.FixtureRequest) -> AsyncIterator[Blobs]:
    if request.param == "memory":
        yield MemoryBlobs()
        return
    azurite: Azurite = request.getfixturevalue("azurite")
    adapter = AzureBlobs(connection_string=azurite.connection_string)
    yield adapter
    await adapter.close()


async def parts(*content: bytes) -> AsyncIterator[bytes]:
    for part in content:
        yield part


async def read(blobs: Blobs, name: str) -> bytes:
    return b"".join([part async for part in blobs.get(name)])


async def test_a_file_comes_back_as_it_was_stored_and_is_replaced(blobs: Blobs, unique: Callable[[str], str]) -> None:
    name = f"{unique('t')}/file.zip"
    await blobs.put(name, parts(b"a" * 5000, b"b", b"c" * 70_000))
    assert await read(blobs, name) == b"a" * 5000 + b"b" + b"c" * 70_000
    await blobs.put(name, parts(b"other"))
    assert await read(blobs, name) == b"other"


async def test_a_file_is_not_there_before_all_of_it_is(blobs: Blobs, unique: Callable[[str], str]) -> None:
    name = f"{unique('t')}/file.zip"

    async def breaking() -> AsyncIterator[bytes]:
        yield b"a" * 5000
        raise TransientError("died")

    with pytest.raises(TransientError):
        await blobs.put(name, breaking())
    with pytest.raises(NotFoundError):
        await read(blobs, name)


async def test_all_files_below_a_name_are_deleted(blobs: Blobs, unique: Callable[[str], str]) -> None:
    folder = unique("t")
    for name in ("a", "b"):
        await blobs.put(f"{folder}/{name}", parts(b"x"))
    await blobs.put(f"{folder}else/a", parts(b"x"))
    assert await blobs.delete(f"{folder}/") == 2
    assert await blobs.delete(f"{folder}/") == 0
    assert await read(blobs, f"{folder}else/a") == b"x"
    with pytest.raises(NotFoundError):
        await read(blobs, f"{folder}/a")
