"""Brings what we know of people's photos up to date: versions by turns, contents only where the version is another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import TypeVar

from sync_core.errors import MailboxError, MailboxGoneError, Reason, RollcallError, TenantError
from sync_core.photos import REFUSED, Known, is_due, is_expired, is_old
from sync_core.ports import Photos
from sync_core.sources.base import Reading
from sync_core.sources.images import ImageError, photo_of
from sync_core.state.photos import PhotoPage, PhotoStore, page_of, place

_VERSIONS_AT_ONCE = 100
_CONTENTS_AT_ONCE = 40
"""In memory at a time; also what is lost when a worker dies."""

_COUNTED = ("looked", "learnt", "fetched", "changed", "unreadable", "refused", "photos", "unknown")

_JUST_NOW = timedelta(hours=1)

_FEW = 5
"""So many refusals in a row may each be about one mailbox; more, and no answer, are about the permission."""

T = TypeVar("T")


@dataclass(slots=True)
class Album:
    """What is known of photos now.

    `names` says of each user which photo there is, "" for none, None for one that cannot be used; a user of whom nothing is known
    is not in it. `digest` names all of that. `counts` are of people: looked at, learnt of, fetched, changed, unreadable, refused,
    with photos, and unknown though they should be known. `problem` says why reading was given up.
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
    problem: str = ""
    _store: PhotoStore = field(init=False)
    _photos: Photos = field(init=False)
    _pages: list[PhotoPage] = field(default_factory=list)
    _answered: bool = False

    def __post_init__(self) -> None:
        self._store = PhotoStore(self.reading.tables, self.reading.keys, self.reading.tenant, self.side)

    async def bring_up_to_date(self, wanted: Collection[str] | None) -> Album:
        """Look at whose turn it is: of the users `wanted`, or with None of all that are known.

        What is found is stored page by page. Raises ConflictError when another run reads at the same time.
        """
        self._photos = self.reading.graph.photos(self.reading.tenant)
        try:
            return await self._bring_up_to_date(wanted)
        finally:
            self.reading.spent.add(self._photos.spent)

    async def _bring_up_to_date(self, wanted: Collection[str] | None) -> Album:
        self._pages = await self._store.pages()
        by_page: dict[int, list[str]] = {page.number: list(page.known) for page in self._pages if wanted is None}
        for user in wanted or ():
            by_page.setdefault(page_of(user), []).append(user)
        group: list[PhotoPage] = []
        due: list[str] = []
        gone: set[str] = set()
        for page in self._pages:
            # pages of small tenants hold few people: several share the questions
            group.append(page)
            due += self._due(page, by_page.get(page.number, ()))
            if len(due) >= _VERSIONS_AT_ONCE or page is self._pages[-1]:
                gone |= await self._bring_group_up_to_date(group, due)
                group, due = [], []
        names = {user: known.photo for page in self._pages for user, known in page.known.items()} | dict.fromkeys(gone, "")
        asked = [user for users in by_page.values() for user in users]
        self.counts["unknown"] = sum(user not in names for user in asked)
        self.counts["photos"] = sum(bool(names.get(user)) for user in asked)
        digest = blake2b(digest_size=12)
        for user in sorted(names.keys() - gone):
            digest.update(f"{user}{names[user]}\n".encode())
        counts = {**dict.fromkeys(_COUNTED, 0), **self.counts}
        return Album(names, digest.hexdigest(), counts, self.problem)

    def _due(self, page: PhotoPage, users: Iterable[str]) -> list[str]:
        """Whose turn it is of the users of a page."""
        now = self.reading.clock.now()
        return [user for user in users if self._is_due(page.known.get(user), user, now)]

    async def _bring_group_up_to_date(self, group: Sequence[PhotoPage], due: Sequence[str]) -> set[str]:
        """Look at the photos of these users, and store what is another now. Returns users that are gone."""
        now = self.reading.clock.now()
        before = {page.number: dict(page.known) for page in group}
        for page in group:
            page.known = {user: known for user, known in page.known.items() if not is_expired(known, now)}
        gone: set[str] = set()
        for batch in _batched(due, _VERSIONS_AT_ONCE):
            if self._is_over():
                break
            gone |= await self._look(batch)
            self.counts["learnt"] += sum(user in self._pages[page_of(user)].known for user in batch)
        for page in group:
            if page.known != before[page.number]:
                await self._store.write_page(page)
                stale = _places(before[page.number]) - _places(page.known)
                await self._store.remove(stale)
        return gone

    def _is_due(self, known: Known | None, user: str, now: datetime) -> bool:
        if known is None or (self.everybody and now - known.looked_at >= _JUST_NOW):
            return True
        return is_due(known, user, now) or is_old(known, user, now)

    def _is_over(self) -> bool:
        return bool(self.problem) or self.reading.clock.now() >= self.until

    async def _look(self, users: Sequence[str]) -> set[str]:
        now = self.reading.clock.now()
        versions = await self._photos.versions(users)
        self.counts["looked"] += len(users)
        self._judge(versions)
        gone: set[str] = set()
        changed: dict[str, str] = {}
        for user, version in zip(users, versions, strict=True):
            page = self._pages[page_of(user)]
            known = page.known.get(user)
            if isinstance(version, MailboxGoneError):
                page.known.pop(user, None)
                gone.add(user)
            elif isinstance(version, MailboxError) and not self.problem:
                self.counts["refused"] += 1
                page.known[user] = replace(known, looked_at=now) if known is not None else Known(REFUSED, "", now, now)
            elif isinstance(version, RollcallError):
                continue
            elif not version:
                page.known[user] = Known("", "", now, now)
            elif known is not None and known.version == version and not is_old(known, user, now):
                page.known[user] = replace(known, looked_at=now)
            else:
                changed[user] = version
        for batch in _batched(changed, _CONTENTS_AT_ONCE):
            if self.problem:
                break
            await self._fetch({user: changed[user] for user in batch})
        return gone

    async def _fetch(self, versions: dict[str, str]) -> None:
        now = self.reading.clock.now()
        contents = await self._photos.contents(list(versions), self.side)
        self.counts["fetched"] += len(versions)
        self._judge(contents)
        made: dict[str, bytes] = {}
        for (user, version), content in zip(versions.items(), contents, strict=True):
            page = self._pages[page_of(user)]
            if isinstance(content, RollcallError):
                continue
            if not content:
                page.known[user] = Known("", "", now, now)
                continue
            name = self._name(content)
            known = page.known.get(user)
            try:
                jpeg = photo_of(content, self.side)
            except ImageError:
                self.counts["unreadable"] += 1
                page.known[user] = Known(version, "", now, now)
                continue
            made[place(user, name)] = jpeg
            page.known[user] = Known(version, name, now, now)
            self.counts["changed"] += known is None or known.name != name
        if self.keep:
            await self._store.put(made, now)

    def _judge(self, answers: Sequence[object]) -> None:
        """Give up where nobody's photo can be read: the permission is missing, or Microsoft is too busy."""
        errors = [answer for answer in answers if isinstance(answer, RollcallError) and not isinstance(answer, MailboxGoneError)]
        self._answered = self._answered or len(errors) < len(answers)
        if len(errors) < len(answers):
            return
        if not isinstance(errors[0], MailboxError) or (len(errors) > _FEW and not self._answered):
            self.problem = _reason(errors[0])

    def _name(self, content: bytes) -> str:
        """Names a content and the size made of it. Keyed: a bare hash would tell those who have the picture whose it is."""
        return blake2b(content, key=self.reading.keys.fingerprint_key, digest_size=8, salt=str(self.side).encode()).hexdigest()


def _reason(error: RollcallError) -> str:
    if isinstance(error, TenantError | MailboxError):
        # Exchange answers the same where the app lacks the permission and where a mailbox is outside its scope
        missing = error.reason in (Reason.CONSENT_MISSING, Reason.OUT_OF_SCOPE)
        return str(Reason.CONSENT_MISSING if missing else error.reason)
    return str(Reason.MAILBOX_BUSY)


def _places(known: Mapping[str, Known]) -> set[str]:
    return {place(user, entry.name) for user, entry in known.items() if entry.name}


def _batched(values: Iterable[T], size: int) -> Iterable[list[T]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
