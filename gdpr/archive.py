"""A ZIP that is written as it is read, sealed piece by piece: no more of it is in memory than a megabyte."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import IO, cast

from sync_core.errors import LostPagesError
from sync_core.ports import Sealer

Entry = tuple[str, AsyncIterator[bytes]]
"""A file's name and its content."""

_PIECE = 1024 * 1024
_LENGTH = struct.Struct(">I")


class _Sink:
    """What the ZIP is written to: it cannot go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self.size += len(part)
        return len(part)

    def flush(self) -> None:
        return

    def take(self) -> bytes:
        taken, self._parts, self.size = b"".join(self._parts), [], 0
        return taken


async def zipped(entries: AsyncIterator[Entry], *, at: datetime) -> AsyncIterator[bytes]:
    """The bytes of a ZIP with these files, in pieces of about a megabyte."""
    sink = _Sink()
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_DEFLATED) as archive:
        async for name, content in entries:
            info = zipfile.ZipInfo(name, at.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as file:
                async for part in content:
                    file.write(part)
                    if sink.size >= _PIECE:
                        yield sink.take()
    yield sink.take()


class Frames:
    """Sealed pieces, each bound to its number: none can be left out, moved or cut off. `count` is known when all are made."""

    def __init__(self, sealer: Sealer, place: str) -> None:
        self._sealer = sealer
        self._place = place
        self.count = 0

    async def sealed(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Every piece sealed, with its length before it."""
        async for piece in pieces:
            sealed = self._sealer.seal(piece, place=f"{self._place}|{self.count}")
            self.count += 1
            yield _LENGTH.pack(len(sealed)) + sealed

    async def opened(self, stored: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
        """The pieces again. Raises LostPagesError when they are not those that were sealed."""
        waiting = b""
        number = 0
        async for part in stored:
            waiting += part
            while len(waiting) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(waiting)
                end = _LENGTH.size + length
                if len(waiting) < end:
                    break
                yield self._sealer.open(waiting[_LENGTH.size : end], place=f"{self._place}|{number}")
                waiting, number = waiting[end:], number + 1
        if waiting or number != count:
            raise LostPagesError("the export is not complete")
