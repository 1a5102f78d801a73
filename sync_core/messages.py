"""Queue messages: ids only, nothing personal. A message that cannot be read raises MessageError and is poisoned at once."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from typing import TypeVar

from sync_core.errors import MessageError

_ID = re.compile(r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$")
_LARGEST = 1_000_000

SYNC_START = "sync-start"
SYNC_CHUNK = "sync-chunk"
RUN_CHECK = "run-check"
PURGE_TENANT = "purge-tenant"
PRIVACY_REQUESTS = "privacy-requests"
NOTIFY = "notify"
DISCONNECT = "disconnect"
QUEUES = (SYNC_START, SYNC_CHUNK, RUN_CHECK, PURGE_TENANT, PRIVACY_REQUESTS, NOTIFY, DISCONNECT)


@dataclass(frozen=True, slots=True)
class SyncStart:
    """Plan a run and hand out its chunks."""

    tenant: str
    sync: str
    run: str


@dataclass(frozen=True, slots=True)
class SyncChunk:
    """Serve one chunk of a run. `part` counts the continuations."""

    tenant: str
    sync: str
    run: str
    chunk: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class RunCheck:
    """Look whether a run is complete. `attempt` counts the looks and stretches the time between them."""

    tenant: str
    sync: str
    run: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class PurgeTenant:
    """Remove what has outlived its retention in one tenant's tables."""

    tenant: str


@dataclass(frozen=True, slots=True)
class PrivacyStep:
    """Go on with a privacy request."""

    tenant: str
    request: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a tenant's webhook of something. `attempt` counts those that failed."""

    tenant: str
    notice: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Go on with disconnecting a tenant. `attempt` counts the looks and stretches the time between them."""

    tenant: str
    attempt: int = 0


Message = TypeVar("Message", SyncStart, SyncChunk, RunCheck, PurgeTenant, PrivacyStep, Notify, Disconnect)


def as_dict(message: SyncStart | SyncChunk | RunCheck | PurgeTenant | PrivacyStep | Notify | Disconnect) -> dict[str, str | int]:
    """The message as JSON-ready values."""
    return asdict(message)


def parse(kind: type[Message], body: bytes) -> Message:
    """Read a message. Raises MessageError that names the wrong field."""
    try:
        values = json.loads(body)
    except ValueError:
        raise MessageError("", "the message is not JSON") from None
    if not isinstance(values, dict):
        raise MessageError("", "the message is not a JSON object")
    known = {field.name: field.type for field in fields(kind)}
    for name in values:
        if name not in known:
            raise MessageError(str(name)[:40], "is not a field of this message")
    for field in fields(kind):
        if field.name not in values:
            if field.type == "int":
                continue
            raise MessageError(field.name, "is missing")
        value = values[field.name]
        if field.type == "int":
            if type(value) is not int or not 0 <= value <= _LARGEST:
                raise MessageError(field.name, f"must be a whole number from 0 to {_LARGEST}")
        elif not isinstance(value, str) or not _ID.match(value):
            raise MessageError(field.name, "must be an id of letters, digits, - and _")
    if "chunk" in known and "chunk" not in values:
        raise MessageError("chunk", "is missing")
    return kind(**values)
