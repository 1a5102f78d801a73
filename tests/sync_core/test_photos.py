"""When photos are looked at, and what becomes of those of contacts."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from sync_core import planning
from sync_core.contacts import item_of
from sync_core.fingerprints import PHOTO
from sync_core.marks import FINGERPRINT_PROPERTY
from sync_core.model import Held, Item, PhotoAt, Portrait, Update
from sync_core.photos import (
    REFUSED,
    Known,
    in_size,
    is_due,
    is_expired,
    is_old,
    is_owed,
    is_to_go,
    is_unwanted,
    photo_name,
    photo_of,
    proven,
    remade,
    steps,
    still_wanted,
    user_portrait,
)
from tests.sync_core.people import FINGERPRINTER

NOW = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def user(number: str) -> Portrait:
    return Portrait(f"u:{number}", PhotoAt(number))


def known(version: str, looked: datetime, read: datetime, seen: str = "") -> Known:
    return Known(version, "n", looked, read, read, seen)


def item(photo: str | None, *, department: str = "Sales", key: str = "u:1") -> Item:
    user = {"id": "1", "displayName": "Ann Lee", "department": department}
    whose = ("photos-240/u:1:n", photo) if photo else ("", photo)
    return item_of(user, installation="i", sync="s", fingerprinter=FINGERPRINTER, default_country=None, key=key, photo=whose)


def mark_in(body: bytes) -> str:
    (mark,) = [
        entry["value"] for entry in orjson.loads(body)["singleValueExtendedProperties"] if entry["id"] == FINGERPRINT_PROPERTY
    ]
    return str(mark)


@given(st.uuids().map(str), st.integers(0, 400))
def test_each_user_has_one_day_a_week(person: str, start: int) -> None:
    began = NOW + start * DAY
    looked = began
    days = []
    for day in range(1, 22):
        now = began + day * DAY
        if is_due(known("v", looked, began), user(person), now):
            days.append(day)
            looked = now
    assert 1 <= days[0] <= 7
    assert {later - earlier for earlier, later in itertools.pairwise(days)} == {7}
    assert not is_due(known("v", looked, began), user(person), looked + timedelta(hours=2))


@given(st.integers(0, 100))
def test_a_contact_is_looked_at_when_it_has_changed(days: int) -> None:
    contact = Portrait("c:1", PhotoAt("box", "item"), seen="key 2")
    assert is_due(known("v", NOW, NOW, "key 1"), contact, NOW)
    assert not is_due(known("v", NOW, NOW, "key 2"), contact, NOW + days * DAY)
    assert is_due(Known(REFUSED, "", NOW, NOW, NOW, "key 2"), contact, NOW + DAY)


@given(st.uuids().map(str), st.sampled_from("uc"))
def test_contents_are_read_anew_in_time(person: str, kind: str) -> None:
    key = f"{kind}:{person}"
    old = next(day for day in range(100) if is_old(known("v", NOW, NOW), key, NOW + day * DAY))
    # of contacts nobody thinks every night, but every week at least
    latest = old if kind == "u" else old + 7
    assert 45 <= latest <= 55
    assert not is_expired(known("v", NOW, NOW), NOW + latest * DAY)
    assert is_expired(known("v", NOW, NOW), NOW + 57 * DAY)


def test_what_nobody_wants_any_more_is_forgotten_after_two_weeks() -> None:
    entry = known("v", NOW, NOW)
    assert still_wanted(entry, NOW + 5 * DAY) is entry
    assert still_wanted(entry, NOW + 6 * DAY).wanted_at == NOW + 6 * DAY
    assert not is_unwanted(entry, NOW + 13 * DAY)
    assert is_unwanted(entry, NOW + 14 * DAY)


def test_the_day_stays_the_same_from_one_version_of_the_app_to_the_next() -> None:
    """Else everybody might be due in the night after an update."""
    entry = known("v", NOW, NOW)
    days = {one: [day for day in range(1, 7) if is_due(entry, user(one), NOW + day * DAY)] for one in ("1", "2", "5")}
    assert days == {"1": [4], "2": [6], "5": []}  # the last one on the weekday that NOW is


def test_how_soon_somebody_is_asked_again() -> None:
    today, second = timedelta(hours=18), timedelta(seconds=1)

    def due(now: datetime, age: timedelta, version: str = "v") -> bool:
        return is_due(known(version, now - age, NOW), user("1"), now)

    own_day, other_day = NOW + 4 * DAY, NOW
    assert [due(own_day, age) for age in (today - second, today)] == [False, True]
    assert [due(other_day, age) for age in (today, 7 * DAY - second, 7 * DAY)] == [False, False, True]
    assert [due(other_day, age, REFUSED) for age in (today - second, today)] == [False, True]


def test_who_was_refused_is_asked_again_the_next_day() -> None:
    assert is_due(Known(REFUSED, "", NOW, NOW, NOW), user("anybody"), NOW + DAY)
    assert not is_due(Known(REFUSED, "", NOW, NOW, NOW), user("anybody"), NOW + timedelta(hours=2))
    assert Known(REFUSED, "", NOW, NOW, NOW).photo is None


def test_only_users_have_photos_that_no_source_tells_of() -> None:
    assert user_portrait("u:1") == Portrait("u:1", PhotoAt("1"))
    assert user_portrait("o:1") is None


def test_whose_photo_a_person_has() -> None:
    def chosen(portraits: list[Portrait], names: dict[str, str | None]) -> tuple[str, str | None]:
        return photo_of(portraits, names, "photos-240")

    one, two, carded = user("1"), user("2"), Portrait("f:3", source="file-cards", name="c")
    assert chosen([one], {"u:1": "a"}) == ("photos-240/u:1:a", "a")
    assert chosen([one, two], {"u:1": "", "u:2": "b"}) == ("photos-240/u:2:b", "b")
    assert chosen([carded, one], {"u:1": "a", "f:3": "c-240"}) == ("file-cards/f:3:c-240", "c-240")
    assert chosen([one, carded], {"u:1": "a", "f:3": "c-240"}) == ("photos-240/u:1:a", "a")
    assert chosen([one], {"u:1": ""}) == ("", "")
    assert chosen([], {}) == ("", "")
    # as long as the first is not known, a later one would have to be replaced at once
    assert chosen([one, carded], {"f:3": "c-240"}) == ("", None)
    assert chosen([one], {"u:1": None}) == ("", None)
    assert chosen([one, two], {"u:1": None, "u:2": ""}) == ("", None)
    assert chosen([one, two], {"u:1": None, "u:2": "b"}) == ("photos-240/u:2:b", "b")


def test_names_of_photos_tell_size_and_nothing_else() -> None:
    name = photo_name(b"picture", b"key")
    assert name == photo_name(b"picture", b"key")
    assert len({name, photo_name(b"picture", b"other key"), photo_name(b"other", b"key")}) == 3
    assert in_size(name, 240) == f"{name}-240"


PHOTOS = st.sampled_from([None, "", "a", "b"])


@given(PHOTOS, PHOTOS, st.booleans(), st.booleans(), st.booleans())
def test_what_is_done_about_a_photo(before: str | None, after: str | None, doubt: bool, edited: bool, rekeyed: bool) -> None:
    was = item(before)
    there = FINGERPRINTER.doubting_photo(was.fingerprint) if doubt and before else was.fingerprint
    wanted = item(after, department="Legal" if edited else "Sales", key="u:1+u:2" if rekeyed else "u:1")
    held = {"u:1": Held("id", there)}
    plan = planning.in_place(planning.plan({wanted.key: wanted}, held))
    operations, rewritten = steps(plan, {wanted.key: wanted}, held, FINGERPRINTER)
    final = rewritten.get(wanted.key, wanted)
    owed, to_go = is_owed(final, there, FINGERPRINTER), is_to_go(final, there, FINGERPRINTER)
    assert owed == (after in ("a", "b") and ((doubt and bool(before)) or after != before))
    assert to_go == (after == "" and bool(before))
    needed = edited or rekeyed or owed or to_go
    assert bool(operations) == needed
    if needed:
        (operation,) = operations
        assert isinstance(operation, Update)
        assert mark_in(operation.body) == final.fingerprint
        if after is None:
            # nothing is known: what the contact has stays what its mark says
            assert PHOTO not in (FINGERPRINTER.differing(final.fingerprint, there) or ())


@given(PHOTOS, PHOTOS, st.booleans(), st.booleans())
def test_only_what_the_ledger_knows_as_well_is_proven(mark: str | None, known: str | None, listed: bool, same_id: bool) -> None:
    found = {"u:1": Held("id", item(mark).fingerprint)}
    ledger = {"u:1": Held("id" if same_id else "other", item(known).fingerprint)} if listed else {}
    result = proven(found, ledger, FINGERPRINTER)["u:1"]
    if not mark or (listed and same_id and mark == known):
        assert result == found["u:1"]
    else:
        assert result.fingerprint == FINGERPRINTER.doubting_photo(found["u:1"].fingerprint)
        assert FINGERPRINTER.has_photo(result.fingerprint)


def test_what_was_read_keeps_the_photo_that_was_written() -> None:
    written = item("a").fingerprint
    fields = orjson.loads(item(None, department="Legal").body)
    found = FINGERPRINTER.found(fields, written=written)
    assert FINGERPRINTER.differing(found, written) == ("department",)
    assert FINGERPRINTER.edited(written, found) == ("department",)
    assert FINGERPRINTER.found(fields, written=None) == FINGERPRINTER.of(fields)
    assert FINGERPRINTER.found(fields, written=item("").fingerprint) == FINGERPRINTER.of(fields)


def test_a_sync_without_photos_has_the_fingerprints_it_always_had() -> None:
    assert item(None).fingerprint == item("").fingerprint
    assert len(item("a").fingerprint) > len(item("").fingerprint)


def test_a_contact_made_anew_has_what_the_old_one_had() -> None:
    before: dict[str, object] = {"personalNotes": "mine", "department": "Sales", "birthday": None, "homePhones": [], "title": ""}
    assert orjson.loads(remade(before, {"department": None, "jobTitle": "Boss"})) == {
        "personalNotes": "mine",
        "department": None,
        "jobTitle": "Boss",
    }


def test_one_plan_keeps_and_leaves_the_photos_of_many() -> None:
    """Who comes before or after somebody of whom nothing has to be kept is not forgotten."""
    plain, kept = item("").fingerprint, item("a").fingerprint
    held = {"u:1": Held("1", item("b").fingerprint), "u:2": Held("2", plain), "u:3": Held("3", kept), "u:4": Held("4", kept)}
    wanted = {"u:1": item("b", department="Legal", key="u:1")}
    wanted |= {key: item(None, department="Legal", key=key) for key in ("u:2", "u:3", "u:4")}
    plan = planning.plan(wanted, held)
    operations, rewritten = steps(plan, wanted, held, FINGERPRINTER)
    assert [operation.key for operation in operations] == ["u:1", "u:2", "u:3", "u:4"]
    assert operations[:2] == plan[:2]
    assert set(rewritten) == {"u:3", "u:4"}
    assert all(FINGERPRINTER.has_photo(one.fingerprint) for one in rewritten.values())


def test_what_is_proven_of_one_contact_says_nothing_of_the_next() -> None:
    edited = ("department",)
    found = {
        "u:1": Held("1", item("").fingerprint, edited),
        "u:2": Held("2", item("a").fingerprint, edited),
        "u:3": Held("3", item("a").fingerprint, edited),
        "": Held("", item("a").fingerprint),
    }
    known = {"u:3": Held("3", item("a").fingerprint)}
    doubted = FINGERPRINTER.doubting_photo(item("a").fingerprint)
    assert proven(found, known, FINGERPRINTER) == {
        "u:1": found["u:1"],
        "u:2": Held("2", doubted, edited),
        "u:3": found["u:3"],
        "": Held("", doubted),
    }


def test_the_name_of_a_content_never_changes() -> None:
    """Marks in mailboxes tell it: another name would have every photo written anew."""
    assert photo_name(b"a photo", b"key") == "f0ff689f2a3770f7"
    assert photo_name(b"a photo", b"other key") != photo_name(b"a photo", b"key") != photo_name(b"another", b"key")
