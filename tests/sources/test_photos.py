"""Photos of people who are no directory users: of shared mailboxes, uploaded cards and pushed items."""

from __future__ import annotations

from base64 import b64decode, b64encode
from io import BytesIO

import orjson
import pytest
from PIL import Image

from gdpr.requests import RequestKind, RequestState
from gdpr.retention import purge_expired
from local.m365.photos import drawn
from sync_core.engine import uploads
from sync_core.errors import InputError
from sync_core.sources import handed_photos
from sync_core.sources.files.entries import FileError
from sync_core.sources.handed_photos import Darkroom
from sync_core.state.names import SOURCES
from sync_core.state.photos import PhotoRows
from tests.engine.world import TENANT
from tests.gdpr.privacy import asked, done
from tests.gdpr.test_export import fetched
from tests.sources.lists import Lists
from tests.sources.test_images import bomb

CARDS = {"kind": "file", "id": "cards"}
CRM = {"kind": "push", "id": "crm"}
ON = {"photos": "240x240"}
VERSION, CONTENT = "GET /users/{id}/contacts/{id}/photo", "GET /users/{id}/contacts/{id}/photo/$value"


def photo(world: Lists, name: str) -> bytes:
    (found,) = (item for item in world.tenant.contacts(world.reader, "Colleagues") if item.values["displayName"] == name)
    content: bytes = found.photo
    return content


def side(world: Lists, name: str) -> int:
    return max(Image.open(BytesIO(photo(world, name))).size)


def looks_like(content: bytes, seed: int) -> bool:
    """Whether it shows what was drawn from this seed, about."""
    shown, wanted = (Image.open(BytesIO(image)).convert("RGB").resize((24, 24)) for image in (content, drawn(seed, 240)))
    pairs = zip(shown.tobytes(), wanted.tobytes(), strict=True)
    return sum(abs(one - other) for one, other in pairs) < 6 * 24 * 24 * 3


def card(name: str, photo: str = "") -> str:
    mail = f"{name.lower().replace(' ', '.')}@friends.example"
    return f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nEMAIL:{mail}\r\n{photo}END:VCARD\r\n"


def inline(seed: int, side: int = 400) -> str:
    return f"PHOTO;ENCODING=b;TYPE=JPEG:{b64encode(drawn(seed, side)).decode()}\r\n"


async def upload(world: Lists, *cards: str) -> uploads.Uploaded:
    return await uploads.upload_file(world.context, TENANT, "cards", "".join(cards).encode(), "text/vcard")


async def rows(world: Lists, source: str) -> list[str]:
    keys = await world.context.keyring.keys(TENANT)
    return [place async for place in PhotoRows(world.tables, keys, TENANT, source).places()]


# --- cards -----------------------------------------------------------------------------------------------------------


async def test_photos_in_cards_reach_the_contacts_in_the_size_wanted() -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    told = await upload(world, card("Ann Lee", inline(1)), card("Bob Lee"))
    assert (told.filled.people, told.photos, told.unreadable_photos) == (2, 1, 0)
    run = await world.good()
    assert (run.counts.photos, run.counts.created) == (1, 2)
    assert (side(world, "Ann Lee"), photo(world, "Bob Lee")) == (240, b"")
    assert looks_like(photo(world, "Ann Lee"), 1)
    await world.redefine(photos="360x360")
    assert (await world.good()).counts.photos == 1
    assert side(world, "Ann Lee") == 360
    assert not [name for name in world.cloud.counters.templates if "photo" in name and not name.startswith("PUT")]


