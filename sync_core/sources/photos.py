"""Brings what we know of people's photos up to date: versions by turns, contents only where the version is another."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import TypeVar

from msgspec.structs import replace

from sync_core.errors import MailboxError, MailboxGoneError, Reason, RollcallError, TenantError
from sync_core.model import PhotoAt, Portrait
from sync_core.photos import (
    REFUSED,
    Known,
    in_size,
    is_due,
    is_expired,
    is_old,
    is_unwanted,
    photo_name,
    still_wanted,
    user_portrait,
)
from sync_core.ports import Photos
from sync_core.sources.base import Reading
from sync_core.sources.images import ImageError, photo_of
from sync_core.state.photos import PhotoPage, PhotoStore, page_of, place

_VERSIONS_AT_ONCE = 100
_CONTENTS_AT_ONCE = 40
"""In memory at a time; also what is lost when a worker dies."""

_ORIGINALS_AT_ONCE = 4
"""Of contacts, whose photos come as large as they were uploaded: up to 4 MB."""

_COUNTED = ("looked", "learnt", "fetched", "changed", "unreadable", "refused", "photos", "unknown")

_JUST_NOW = timedelta(hours=1)

_FEW = 5
"""So many refusals in a row may each be about one mailbox; more, and no answer, are about the permission."""

T = TypeVar("T")


@dataclass(slots=True)
class Album:
    """What is known of photos now.

    `names` says by the key of a source object which photo there is, "" for none, None for one that cannot be used; what nothing
    is known of is not in it. `digest` names what is known of those at Microsoft, and `counts` are of them: looked at, learnt of,
    fetched, changed, unreadable, refused, with photos, and unknown though they should be known. `problem` says why reading was
    given up.
    """

    names: dict[str, str | None] = field(default_factory=dict)
    digest: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_unfinished(self) -> bool:
        """Whether there was no time for all, and another run would get further."""
        return self.counts["unknown"] > 0 and self.counts["learnt"] > 0 and not self.problem


@dataclass(slots=True)
class _Kind:
    """Users, or contacts: what one may not read of these says nothing of those."""

    at_once: int
    answered: bool = False
    problem: str = ""


@dataclass(slots=True)
class PhotoReader:
    """Reads photos for one run.

    It begins nothing after the time `until`; what is not known by then is for the next run. With `everybody`, nobody waits for a
    turn, except who was looked at within the hour. Without `keep`, photos are read, and only what is known of them is kept: for
    a preview.
    """

    reading: Reading
    side: int
    until: datetime
    everybody: bool = False
    keep: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    _store: PhotoStore = field(init=False)
    _photos: Photos = field(init=False)
    _pages: list[PhotoPage] = field(default_factory=list)
    _tells_wanted: bool = False
    _users: _Kind = field(default_factory=lambda: _Kind(_CONTENTS_AT_ONCE))
    _contacts: _Kind = field(default_factory=lambda: _Kind(_ORIGINALS_AT_ONCE))

    def __post_init__(self) -> None:
        self._store = PhotoStore(self.reading.tables, self.reading.keys, self.reading.tenant, self.side)

    async def bring_up_to_date(self, portraits: Iterable[Portrait] | None) -> Album:
        """Look at whose turn it is: of these, or with None of all users that are known and wanted.

        What is found is stored page by page. Raises ConflictError when another run reads at the same time.
        """
        self._photos = self.reading.graph.photos(self.reading.tenant)
        try:
            return await self._bring_up_to_date(portraits)
        finally:
            self.reading.spent.add(self._photos.spent)

    async def _bring_up_to_date(self, portraits: Iterable[Portrait] | None) -> Album:
        self._pages = await self._store.pages()
        self._tells_wanted = portraits is not None
        handed_over: dict[str, str | None] = {}
        by_page: dict[int, dict[str, Portrait]] = {}
        for portrait in self._known_users() if portraits is None else portraits:
            if portrait.at is None:
                handed_over[portrait.key] = in_size(portrait.name, self.side) if portrait.name else ""
            else:
                by_page.setdefault(page_of(portrait.key), {})[portrait.key] = portrait
        group: list[PhotoPage] = []
        due: list[Portrait] = []
        gone: set[str] = set()
        for page in self._pages:
            # pages of small tenants hold few people: several share the questions
            asked = by_page.get(page.number, {})
            group.append(page)
            due += self._due(page, asked)
            if len(due) >= _VERSIONS_AT_ONCE or page is self._pages[-1]:
                gone |= await self._bring_group_up_to_date(group, due, by_page)
                group, due = [], []
        names = {key: known.photo for page in self._pages for key, known in page.known.items()} | dict.fromkeys(gone, "")
        digest = blake2b(digest_size=12)
        for key in sorted(names.keys() - gone):
            digest.update(f"{key}{names[key]}\n".encode())
        everybody = {key: portrait for people in by_page.values() for key, portrait in people.items()}
        self.counts["unknown"] = sum(key not in names for key in everybody)
        self.counts["photos"] = sum(bool(names.get(key)) for key in everybody)
        for key, portrait in everybody.items():
            if self._kind(portrait).problem == Reason.CONSENT_MISSING:
                names.setdefault(key, None)  # it will not be known any sooner: a later source may have one
        counts = {**dict.fromkeys(_COUNTED, 0), **self.counts}
        problem = self._users.problem or self._contacts.problem
        return Album(names | handed_over, digest.hexdigest(), counts, problem)

    def _known_users(self) -> Iterable[Portrait]:
        now = self.reading.clock.now()
        for page in self._pages:
            for key, known in page.known.items():
                portrait = user_portrait(key)
                if portrait is not None and not is_unwanted(known, now):
                    yield portrait

    def _kind(self, portrait: Portrait) -> _Kind:
        return self._contacts if portrait.at is not None and portrait.at.contact else self._users

    def _due(self, page: PhotoPage, portraits: Mapping[str, Portrait]) -> list[Portrait]:
        """Whose turn it is of the people of a page."""
        now = self.reading.clock.now()
        return [portrait for key, portrait in portraits.items() if self._is_due(page.known.get(key), portrait, now)]

    async def _bring_group_up_to_date(
        self, group: Sequence[PhotoPage], due: Sequence[Portrait], by_page: Mapping[int, Mapping[str, Portrait]]
    ) -> set[str]:
        """Look at the photos of these people, and store what is another now. Returns the keys of users that are gone."""
        now = self.reading.clock.now()
        before = {page.number: dict(page.known) for page in group}
        for page in group:
            if self._tells_wanted:
                for key in by_page.get(page.number, {}).keys() & page.known.keys():
                    page.known[key] = still_wanted(page.known[key], now)
            page.known = {
                key: known for key, known in page.known.items() if not is_expired(known, now) and not is_unwanted(known, now)
            }
        gone: set[str] = set()
        for kind in (self._users, self._contacts):
            for batch in _batched((portrait for portrait in due if self._kind(portrait) is kind), _VERSIONS_AT_ONCE):
                if kind.problem or self.reading.clock.now() >= self.until:
                    break
                gone |= await self._look(kind, batch)
                self.counts["learnt"] += sum(portrait.key in self._pages[page_of(portrait.key)].known for portrait in batch)
        for page in group:
            if page.known != before[page.number]:
                await self._store.write_page(page)
                stale = _places(before[page.number]) - _places(page.known)
                await self._store.remove(stale)
        return gone

    def _is_due(self, known: Known | None, portrait: Portrait, now: datetime) -> bool:
        if known is None or (self.everybody and now - known.looked_at >= _JUST_NOW):
            return True
        return is_due(known, portrait, now) or is_old(known, portrait.key, now)

    async def _look(self, kind: _Kind, portraits: Sequence[Portrait]) -> set[str]:
        now = self.reading.clock.now()
        versions = await self._photos.versions(_places_of(portraits))
        self.counts["looked"] += len(portraits)
        _judge(kind, versions)
        gone: set[str] = set()
        changed: list[tuple[Portrait, str]] = []
        for portrait, version in zip(portraits, versions, strict=True):
            key, page = portrait.key, self._pages[page_of(portrait.key)]
            known = page.known.get(key)
            wanted_at = known.wanted_at if known is not None else now
            if isinstance(version, MailboxGoneError):
                page.known.pop(key, None)
                gone.add(key)
            elif isinstance(version, MailboxError) and not kind.problem:
                self.counts["refused"] += 1
                page.known[key] = replace(known, looked_at=now) if known is not None else Known(REFUSED, "", now, now, wanted_at)
            elif isinstance(version, RollcallError):
                continue
            elif not version:
                page.known[key] = Known("", "", now, now, wanted_at, portrait.seen)
            elif known is not None and known.version == version and not is_old(known, key, now):
                page.known[key] = replace(known, looked_at=now, seen=portrait.seen)
            else:
                changed.append((portrait, version))
        for batch in _batched(changed, kind.at_once):
            if kind.problem:
                break
            await self._fetch(kind, batch)
        return gone

    async def _fetch(self, kind: _Kind, changed: Sequence[tuple[Portrait, str]]) -> None:
        now = self.reading.clock.now()
        contents = await self._photos.contents(_places_of([portrait for portrait, _ in changed]), self.side)
        self.counts["fetched"] += len(changed)
        _judge(kind, contents)
        # images are decoded beside the loop: a large one takes half a second
        photos = await asyncio.to_thread(lambda: [_photo(content, self.side) for content in contents])
        made: dict[str, bytes] = {}
        for (portrait, version), content, jpeg in zip(changed, contents, photos, strict=True):
            key, page = portrait.key, self._pages[page_of(portrait.key)]
            if isinstance(content, RollcallError):
                continue
            known = page.known.get(key)
            wanted_at = known.wanted_at if known is not None else now
            name = ""
            if jpeg is not None:
                name = in_size(photo_name(content, self.reading.keys.fingerprint_key), self.side)
                made[place(key, name)] = jpeg
                self.counts["changed"] += known is None or known.name != name
            elif content:
                self.counts["unreadable"] += 1
            page.known[key] = Known(version if content else "", name, now, now, wanted_at, portrait.seen)
        if self.keep:
            await self._store.put(made, now)


def _judge(kind: _Kind, answers: Sequence[object]) -> None:
    """Give up where nobody's photo can be read: the permission is missing, or Microsoft is too busy."""
    errors = [answer for answer in answers if isinstance(answer, RollcallError) and not isinstance(answer, MailboxGoneError)]
    kind.answered = kind.answered or len(errors) < len(answers)
    if len(errors) < len(answers):
        return
    if not isinstance(errors[0], MailboxError) or (len(errors) > _FEW and not kind.answered):
        kind.problem = _reason(errors[0])


def _photo(content: bytes | RollcallError, side: int) -> bytes | None:
    """None when there is nothing of which a photo can be made."""
    try:
        return None if isinstance(content, RollcallError) else photo_of(content, side)
    except ImageError:
        return None


def _places_of(portraits: Sequence[Portrait]) -> list[PhotoAt]:
    return [portrait.at for portrait in portraits if portrait.at is not None]


def _reason(error: RollcallError) -> str:
    if isinstance(error, TenantError | MailboxError):
        # Exchange answers the same where the app lacks the permission and where a mailbox is outside its scope
        missing = error.reason in (Reason.CONSENT_MISSING, Reason.OUT_OF_SCOPE)
        return str(Reason.CONSENT_MISSING if missing else error.reason)
    return str(Reason.MAILBOX_BUSY)


def _places(known: Mapping[str, Known]) -> set[str]:
    return {place(key, entry.name) for key, entry in known.items() if entry.name}


def _batched(values: Iterable[T], size: int) -> Iterable[list[T]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
