"""ZIPs that are written as what is in them is read, sealed piece by piece: no more of one is in memory than a megabyte."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, NamedTuple, cast

from sync_core.errors import LostPagesError
from sync_core.ports import Sealer

_PIECE = 1024 * 1024
_LENGTH = struct.Struct(">I")


class Unit(NamedTuple):
    """A piece of a file. `place` is where to go on after it, "" where nothing can go on."""

    file: str
    place: str
    content: bytes


@dataclass(slots=True)
class Part:
    """What a ZIP has come to hold. `place` is where the next one goes on."""

    number: int
    size: int = 0
    files: list[str] = field(default_factory=list)
    place: str = ""
    is_last: bool = False


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


async def zipped(
    units: AsyncIterator[Unit], part: Part, *, at: datetime, enough: Callable[[], bool], last_file: Callable[[], Unit]
) -> AsyncIterator[bytes]:
    """The bytes of a ZIP with the next of these units, until there is `enough`, in pieces of about a megabyte.

    The units of one file come together. After all of them comes the `last_file`. What was read is noted in `part`.
    """
    sink = _Sink()
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_DEFLATED) as archive:
        file: IO[bytes] | None = None
        async for unit in units:
            if unit.content:
                name = _name(unit.file, part.number)
                if file is None or name != part.files[-1]:
                    if file is not None:
                        file.close()
                    file = _opened(archive, name, at)
                    part.files.append(name)
                file.write(unit.content)
            part.place = unit.place or part.place
            if sink.size >= _PIECE:
                part.size += sink.size
                yield sink.take()
            if unit.place and enough():
                break
        else:
            part.is_last = True
        if file is not None:
            file.close()
        if part.is_last:
            last = last_file()
            with _opened(archive, last.file, at) as closing:
                closing.write(last.content)
    part.size += sink.size
    yield sink.take()


def _name(file: str, part: int) -> str:
    """All parts can be unpacked into one folder."""
    stem, _, kind = file.rpartition(".")
    return file if part == 1 else f"{stem}.{part}.{kind}"


def _opened(archive: zipfile.ZipFile, name: str, at: datetime) -> IO[bytes]:
    info = zipfile.ZipInfo(name, at.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


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
