"""Photos against whatever may happen: afterwards each contact has the photo that its person's sources say.

Plays each fault alone and 40 histories, always the same ones. ROLLCALL_PHOTO_HISTORIES=5000 plays that many others.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule
from PIL import Image

from local.m365.faults import FaultKind
from local.m365.mailbox import Contact
from local.m365.photos import drawn
from sync_core.engine import runs, uploads
from sync_core.errors import ConflictError, InputError
from sync_core.state.runs import Check
from tests.engine.hazards import Fuse
from tests.engine.machine.ending import Ending
from tests.engine.machine.events import chance, some
from tests.engine.machine.faults import FAULTS, fault_of
from tests.engine.machine.playing import check_fired, play
from tests.engine.rooms import shared_mailbox
from tests.engine.world import NIGHTLY, SYNC, TENANT

HISTORIES = int(os.environ.get("ROLLCALL_PHOTO_HISTORIES", "0"))
DEEDS: list[st.SearchStrategy[tuple[str, dict[str, Any]]]] = []
SIDE = 64
PHONE = ("photo", "delete", "own", "edit", "bump", "ids")
_NEEDED = {*map(str, FAULTS), "killed", "storage failed", "purged", "own photo", "deleted"}

# who is told of by which source: the first two are each one person of two sources
DIRECTORY, MAILBOX, FILE = "directory", "mailbox", "file"
PEOPLE = {
    "ann@example.com": (DIRECTORY, MAILBOX),
    "ben@example.com": (DIRECTORY, FILE),
    "sue@friends.example": (MAILBOX,),
    "cleo@friends.example": (FILE,),
}


def deed(weight: int = 1, **values: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One of the things that may happen in a step, as likely as its weight."""

    def register(method: Callable[..., None]) -> Callable[..., None]:
        DEEDS.extend(st.tuples(st.just(method.__name__), st.fixed_dictionaries(values)) for _ in range(weight))
        return method

    return register


def colour(content: bytes) -> tuple[int, ...]:
    """The background of a picture."""
    found = Image.open(BytesIO(content)).convert("RGB").getpixel((2, 2))
    assert isinstance(found, tuple)
    return tuple(map(int, found))


def shows(content: bytes, seed: int | None) -> bool:
    """Whether it is what was drawn from this seed; with None, whether it is nothing."""
    if not content or seed is None:
        return not content and seed is None
    return max(abs(one - other) for one, other in zip(colour(content), colour(drawn(seed, SIDE)), strict=True)) < 10


