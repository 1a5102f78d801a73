"""Delta tokens: opaque, self-contained, and refused when old (graph/delta-query-overview)."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b

import orjson

from local.m365.wire import GraphError

DIRECTORY_LIFE = timedelta(days=7)  # graph/delta-query-overview#token-duration


class Expiry(StrEnum):
    """How an expired token is refused: all three are seen."""

    LOCATION = "location"
    SYNC_STATE_NOT_FOUND = "syncStateNotFound"
    RESYNC_REQUIRED = "resyncRequired"


@dataclass(slots=True)
class Token:
    """Where a delta query stands.

    `position` is the last change told, `base` the change at which the round began, `full` says that the round tells everything
    from the start. `offset` counts the members told of the group after `position`.
    """

    resource: str
    issued: float
    position: int = 0
    base: int = 0
    full: bool = True
    final: bool = False  # a deltaLink's token, not a nextLink's
    select: str = ""
    ids: tuple[str, ...] = ()
    page: int = 0
    offset: int = 0
    minimal: bool = False

    def encode(self) -> str:
        """The token as it stands in a link."""
        plain = orjson.dumps({name: value for name, value in asdict(self).items() if value})
        return urlsafe_b64encode(_seal(plain) + plain).decode().rstrip("=")


def decode(text: str, resource: str) -> Token:
    """Read a token back. Raises GraphError for one of another resource or one that nobody issued."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if _seal(raw[9:]) != raw[:9]:
            raise ValueError
        token = Token(**{"full": False, **orjson.loads(raw[9:])})
    except (ValueError, TypeError):
        raise GraphError(400, "BadRequest", "The delta token or skip token is badly formed.") from None
    if token.resource != resource:
        raise GraphError(400, "BadRequest", "The delta token belongs to another resource.")
    return token


def check_age(token: Token, now: datetime, life: timedelta | None) -> bool:
    """Whether the token may still be used."""
    return life is None or now.timestamp() - token.issued < life.total_seconds()


def expired(style: Expiry, fresh: str) -> GraphError:
    """The refusal of a token that is too old. `fresh` is the link to start from."""
    match style:
        case Expiry.LOCATION:
            return GraphError(
                410, "Gone", "The sync state is no longer valid. Start again from the given location.", {"Location": fresh}
            )
        case Expiry.RESYNC_REQUIRED:
            return GraphError(410, "resyncRequired", "Resync required. Replace any local items with the server's version.")
    return GraphError(410, "SyncStateNotFound", "The sync state generation is not found; the sync state may have expired.")


def _seal(plain: bytes) -> bytes:
    return blake2b(plain, digest_size=9, key=b"delta").digest()