@pytest.mark.parametrize(
    "written",
    [
        "PHOTO;TYPE=JPEG;ENCODING=BASE64:\r\n {folded}\r\n\r\n",
        "PHOTO;JPEG;BASE64:\r\n{unfolded}\r\n\r\n",
        "item1.PHOTO;X-ABCROP-RECTANGLE=ABClipRect_1&0&0&9&9;ENCODING=b;TYPE=JPEG:{folded}\r\n",
        "PHOTO:data:image/jpeg;base64\\,{folded}\r\n",
        "PHOTO:data:image/jpeg;base64,{folded}\r\n",
        "PHOTO;VALUE=uri:https://photos.example/ann.jpg\r\nPHOTO;ENCODING=b:{folded}\r\n",
    ],
    ids=["Outlook", "unfolded", "Apple", "escaped data", "data", "an address and an image"],
)
async def test_the_ways_to_write_a_photo(written: str) -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    text = b64encode(drawn(7, 300)).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    told = await upload(world, card("Ann Lee", written.format(folded="\r\n ".join(lines), unfolded="\r\n".join(lines))))
    assert (told.filled.people, told.photos) == (1, 1)
    await world.good()
    assert looks_like(photo(world, "Ann Lee"), 7)


@pytest.mark.parametrize("value", ["https://photos.example/ann.jpg", "http://169.254.169.254/latest", "file:///etc/passwd"])
@pytest.mark.parametrize("told_as", ["PHOTO:", "PHOTO;VALUE=uri:", "PHOTO;VALUE=URL;TYPE=JPEG:"])
async def test_nothing_is_fetched_from_an_address(monkeypatch: pytest.MonkeyPatch, value: str, told_as: str) -> None:
    def never(*_arguments: object, **_more: object) -> None:
        raise AssertionError("something was called")

    world = Lists()
    await world.set_up(CARDS, **ON)
    for name in ("create_connection", "getaddrinfo", "socket"):
        monkeypatch.setattr(f"socket.{name}", never)
    told = await upload(world, card("Ann Lee", f"{told_as}{value}\r\n"))
    assert (told.photos, told.unreadable_photos) == (0, 0)


@pytest.mark.parametrize(
    "content",
    [b"no image", bomb(6000, 6000), bomb(60_000, 60_000), drawn(1, 300)[:900], bytes(5_000_000)],
    ids=["text", "36 megapixels", "3.6 gigapixels", "cut", "5 MB"],
)
async def test_a_photo_that_cannot_be_read_is_left_out_and_counted(content: bytes) -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    broken = f"PHOTO;ENCODING=b:{b64encode(content).decode()}\r\n"
    told = await upload(world, card("Ann Lee", broken), card("Bob Lee", inline(2)), card("Cleo", "PHOTO;ENCODING=b:?!?\r\n"))
    assert (told.filled.people, told.photos, told.unreadable_photos) == (3, 1, 2)
    await world.good()
    assert photo(world, "Ann Lee") == b""


