from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core import marks
from sync_core.marks import Mark, copied_key, copied_mark, folder_mark, is_folder_of, item_mark, key_in, parse

KEY = "u:11111111-aaaa-4aaa-8aaa-111111111111"
OTHER = "u:22222222-aaaa-4aaa-8aaa-111111111111"

ids = st.from_regex(r"[0-9a-z_-]{1,30}", fullmatch=True)
keys = st.lists(st.uuids().map(lambda value: f"u:{value}"), min_size=1, max_size=4, unique=True)


def test_the_properties_are_ours_alone_and_two() -> None:
    prefix, name = marks.KEY_PROPERTY.split(" Name ")
    assert name == "RollcallKey"
    assert f"{prefix} Name RollcallFingerprint" == marks.FINGERPRINT_PROPERTY
    # In every mailbox there is: changing one of these orphans them all
    assert prefix == "String {239f523c-eca7-4f72-ab70-120391cb5711}"


def test_what_a_mark_looks_like() -> None:
    assert item_mark("inst", "sync-1", KEY) == f"inst/sync-1/{KEY}"
    assert item_mark("inst", "sync-1", f"{OTHER}+{KEY}") == f"inst/sync-1/{KEY}+{OTHER}"
    assert folder_mark("inst", "sync-1") == "inst/sync-1/"


def test_whose_an_item_is() -> None:
    mark = item_mark("inst", "sync", KEY)
    assert key_in(mark, "inst", "sync") == KEY
    assert key_in(mark.upper(), "inst", "sync") == KEY
    assert key_in(mark, "inst", "other") is None
    assert key_in(mark, "other", "sync") is None
    assert key_in(folder_mark("inst", "sync"), "inst", "sync") is None


@pytest.mark.parametrize("foreign", [
    None, "", marks.RELEASED, "inst", "inst/sync", f"inst/sync/{KEY}+", "inst/sync/anna", "a/b/c/d", f" inst/sync/{KEY}",
    f"inst/sync/{KEY}\n", "inst//u:1", "/sync/u:1",
])  # fmt: skip
def test_everything_else_is_foreign(foreign: str | None) -> None:
    assert key_in(foreign, "inst", "sync") is None
    assert not is_folder_of(foreign, "inst", "sync")


def test_which_sync_of_an_installation_a_folder_is_of() -> None:
    assert marks.installed_by(folder_mark("inst", "sync"), "inst") == "sync"
    assert marks.installed_by(folder_mark("inst", "sync").upper(), "inst") == "sync"
    for other in (None, "", "inst/sync", marks.RELEASED, folder_mark("other", "sync"), item_mark("inst", "sync", KEY)):
        assert marks.installed_by(other, "inst") is None


def test_whose_a_folder_is() -> None:
    mark = folder_mark("inst", "sync")
    assert is_folder_of(mark, "inst", "sync")
    assert is_folder_of(mark.upper(), "inst", "sync")
    assert not is_folder_of(mark, "inst", "other")
    assert not is_folder_of(mark, "other", "sync")
    assert not is_folder_of(item_mark("inst", "sync", KEY), "inst", "sync")


@pytest.mark.parametrize(("installation", "sync", "key"), [
    ("Inst", "sync", KEY), ("inst", "Sync", KEY), ("inst", "sync", KEY.upper()), ("inst", "sync", "anna"), ("inst", "sync", ""),
    ("in/st", "sync", KEY), ("", "sync", KEY), ("inst", "sy nc", KEY), ("inst", "sync", "u:it's"),
])  # fmt: skip
def test_what_would_not_be_read_back_is_refused(installation: str, sync: str, key: str) -> None:
    with pytest.raises(ValueError, match="a mark takes lower-case ids and at most 255 characters"):
        item_mark(installation, sync, key)


def test_a_mark_fits_what_exchange_searches() -> None:
    longest = "u:" + "1" * (255 - len("inst/sync/u:"))
    assert len(item_mark("inst", "sync", longest)) == 255
    assert key_in(item_mark("inst", "sync", longest), "inst", "sync") == longest
    with pytest.raises(ValueError, match="255"):
        item_mark("inst", "sync", longest + "1")
    assert parse(f"inst/sync/{longest}1") is None


@given(ids, ids, keys)
def test_a_mark_reads_back(installation: str, sync: str, names: list[str]) -> None:
    mark = Mark(installation, sync, tuple(sorted(names)))
    assert parse(mark.text) == mark
    assert parse(mark.text.upper()) == mark
    assert key_in(mark.text, installation, sync) == mark.key == "+".join(sorted(names))
    assert parse(Mark(installation, sync).text) == Mark(installation, sync)


@given(st.text())
def test_no_text_that_only_looks_like_a_mark_is_ours(text: str) -> None:
    mark = parse(text)
    assert mark is None or mark.text == text.lower()


@given(ids, ids, ids, ids, keys)
def test_a_foreign_mark_is_never_ours(installation: str, sync: str, theirs: str, their_sync: str, names: list[str]) -> None:
    key = "+".join(sorted(names))
    ours = (installation, sync) == (theirs, their_sync)
    assert key_in(item_mark(theirs, their_sync, key), installation, sync) == (key if ours else None)


def test_what_was_copied_once_is_nobody_s_replica() -> None:
    mark = copied_mark("a:b/c")
    assert mark == "copied:a:b/c"
    assert copied_key(mark) == "a:b/c"
    assert parse(mark) is None
    for other in (None, "", "copied", "copied:", marks.RELEASED, item_mark("inst", "sync", KEY), "other:key"):
        assert copied_key(other) is None
