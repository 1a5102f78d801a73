"""A secret store for one machine: a JSON file that only its owner can read."""

from __future__ import annotations

import asyncio
import json
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sync_core.errors import ConflictError, InputError, NotFoundError

_PATIENCE = 5  # seconds


class FileSecrets:
    """Implements `sync_core.ports.VersionedSecrets` where ROLLCALL_SECRETS is `file:PATH`.

    The value before the newest of a secret stands under its name followed by `-previous`.
    """

    def __init__(self, path: Path) -> None:
        """The file need not exist yet. Raises InputError in Azure, where a file on an instance's disk is lost with it."""
        # Set on every instance: https://learn.microsoft.com/azure/app-service/reference-app-settings
        if os.environ.get("WEBSITE_INSTANCE_ID"):
            raise InputError("ROLLCALL_SECRETS", "a file is for one machine; in Azure this must be the URL of a Key Vault")
        self._path = path

    async def get(self, name: str) -> bytes:
        """The secret's bytes. Raises NotFoundError, and InputError when others can read the file or it is damaged."""
        values = await asyncio.to_thread(self._read)
        if name not in values:
            raise NotFoundError(f"there is no secret {name}")
        return b64decode(values[name])

    async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:  # noqa: ARG002 - always read anew
        """The secret's newest value, then the one before it if it is there. Raises as `get` does."""
        values = await asyncio.to_thread(self._read)
        if name not in values:
            raise NotFoundError(f"there is no secret {name}")
        return [b64decode(values[each]) for each in (name, f"{name}-previous") if each in values]

    async def create(self, name: str, value: bytes) -> None:
        """Store a new secret. Raises ConflictError when there is one of this name already: it may be in use."""
        await asyncio.to_thread(self._create, name, value)

    def _create(self, name: str, value: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            values = self._read()
            if name in values:
                raise ConflictError(f"there is a secret {name} already")
            values[name] = b64encode(value).decode()
            fresh = self._path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(values, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)  # in one step: a reader sees the old file or the new one

    def _read(self) -> dict[str, str]:
        try:
            with self._path.open(encoding="utf-8") as file:
                if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                    raise InputError(
                        "ROLLCALL_SECRETS", f"{self._path} can be read by others: chmod 600 it and replace what it holds"
                    )
                values = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError:
            raise InputError("ROLLCALL_SECRETS", f"{self._path} is not JSON") from None
        if not isinstance(values, dict):
            raise InputError("ROLLCALL_SECRETS", f"{self._path} is not a JSON object")
        return values

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing, by a file that exists only while one writes."""
        lock = self._path.with_suffix(".lock")
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
                break
            except FileExistsError:
                if time.monotonic() > deadline:
                    raise InputError("ROLLCALL_SECRETS", f"{lock} is left over from a process that died: delete it") from None
                time.sleep(0.05)
        try:
            yield
        finally:
            lock.unlink()