@pytest.mark.parametrize(("limit", "most"), [("MOST_PHOTOS", 1), ("MOST_PIXELS", 200_000)])
async def test_photos_that_are_too_many_are_refused_with_the_file(monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    await upload(world, card("Ann Lee", inline(1)))
    before = await rows(world, "file-cards")
    monkeypatch.setattr(handed_photos, limit, most)
    with pytest.raises(FileError, match="file: its photos") as caught:
        await upload(world, card("Bob Lee", inline(2)), card("Cleo Lee", inline(3)))
    assert "Bob" not in str(caught.value)
    assert await rows(world, "file-cards") == before


async def test_photos_follow_the_next_upload() -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    await upload(world, card("Ann Lee", inline(1)), card("Bob Lee", inline(2)), card("Cleo Lee", inline(3)))
    await world.good()
    stored = await rows(world, "file-cards")
    await upload(world, card("Ann Lee", inline(1)), card("Bob Lee", inline(22)), card("Cleo Lee"))
    run = await world.good()
    assert (run.counts.photos, run.counts.updated, run.counts.created, run.counts.deleted) == (2, 2, 0, 0)
    assert looks_like(photo(world, "Ann Lee"), 1)
    assert looks_like(photo(world, "Bob Lee"), 22)
    assert photo(world, "Cleo Lee") == b""
    # two sizes of each: what nobody has any more is not kept
    assert (len(stored), len(await rows(world, "file-cards"))) == (6, 4)
    assert await world.spent() == 1


async def test_photos_go_with_their_source() -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    await upload(world, card("Ann Lee", inline(1)))
    await purge_expired(world.tables, TENANT, world.clock.now())
    assert len(await rows(world, "file-cards")) == 2
    world.pass_days(58)
    await purge_expired(world.tables, TENANT, world.clock.now())
    assert await rows(world, "file-cards") == []
    await upload(world, card("Ann Lee", inline(1)))
    await uploads.empty(world.context, TENANT, "file-cards")
    assert [entity.row async for entity in world.tables.scan(SOURCES) if entity.partition.endswith("file-cards")] == []


async def test_a_photo_is_stored_encrypted() -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    await upload(world, card("Ann Lee", inline(1)))
    stored = [value for entity in [row async for row in world.tables.scan(SOURCES)] for value in entity.values.values()]
    made = Darkroom(b"any key")
    name = made.develop(drawn(1, 400))
    assert not any(isinstance(value, bytes) and (b"JFIF" in value or made.made[name][0][-90:-30] in value) for value in stored)


async def test_an_erasure_takes_the_photo_of_a_card_along_and_an_export_shows_it() -> None:
    world = Lists()
    await world.set_up(CARDS, **ON)
    await upload(world, card("Ann Lee", inline(1)), card("Bob Lee", inline(2)))
    await world.good()
    key = world.key("Ann Lee")
    keys = await world.context.keyring.keys(TENANT)
    photos = PhotoRows(world.tables, keys, TENANT, "file-cards")
    assert len(await photos.of(key)) == 2
    export = await done(world, await asked(world, RequestKind.EXPORT, "ann.lee@friends.example"))
    held = orjson.loads((await fetched(world, export))["person.json"])
    assert {one["source"] for one in held["photos"]} == {"file-cards"}
    assert all(looks_like(b64decode(one["jpeg"]), 1) for one in held["photos"])
    request = await done(world, await asked(world, RequestKind.ERASURE, "ann.lee@friends.example"))
    assert (request.state, request.counts["photos"]) == (RequestState.DONE, 2)
    assert await photos.of(key) == []
    assert len(await rows(world, "file-cards")) == 2
    # whoever uploads her again does not bring her picture back
    await upload(world, card("Ann Lee", inline(1)), card("Bob Lee", inline(2)))
    assert await photos.of(key) == []
    assert len(await rows(world, "file-cards")) == 2


# --- pushed items ----------------------------------------------------------------------------------------------------


def pushed(name: str, seed: int | None = None) -> dict[str, object]:
    content = {} if seed is None else {"photo": b64encode(drawn(seed, 300)).decode()}
    return {"id": name, "displayName": name, "mail": f"{name.lower()}@friends.example", **content}


async def test_photos_of_pushed_items_come_change_and_go() -> None:
    world = Lists()
    await world.set_up(CRM, **ON)
    assert await uploads.replace_items(world.context, TENANT, "crm", [pushed("Ann", 1), pushed("Bob", 2), pushed("Cleo")]) == []
    await world.good()
    assert [looks_like(photo(world, name), seed) for name, seed in (("Ann", 1), ("Bob", 2))] == [True, True]
    await uploads.put_item(world.context, TENANT, "crm", pushed("Ann", 11))
    await uploads.put_item(world.context, TENANT, "crm", pushed("Bob"))
    await uploads.put_item(world.context, TENANT, "crm", pushed("Cleo", 3))
    await world.good()
    assert [looks_like(photo(world, name), seed) for name, seed in (("Ann", 11), ("Cleo", 3))] == [True, True]
    assert photo(world, "Bob") == b""
    await uploads.delete_item(world.context, TENANT, "crm", "Cleo")
    assert len(await rows(world, "push-crm")) == 2
    await world.good()
    assert world.listed() == ["Ann", "Bob"]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("no base64!", "must be base64"),
        (b64encode(b"no image").decode(), "must be an image"),
        (b64encode(bomb(60_000, 60_000)).decode(), "must be an image"),
        ("A" * 1_400_004, "at most 1400000"),
    ],
)
async def test_what_is_no_photo_is_refused_by_its_field(value: str, problem: str) -> None:
    world = Lists()
    await world.set_up(CRM)
    with pytest.raises(InputError, match=problem) as caught:
        await uploads.put_item(world.context, TENANT, "crm", {"id": "1", "displayName": "Ann", "photo": value})
    assert caught.value.field == "photo"
    [told] = await uploads.replace_items(world.context, TENANT, "crm", [pushed("Bob"), {**pushed("Ann"), "photo": value}])
    assert (told.item, told.field) == (1, "photo")