class PhotoEngine(Ending):
    """One history of people whose photos come, change and go."""

    fired: ClassVar[Counter[str]] = Counter()

    @rule(what=st.deferred(lambda: st.one_of(DEEDS)))
    def step(self, what: tuple[str, dict[str, Any]]) -> None:
        name, values = what
        self.fired[name] += 1
        getattr(self, name)(**values)

    @initialize(permanent=chance, calm=chance, order=st.permutations([DIRECTORY, MAILBOX, FILE]))
    def begin(self, permanent: bool, calm: bool, order: list[str]) -> None:
        self.prepare(permanent=permanent, second_site=False)
        self.order = order
        self.seeds: dict[tuple[str, str], int | None] = {}
        self.given: dict[tuple[str, str], set[int]] = {}  # by reader and person: what the reader put there
        self.own: list[tuple[Contact, int, bytes]] = []
        self.shared = shared_mailbox(self.tenant, "Purchasing")
        box = self.tenant.mailbox(self.shared)
        folder = box.create_folder(box.contacts, "Suppliers")
        self.users: dict[str, str] = {}
        self.contacts: dict[str, Contact] = {}
        for number, (mail, sources) in enumerate(PEOPLE.items()):
            name = f"{mail.partition('@')[0].title()} Lee"
            if DIRECTORY in sources:
                self.users[mail] = self.world.hire(name, mail=mail, userPrincipalName=mail, proxyAddresses=[f"SMTP:{mail}"])
            if MAILBOX in sources:
                values = {"displayName": name, "emailAddresses": [{"address": mail, "name": name}]}
                self.contacts[mail] = box.create(folder, values)
            for source in sources:
                self._set(source, mail, None if number == 1 else number * 3 + sources.index(source))
        self.readers = list(self.users.values())
        kinds: dict[str, dict[str, Any]] = {
            DIRECTORY: {"kind": "directory"},
            MAILBOX: {"kind": "mailbox", "mailbox": self.shared, "folder": "Suppliers"},
            FILE: {"kind": "file", "id": "cards"},
        }
        brakes = {"percent": 100, "at_least": 1_000_000}
        self.traits = {SYNC: {"sources": [kinds[kind] for kind in order], "photos": "240x240", "brakes": brakes}}
        self.syncs = [(self.world, SYNC)]
        self.do(self._begin(calm=calm))
        self.broken = False

    async def _begin(self, *, calm: bool) -> None:
        await self.world.connect(self.definition(SYNC))
        await self._upload()
        await self.connect(calm=calm)

    def definition(self, sync: str, **values: Any) -> dict[str, Any]:
        return {"name": "People", "folder": "Colleagues", "schedule": NIGHTLY, **self.traits[sync], **values}

    async def _upload(self) -> None:
        cards = []
        for mail, sources in PEOPLE.items():
            if FILE in sources:
                seed = self.seeds[FILE, mail]
                photo = f"PHOTO;ENCODING=b:{b64encode(drawn(seed, SIDE)).decode()}\r\n" if seed is not None else ""
                cards.append(f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{mail}\r\nEMAIL:{mail}\r\n{photo}END:VCARD\r\n")
        body = "".join(cards).encode()
        await self.world.call(
            lambda context: uploads.upload_file(context, TENANT, "cards", body, "text/vcard"), accepted=(ConflictError,)
        )

    def _set(self, source: str, mail: str, seed: int | None) -> None:
        self.seeds[source, mail] = seed
        if source == DIRECTORY:
            self.tenant.set_photo(self.users[mail], drawn(seed, SIDE) if seed is not None else None)
            self.blind = True  # each user is looked at once a week
        elif source == MAILBOX:
            self.tenant.mailbox(self.shared).set_photo(self.contacts[mail], drawn(seed, SIDE) if seed is not None else b"")

    @deed(5, who=some, source=some, seed=st.one_of(st.none(), st.integers(20, 40)))
    def photo(self, who: int, source: int, seed: int | None) -> None:
        """A photo comes, changes or goes in one of the sources."""
        mail, sources = list(PEOPLE.items())[who % len(PEOPLE)]
        where = sources[source % len(sources)]
        self._set(where, mail, seed)
        if where == FILE:
            self.do(self._upload())

    @deed(2, who=some, title=some)
    def change(self, who: int, title: int) -> None:
        """Something else of somebody changes."""
        mail = list(PEOPLE)[who % len(PEOPLE)]
        if mail in self.users:
            self.tenant.change_user(self.users[mail], {"jobTitle": f"Title {title}"})
        if mail in self.contacts:
            self.tenant.mailbox(self.shared).change(self.contacts[mail], {"jobTitle": f"Title {title}"})

    @deed(3, who=some, which=some, seed=st.integers(50, 60), act=st.sampled_from(PHONE))
    def phone(self, who: int, which: int, seed: int, act: str) -> None:
        """A reader does something on the phone."""
        reader = self.readers[who % len(self.readers)]
        box = self.tenant.mailbox(reader)
        ours = [contact for contacts in self.world.ours(reader).values() for contact in contacts]
        match act:
            case "own":
                mail = list(PEOPLE)[which % len(PEOPLE)]
                contact = self.phones.create(reader, box.contacts, mail=mail)
                box.set_photo(contact, drawn(seed, SIDE))
                self.own.append((contact, contact.version, contact.photo))
            case "bump":
                self.tenant.bump_change_keys(self.shared)
            case "ids":
                self.tenant.change_item_ids(self.shared)
            case _ if ours:
                contact = sorted(ours, key=lambda one: one.uid)[which % len(ours)]
                if act == "photo":
                    self.given.setdefault((reader, mail_of(contact)), set()).add(seed)
                    box.set_photo(contact, drawn(seed, SIDE))
                    self.fired["own photo"] += 1
                elif act == "edit":
                    box.change(contact, {"personalNotes": "mine"})
                else:
                    box.delete(contact)
                    self.fired["deleted"] += 1

    @deed(4, kind=st.sampled_from(FAULTS), times=st.integers(1, 4), number=some, half=chance)
    def fault(self, kind: FaultKind, times: int, number: int, half: bool) -> None:
        """Something goes wrong in Microsoft 365 from now on, a few times."""
        creates, changes = r"/contact(s|Folders)$", r"/contacts/"
        if kind is FaultKind.DELETE_NOT_FOUND:  # a contact whose photo is gone is made anew, and the old one deleted
            self._set(MAILBOX, "sue@friends.example", 30 + number)
            self.night()
            self._set(MAILBOX, "sue@friends.example", None)
        else:
            self.photo(who=number, source=number, seed=20 + number)
        self.blind = True
        self.cloud.faults.add(fault_of(kind, times=times, number=number, half=half, creates=creates, changes=changes))
        self.night()

    @deed(3, after=st.integers(1, 60), who=some, where=st.sampled_from(["", "storage", "during network", "after network"]))
    def kill(self, after: int, who: int, where: str) -> None:
        """A worker will die in a night with photos to write."""
        self._set(MAILBOX, "sue@friends.example", None if who % 3 == 0 else 20 + who)
        self.photo(who=who, source=0, seed=None if who % 4 == 0 else 30 + who)
        self.hazards.fuses.append(Fuse(self.hazards.kill, after if where in ("", "storage") else 1 + after % 8, where))
        self.night()

    @deed(2, after=st.integers(1, 60), act=st.sampled_from(["storage", "purge"]), who=some)
    def mishap(self, after: int, act: str, who: int) -> None:
        """Storage will fail, or somebody will empty the caches, at some moment."""
        self.photo(who=who, source=1, seed=20 + who)
        effect = self.hazards.fail if act == "storage" else self.world.purge
        self.hazards.fuses.append(Fuse(effect, after, "storage" if act == "storage" else ""))
        self.night()

    @deed(4)
    def night(self) -> None:
        """A run, carried out as far as it gets."""
        self.do(self._request())
        self.do(self._work(40))

    @deed(2, count=st.integers(1, 4), doubled=chance)
    def work(self, count: int, doubled: bool) -> None:
        """Some messages are delivered, perhaps each to two workers at once."""
        self.do(self._request())
        self.do(self._work(count, doubled=doubled))

    @deed(2, minutes=st.sampled_from([11, 1500, 12000]))
    def wait(self, minutes: int) -> None:
        """Time passes."""
        self.do(self.tick(minutes=minutes))

    async def _request(self) -> None:
        await self.world.call(
            lambda context: runs.request_run(context, TENANT, SYNC, check=Check.DUE, by_hand=True),
            accepted=(ConflictError, InputError),
        )

    async def _work(self, count: int, *, doubled: bool = False) -> None:
        for _ in range(count):
            if not await self.world.deliver_next(doubled=doubled):
                return

    async def _end(self) -> None:
        self.cloud.faults.clear()
        self.hazards.fuses.clear()
        await self.drain()
        await self._upload()  # what was purged, or has expired by now, has to come again
        self.clock.advance(timedelta(minutes=1))
        await super()._end()

    def wrongs(self) -> list[str]:
        found = [*self.phones.wrongs()]
        for contact, version, photo in self.own:
            if contact.version != version or contact.photo != photo:
                found.append("a photo of a contact of the reader's own was touched")
        for reader in self.readers:
            ours = [contact for contacts in self.world.ours(reader).values() for contact in contacts]
            mails = Counter(map(mail_of, ours))
            found += [f"{reader} holds {mail} {mails[mail]} times" for mail in {*PEOPLE, *mails} if mails[mail] != 1]
            for contact in ours:
                mail = mail_of(contact)
                seed = self.expected(mail)
                theirs = self.given.get((reader, mail), ())
                if not (shows(contact.photo, seed) or any(shows(contact.photo, given) for given in theirs)):
                    found.append(f"{reader}: {mail} has another photo than that of {seed}")
        return found

    def expected(self, mail: str) -> int | None:
        """From which seed the photo of a person is drawn: that of the first source that has one."""
        told = (self.seeds[source, mail] for source in self.order if source in PEOPLE.get(mail, ()))
        return next((seed for seed in told if seed is not None), None)


def mail_of(contact: Contact) -> str:
    """The address that a person is known by here."""
    return str(contact.values["emailAddresses"][0]["address"])


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_alone(kind: FaultKind) -> None:
    history = PhotoEngine()
    try:
        history.begin(permanent=False, calm=True, order=[MAILBOX, FILE, DIRECTORY])
        history.fault(kind=kind, times=3, number=3, half=False)
        history.wait(minutes=1500)
        history.fault(kind=kind, times=2, number=6, half=False)
    finally:
        history.teardown()


def test_whatever_happens_every_photo_is_right_in_the_end() -> None:
    play(PhotoEngine, histories=HISTORIES, otherwise=40)


def test_every_fault_fired(capsys: pytest.CaptureFixture[str]) -> None:
    check_fired(PhotoEngine.fired, _NEEDED, capsys)
