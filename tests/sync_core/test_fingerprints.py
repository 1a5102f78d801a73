from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.contacts import OWNED_FIELDS, canonical, contact_of
from sync_core.fingerprints import PHOTO, Fingerprinter
from sync_core.kinds import CONTACTS
from tests.sync_core.people import ANNA, FINGERPRINTER, users

FIELDS = contact_of(ANNA, default_country=None)


def test_what_a_fingerprint_looks_like() -> None:
    """Every mailbox rests on this value: if it changes, so must the schema letter, and all is rewritten."""
    assert FINGERPRINTER.of(FIELDS) == "k1.a.WMcALjMDCA0Uk3Ff-WjMTxaB58gCIx1atsg8TU7RrlzzphL7nkS_zeL1uUU"
    assert FINGERPRINTER.of({}) == "k1.a.bsSTK6szR1b3U2UQ7xvKRmhVv3G-W_CPVCTu2nGhCi5_EKjWJ0oqahPzrEk"
    assert len(FINGERPRINTER.of(FIELDS)) == len("k1.a.") + 59


@given(users, users)
def test_differing_names_exactly_the_fields_that_changed(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = (contact_of(user, default_country="DE") for user in (one, other))
    changed = tuple(name for name in OWNED_FIELDS if canonical(name, before[name]) != canonical(name, after[name]))
    fingerprints = FINGERPRINTER.of(before), FINGERPRINTER.of(after)
    assert FINGERPRINTER.differing(*fingerprints) == changed
    assert (fingerprints[0] == fingerprints[1]) == (not changed)


@given(st.sampled_from(OWNED_FIELDS))
def test_a_cleared_field_is_a_changed_field(name: str) -> None:
    cleared = {**FIELDS, name: None}
    assert FINGERPRINTER.differing(FINGERPRINTER.of(FIELDS), FINGERPRINTER.of(cleared)) == (name,)


def test_what_we_do_not_own_does_not_count() -> None:
    assert FINGERPRINTER.of({**FIELDS, "personalNotes": "likes tea", "id": "AAMk"}) == FINGERPRINTER.of(FIELDS)


def test_equal_values_in_different_fields_have_different_tags() -> None:
    """Else a reader of the mailbox could tell that two fields hold the same."""
    first, second = FINGERPRINTER.of({"city": "x", "department": "x"}), FINGERPRINTER.of({"jobTitle": "x"})
    assert FINGERPRINTER.differing(first, second) == ("department", "jobTitle")
    tags = FINGERPRINTER.of({}).removeprefix("k1.a.")
    assert len({tags[at : at + 5] for at in range(0, 55, 5)}) == 11


def test_the_key_makes_the_fingerprint() -> None:
    other_key = Fingerprinter(b"another key", "k1")
    assert set(other_key.differing(other_key.of(FIELDS), FINGERPRINTER.of(FIELDS)) or ()) == set(OWNED_FIELDS)
    assert Fingerprinter(b"a tenant's fingerprint key", "k1").of(FIELDS) == FINGERPRINTER.of(FIELDS)


def test_every_fingerprint_is_known() -> None:
    """Whatever letter of base64 it ends in."""
    made = [FINGERPRINTER.of({"businessAddress": {"city": str(number)}}) for number in range(300)]
    assert len({fingerprint[-1] for fingerprint in made}) > 10
    assert all(FINGERPRINTER.known(fingerprint) for fingerprint in made)


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        "",
        "k1.a.",
        "k1",
        "gibberish",
        Fingerprinter(b"a tenant's fingerprint key", "k2").of(FIELDS),
        Fingerprinter(b"a tenant's fingerprint key", "k").of(FIELDS),
        FINGERPRINTER.of(FIELDS).replace(".a.", ".b."),
        FINGERPRINTER.of(FIELDS)[:-1],
        FINGERPRINTER.of(FIELDS) + "A",
        FINGERPRINTER.of(FIELDS) + "AAAA",
        FINGERPRINTER.of(FIELDS)[:-4] + "!!!!",
        FINGERPRINTER.of(FIELDS)[:-1] + "ü",
    ],
)
def test_other_fingerprints_say_nothing(foreign: str | None) -> None:
    ours = FINGERPRINTER.of(FIELDS)
    assert FINGERPRINTER.known(ours)
    assert not FINGERPRINTER.known(foreign)
    assert FINGERPRINTER.differing(ours, foreign or "") is None
    assert FINGERPRINTER.differing(foreign or "", ours) is None


def test_the_tag_of_a_photo() -> None:
    """As above: mailboxes rest on it. The maker is made here, so that nothing of the module's own is in the way."""
    fresh = Fingerprinter(b"a tenant's fingerprint key", "k1")
    assert fresh.of(FIELDS, photo="abc") == "k1.a.WMcALjMDCA0Uk3Ff-WjMTxaB58gCIx1atsg8TU7RrlzzphL7nkS_zeL1uUUAAAAAAAAAAH_qaXo"
    assert fresh.has_photo(fresh.of(FIELDS, photo="abc"))
    assert not fresh.has_photo(fresh.of(FIELDS))
    assert fresh.doubting_photo("says nothing") == "says nothing"
    assert fresh.doubting_photo("") == ""


def test_an_edited_field_was_and_is_owned_and_is_no_photo() -> None:
    written, found = FINGERPRINTER.of(FIELDS, photo="a"), FINGERPRINTER.of({**FIELDS, "jobTitle": "Head"}, photo="b")
    assert FINGERPRINTER.differing(written, found) == ("jobTitle", PHOTO)
    assert FINGERPRINTER.edited(written, found) == ("jobTitle",)
    narrow = Fingerprinter(b"a tenant's fingerprint key", "k1", ("displayName", "jobTitle"))
    assert FINGERPRINTER.edited(narrow.of({**FIELDS, "displayName": "Ann"}), found) == ("displayName", "jobTitle")


def test_what_is_not_known_cannot_be_combined() -> None:
    known = FINGERPRINTER.of(FIELDS)
    for pair in ((known, ""), ("", known)):
        with pytest.raises(ValueError, match=r"^cannot combine a fingerprint that is not known$"):
            FINGERPRINTER.combined(*pair, ("jobTitle",))


def test_a_fingerprint_has_one_spelling_and_no_tag_too_many() -> None:
    """Whatever else would be read as the same bytes, or has more of them, is not ours."""
    full = Fingerprinter(b"a tenant's fingerprint key", "k1", CONTACTS.fields)
    longest = full.of(FIELDS, photo="abc")
    tags = urlsafe_b64decode(longest.removeprefix("k1.a.") + "===")
    assert len(tags) == 4 * (len(CONTACTS.fields) + 1)
    assert full.known(longest)
    more = urlsafe_b64encode(tags + b"more").decode().rstrip("=")
    assert not full.known(f"k1.a.{more}")
    assert not full.known(longest + "=")
    assert not full.known(longest + "==")


def test_every_letter_may_be_the_last() -> None:
    """Three tags fill base64 to its last letter."""
    narrow = Fingerprinter(b"key", "k1", OWNED_FIELDS[:3])
    made = [narrow.of({"displayName": "A", OWNED_FIELDS[2]: str(number)}) for number in range(600)]
    assert len({fingerprint[-1] for fingerprint in made}) == 64
    assert all(narrow.known(fingerprint) for fingerprint in made)