# --- shared mailboxes ------------------------------------------------------------------------------------------------


async def shared(world: Lists, **photos: int | None) -> str:
    mailbox = world.shared_mailbox("Purchasing")
    for name, seed in photos.items():
        contact = world.keep(mailbox, "Suppliers", name)
        if seed is not None:
            world.tenant.mailbox(mailbox).set_photo(contact, drawn(seed, 400))
    await world.set_up({"kind": "mailbox", "mailbox": mailbox, "folder": "Suppliers"}, **ON)
    return mailbox


def kept(world: Lists, mailbox: str, name: str) -> object:
    return next(item for item in world.tenant.contacts(mailbox, "Suppliers") if item.values["displayName"] == name)


async def test_photos_of_a_shared_mailbox_cost_nothing_while_nothing_changes() -> None:
    world = Lists()
    await shared(world, Ann=1, Bob=2, Cleo=None)
    run = await world.good()
    assert (run.counts.photos, run.photos["looked"], run.photos["fetched"], run.photos["photos"]) == (2, 3, 2, 2)
    assert looks_like(photo(world, "Ann"), 1)
    assert side(world, "Bob") == 240
    asked = world.cloud.counters.templates[VERSION]
    for _ in range(15):  # two readings in full among them
        world.pass_days(1)
        assert (await world.good()).counts.photos == 0
    assert world.cloud.counters.templates[VERSION] == asked


async def test_another_photo_is_seen_the_next_night_and_of_other_changes_nothing_is_fetched() -> None:
    world = Lists()
    mailbox = await shared(world, Ann=1, Bob=2, Cleo=None)
    await world.good()
    box = world.tenant.mailbox(mailbox)
    box.set_photo(kept(world, mailbox, "Ann"), drawn(11, 200))  # type: ignore[arg-type] # a Contact
    box.set_photo(kept(world, mailbox, "Bob"), b"")  # type: ignore[arg-type] # a Contact
    box.change(kept(world, mailbox, "Cleo"), {"jobTitle": "Boss"})  # type: ignore[arg-type] # a Contact
    before = world.cloud.counters.templates.copy()
    run = await world.good()
    templates = world.cloud.counters.templates - before
    assert (templates[VERSION], templates[CONTENT]) == (3, 1)
    assert (run.counts.photos, run.counts.created, run.counts.deleted) == (2, 0, 0)
    assert looks_like(photo(world, "Ann"), 11)
    assert photo(world, "Bob") == b""
    world.tenant.bump_change_keys(mailbox)
    before = world.cloud.counters.templates.copy()
    assert (await world.good()).counts.photos == 0
    assert (world.cloud.counters.templates - before)[CONTENT] == 0


