"""What all kinds of sources have in common."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from sync_core.model import Portrait, Spent
from sync_core.ports import Clock, MicrosoftGraph, Tables, TenantKeys
from sync_core.state.sources import SourceHead, SourceStore, source_key

Heads = Mapping[str, SourceHead]
"""What the sources of one sync say now, by source id."""

Person = tuple[str, dict[str, Any]]
"""A key such as "u:<object id>" and the person's attributes in the normal form, which `directory.merge` also makes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What it takes to read the sources of a tenant. With `in_full`, nothing that was read before is relied on."""

    tables: Tables
    keys: TenantKeys
    graph: MicrosoftGraph
    clock: Clock
    tenant: str
    in_full: bool
    spent: Spent

    def store(self, source: str) -> SourceStore:
        """Where a source is kept."""
        return SourceStore(self.tables, self.keys, self.tenant, source)


class Source(Protocol):
    """One source of people. All syncs of a tenant that name it share what was read of it."""

    id: str

    async def refresh(self) -> SourceHead:
        """Bring what we know of the source up to date, and say what it is now.

        Raises SourceError when it cannot be read completely: then nothing has changed. Also MailboxError, TenantError,
        ParkedError and TransientError.
        """

    def people(self, heads: Heads) -> AsyncIterator[Person]:
        """The people at these heads, each key once. Raises LostPagesError when they were purged meanwhile."""

    @property
    def stored_as(self) -> str:
        """The source whose pages hold the people: this one, but the directory for those that only name users."""
        return self.id

    def portrait(self, key: str, told: str) -> Portrait | None:  # noqa: ARG002 - most sources are told nothing of photos
        """What the source tells of a person's photo, where `told` is what it stored of that under `PHOTO`; None when nothing."""
        return None

    async def members(self, heads: Heads) -> Collection[str] | None:  # noqa: ARG002 - those that name users ask them
        """The keys of those on the pages who belong to this source; None for all. Raises LostPagesError."""
        return None


def person_of(source: str, stored: str, value: dict[str, Any]) -> Person:
    """The person whom an object stands for, as it is stored. What is handed in is used up."""
    key = source_key(source, stored, value)
    value.pop("key", None)
    return key, value


def short_hash(*parts: str) -> str:
    """Sixteen lower-case characters that stand for an id which a mark cannot hold. Not keyed: it must outlive every key."""
    digest = blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=10)
    return b32encode(digest.digest()).decode().lower()