async def test_photos_of_contacts_are_read_anew_before_they_are_sixty_days_old() -> None:
    world = Lists()
    await shared(world, **{f"Person{number}": number for number in range(8)})
    await world.good()
    fetched = 0
    for _ in range(58):
        world.pass_days(1)
        await purge_expired(world.tables, TENANT, world.clock.now())
        run = await world.good()
        fetched += run.photos.get("fetched", 0)
        assert (run.counts.photos, run.counts.updated) == (0, 0)
        assert len(await rows(world, "photos-240")) == 8
    assert fetched == 8


async def test_changed_item_ids_write_no_photo_again() -> None:
    world = Lists()
    mailbox = await shared(world, Ann=1, Bob=None)
    await world.good()
    world.tenant.change_item_ids(mailbox)
    run = await world.good()
    assert (run.counts.photos, run.counts.updated, run.counts.created) == (0, 0, 0)


async def test_contacts_have_their_photos_where_those_of_users_may_not_be_read() -> None:
    world = Lists()
    colleagues = [world.hire(f"Colleague {letter}") for letter in "ABCDEF"]
    mailbox = world.shared_mailbox("Purchasing")
    world.tenant.mailbox(mailbox).set_photo(world.keep(mailbox, "Suppliers", "Ann"), drawn(1, 400))
    shared_folder = {"kind": "mailbox", "mailbox": mailbox, "folder": "Suppliers"}
    await world.set_up({"kind": "directory"}, shared_folder, **ON)
    world.tenant.set_photo(colleagues[0], 5)
    world.tenant.app.permissions -= {"ProfilePhoto.Read.All"}
    run = await world.good()
    assert (run.photo_problem, run.counts.photos) == ("consent_missing", 1)
    assert looks_like(photo(world, "Ann"), 1)


# --- several sources -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["directory", "file"])
async def test_a_photo_is_taken_by_priority_as_a_field_is(first: str) -> None:
    world = Lists()
    for name, seed in (("Ann Lee", 1), ("Bob Lee", None)):
        user = world.hire(name)
        world.tenant.change_user(user, {"mail": f"{name.lower().replace(' ', '.')}@friends.example"})
        if seed is not None:
            world.tenant.set_photo(user, seed)
    sources = [{"kind": "directory"}, CARDS]
    await world.set_up(*(sources if first == "directory" else sources[::-1]), **ON)
    await upload(world, card("Ann Lee", inline(11)), card("Bob Lee", inline(12)))
    await world.good()
    assert looks_like(photo(world, "Ann Lee"), 1 if first == "directory" else 11)
    assert looks_like(photo(world, "Bob Lee"), 12)  # who has none in the directory
    await upload(world, card("Ann Lee"), card("Bob Lee"))
    await world.good()
    assert looks_like(photo(world, "Ann Lee"), 1)
    assert photo(world, "Bob Lee") == b""


async def test_where_users_photos_may_not_be_read_those_of_a_later_source_are_taken() -> None:
    world = Lists()
    for number in range(7):
        world.hire(f"Person {number}")
    await world.set_up({"kind": "directory"}, CARDS, **ON)
    await upload(world, card("Person 1", inline(1)).replace("@friends.example", "@example.com"))
    world.tenant.app.permissions -= {"ProfilePhoto.Read.All"}
    await world.good()
    assert looks_like(photo(world, "Person 1"), 1)


async def test_photos_of_people_whom_no_sync_wants_any_more_are_forgotten_and_not_asked_for() -> None:
    world = Lists()
    people = [world.hire(f"Person {number}") for number in range(6)]
    for seed, user in enumerate(people):
        world.tenant.set_photo(user, seed)
    await world.set_up({"kind": "directory"}, brakes={"percent": 100, "at_least": 100}, **ON)
    await world.good()
    await world.redefine(
        selection={"include": people[:2], "rule": {"attribute": "department", "operator": "is", "values": ["X"]}}
    )
    looked = 0
    for day in range(35):
        world.pass_days(1)
        run = await world.good()
        looked += run.photos["looked"] if day >= 21 else 0
    assert looked <= 2 * 3
    assert len(await rows(world, "photos-240")) == 2
