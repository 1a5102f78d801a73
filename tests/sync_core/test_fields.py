from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core import notes
from sync_core.contacts import FIELDS, OWNED_FIELDS, canonical, contact_of, item_of
from sync_core.definition import parse
from sync_core.directory import merge
from sync_core.errors import InputError
from sync_core.fields import ATTRIBUTES, Fields
from sync_core.fingerprints import Fingerprinter
from tests.sync_core.people import ANNA, FINGERPRINTER, users

PERSON = merge(
    None,
    {
        "id": "1",
        "displayName": "Dr. Anna Berg",
        "givenName": "Anna",
        "surname": "Berg",
        "mail": "anna@example.com",
        "proxyAddresses": ["SMTP:anna@example.com", "smtp:a.berg@example.com"],
        "mobilePhone": "0151 23456789",
        "businessPhones": ["(030) 123-4567", "030 7654321"],
        "officeLocation": "Building 7",
        "usageLocation": "DE",
        "onPremisesExtensionAttributes": {"extensionAttribute3": "0049 30 5555555", "extensionAttribute4": "x@example.com"},
    },
)


def shaped(fields: dict[str, Any], person: dict[str, Any] = PERSON) -> dict[str, Any]:
    rules = parse(Fields, fields)
    item = item_of(person, installation="i", sync="s", fingerprinter=FINGERPRINTER, default_country=None, fields=rules)
    body: dict[str, Any] = orjson.loads(item.body)
    del body["singleValueExtendedProperties"]
    return body


NAMES = ("displayName", "givenName", "surname")


def rule(name: str, **values: Any) -> dict[str, Any]:
    return {"rules": {name: values}}


# --- what the rules make of a person ------------------------------------------------------------------------------------


@given(users)
def test_without_rules_all_stays_as_it_is(user: dict[str, Any]) -> None:
    person = merge(None, user)
    plain = contact_of(person, default_country="DE")
    assert Fields().shaped(plain, person, country="DE") == plain
    assert Fields().owned == OWNED_FIELDS


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"names": "given_surname"}, {"displayName": "Anna Berg"}),
        ({"names": "surname_given"}, {"displayName": "Berg, Anna"}),
        ({"phones": "as_is"}, {"mobilePhone": "0151 23456789", "businessPhones": ["(030) 123-4567", "030 7654321"]}),
        (rule("companyName", constant="Example Ltd"), {"companyName": "Example Ltd"}),
        (rule("companyName", constant=" Example\u00a0Ltd "), {"companyName": "Example Ltd"}),
        (rule("companyName", policy="fill", constant="Example Ltd"), {"companyName": "Example Ltd"}),
        (rule("department", source="officeLocation"), {"department": "Building 7"}),
        (rule("jobTitle", source="extensionAttribute9"), {"jobTitle": None}),
        (rule("officeLocation", policy="clear"), {"officeLocation": None}),
        (rule("businessPhones", policy="clear"), {"businessPhones": []}),
        (rule("emailAddresses", policy="clear"), {"emailAddresses": []}),
        (
            rule("businessAddress", policy="clear"),
            {"businessAddress": dict.fromkeys(["street", "city", "state", "postalCode", "countryOrRegion"])},
        ),
        (rule("mobilePhone", source="extensionAttribute3"), {"mobilePhone": "+49305555555"}),
        (rule("mobilePhone", source="businessPhones"), {"mobilePhone": "+49301234567"}),
        (rule("businessPhones", source="mobilePhone"), {"businessPhones": ["+4915123456789"]}),
        (rule("businessPhones", constant=["030 1111111", "+1", "3"]), {"businessPhones": ["+49301111111", "+1"]}),
        (
            {"phones": "as_is", **rule("mobilePhone", source="extensionAttribute3")},
            {"mobilePhone": "0049 30 5555555", "businessPhones": ["(030) 123-4567", "030 7654321"]},
        ),
        (rule("displayName", source="extensionAttribute3"), {"displayName": "0049 30 5555555"}),
        (rule("displayName", source="extensionAttribute9"), {"displayName": "Dr. Anna Berg"}),
        (rule("categories", constant="Colleagues"), {"categories": ["Colleagues"]}),
        (rule("categories", constant=["B", "A", "A"]), {"categories": ["A", "B"]}),
        (rule("categories", source="department"), {"categories": []}),
        (rule("personalNotes", source="officeLocation"), {"personalNotes": notes.block("Building 7")}),
        (rule("personalNotes", constant="One\n Two\t2"), {"personalNotes": notes.block("One\r\nTwo 2")}),
        (rule("personalNotes", source="department"), {"personalNotes": ""}),
        (rule("personalNotes", policy="clear"), {"personalNotes": ""}),
    ],
)  # fmt: skip
def test_rules_change_the_fields_they_name_and_no_other(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    plain, found = shaped({}), shaped(fields)
    names = {entry.pop("name") for entry in found["emailAddresses"]}
    assert names <= {found["displayName"]}
    for entry in plain["emailAddresses"]:
        del entry["name"]
    assert found == {**plain, **expected}


def test_mail_addresses_carry_the_display_name() -> None:
    mails = shaped({"names": "surname_given", **rule("emailAddresses", source="extensionAttribute4")})["emailAddresses"]
    assert mails == [{"address": "x@example.com", "name": "Berg, Anna"}]


def test_names_without_both_parts_stay() -> None:
    person = merge(None, {"id": "1", "displayName": "Reception", "mail": "r@example.com"})
    assert shaped({"names": "surname_given"}, person)["displayName"] == "Reception"


def test_a_field_left_alone_is_nowhere() -> None:
    rules = parse(Fields, rule("officeLocation", policy="leave"))
    assert "officeLocation" not in rules.owned
    assert "officeLocation" not in shaped(rule("officeLocation", policy="leave"))
    own = Fingerprinter(b"k", "k1", rules.owned)
    assert own.of({"officeLocation": "here"}) == own.of({"officeLocation": "there"})


def test_any_attribute_of_a_person_can_feed_a_text() -> None:
    assert set(PERSON) - {"id", "proxyAddresses"} <= set(ATTRIBUTES)
    for name in ATTRIBUTES:
        parse(Fields, rule("businessPhones", source=name))


BLOCK = "our text stands in a block of its own beside the user's notes"
MADE = "Exchange always makes a name from what there is"


# --- clear errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"names": "surname"}, "names", "surname_given"),
        ({"order": "surname"}, "order", "not permitted"),
        (rule("birthday"), "rules", "birthday is none of displayName"),
        (rule("jobTitle", policy="keep"), "rules.jobTitle.policy", "'overwrite', 'fill', 'clear' or 'leave'"),
        (rule("jobTitle", source="extensionAttribute16"), "rules.jobTitle.source", "extensionAttribute15"),
        (rule("jobTitle", source="proxyAddresses"), "rules.jobTitle.source", "must be one of displayName"),
        (rule("jobTitle", source="businessPhones"), "rules", "jobTitle cannot be fed by businessPhones"),
        (rule("jobTitle", source="city", constant="A"), "rules.jobTitle", "not both"),
        (rule("jobTitle", policy="clear", constant="A"), "rules.jobTitle", "neither source nor constant"),
        (rule("jobTitle", policy="leave", source="city"), "rules.jobTitle", 'with the policy "leave"'),
        (rule("jobTitle", constant=["A"]), "rules", "jobTitle takes one constant, not a list"),
        (rule("jobTitle", constant=" "), "rules.jobTitle.constant", "1 to 255 characters"),
        (rule("categories", constant=[]), "rules.categories.constant", "1 to 20 texts"),
        (rule("categories", constant=["A"] * 21), "rules.categories.constant", "1 to 20 texts"),
        (rule("categories", constant=["A", ""]), "rules.categories.constant", "1 to 255 characters"),
        (rule("jobTitle", constant="A" * 256), "rules.jobTitle.constant", "1 to 255 characters"),
        (rule("emailAddresses", constant="nobody"), "rules", "emailAddresses takes e-mail addresses"),
        (rule("businessAddress", source="city"), "rules", "businessAddress takes neither"),
        (rule("categories"), "rules", "categories needs a source or a constant"),
        (rule("categories", policy="fill"), "rules", "categories needs a source or a constant"),
        (rule("personalNotes", policy="fill", constant="A"), "rules", f"personalNotes cannot be filled: {BLOCK}"),
        (rule("displayName", policy="clear"), "rules", "displayName cannot be cleared: Exchange would make it anew"),
        *((rule(name, policy="fill"), "rules", f"{name} cannot be filled: {MADE}") for name in NAMES),
        (rule("displayName", policy="leave"), "rules", "all three or none"),
        ({"rules": {name: {"policy": "leave"} for name in OWNED_FIELDS}}, "rules", "leave nothing to write"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(fields: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(Fields, fields)
    assert caught.value.field == place
    assert words in str(caught.value)


def test_numbers_may_stay_as_they_are() -> None:
    person = {**PERSON, "mobilePhone": "+49 (151) 234", "businessPhones": ["+49 (30) 12", "030/34"]}
    found = shaped({"phones": "as_is"}, person)
    assert (found["mobilePhone"], found["businessPhones"]) == ("+49 (151) 234", ["+49 (30) 12", "030/34"])


def test_addresses_can_be_constants() -> None:
    assert shaped(rule("emailAddresses", constant=["desk@example.com"]))["emailAddresses"][0]["address"] == "desk@example.com"


def test_what_feeds_a_number_and_is_not_there_leaves_none() -> None:
    found = shaped(
        {"rules": {"mobilePhone": {"source": "extensionAttribute1"}, "businessPhones": {"source": "extensionAttribute1"}}}
    )
    assert (found["mobilePhone"], found["businessPhones"]) == (None, [])


def test_the_default_country_reads_what_feeds_a_number() -> None:
    rules = parse(Fields, rule("mobilePhone", source="extensionAttribute1"))
    person = {"id": "1", "displayName": "A", "extensionAttribute1": "030 123456"}
    item = item_of(person, installation="i", sync="s", fingerprinter=FINGERPRINTER, default_country="DE", fields=rules)
    assert orjson.loads(item.body)["mobilePhone"] == "+4930123456"


def test_the_three_names_can_be_left_together() -> None:
    left = {name: {"policy": "leave"} for name in NAMES}
    assert len(parse(Fields, {"rules": left}).owned) == len(OWNED_FIELDS) - 3
    everything = {name: {"policy": "leave"} for name in OWNED_FIELDS} | {"categories": {"constant": "A"}}
    assert parse(Fields, {"rules": everything}).owned == ("categories",)


# --- fingerprints follow the rules --------------------------------------------------------------------------------------

MOST = OWNED_FIELDS[:-1]
ALL = Fingerprinter(b"a tenant's fingerprint key", "k1", FIELDS)
FEWER = Fingerprinter(b"a tenant's fingerprint key", "k1", MOST)
CONTACT = {**contact_of(ANNA, default_country=None), "categories": ["A"], "personalNotes": notes.block("B")}


def test_a_changed_rule_is_a_difference_in_that_field_alone() -> None:
    assert FINGERPRINTER.differing(FINGERPRINTER.of(CONTACT), ALL.of(CONTACT)) == ("categories", "personalNotes")
    assert FINGERPRINTER.differing(FEWER.of(CONTACT), FINGERPRINTER.of(CONTACT)) == (OWNED_FIELDS[-1],)
    assert FINGERPRINTER.differing(FINGERPRINTER.of({}), FEWER.of({})) == (OWNED_FIELDS[-1],)
    assert len(FEWER.of(CONTACT)) < len(FINGERPRINTER.of(CONTACT)) < len(ALL.of(CONTACT))


def test_a_field_that_was_not_ours_was_not_edited() -> None:
    changed = {**CONTACT, "department": "Other", "businessAddress": None}
    assert FINGERPRINTER.edited(FEWER.of(CONTACT), FINGERPRINTER.of(changed)) == ("department",)
    assert FEWER.edited(FINGERPRINTER.of(CONTACT), FEWER.of(changed)) == ("department",)
    assert FINGERPRINTER.edited(FINGERPRINTER.of(CONTACT), FINGERPRINTER.of(changed)) == ("department", "businessAddress")
    assert FINGERPRINTER.edited(None, FINGERPRINTER.of(changed)) == ()


def test_blank_is_what_has_nothing_in_it() -> None:
    blank = {**CONTACT, "department": None, "categories": []}
    assert ALL.is_blank(ALL.of(blank), "department")
    assert ALL.is_blank(ALL.of(blank), "categories")
    assert not ALL.is_blank(ALL.of(CONTACT), "department")
    assert not ALL.is_blank(FINGERPRINTER.of({}), "categories"), "nothing is known of it"
    assert not FINGERPRINTER.is_blank(ALL.of({}), "categories"), "it is not ours"
    assert not ALL.is_blank("", "department")


@given(st.sets(st.sampled_from(FIELDS)))
def test_combined_fingerprints_are_those_of_combined_items(names: set[str]) -> None:
    other = dict.fromkeys(FIELDS)
    mixed = {name: other[name] if name in names else CONTACT[name] for name in FIELDS}
    assert ALL.combined(ALL.of(CONTACT), ALL.of(other), names) == ALL.of(mixed)


def test_what_is_unknown_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="not known"):
        ALL.combined(ALL.of(CONTACT), "", ["department"])
    with pytest.raises(ValueError, match="not known"):
        ALL.combined("", ALL.of(CONTACT), ["department"])


def test_categories_compare_in_any_order() -> None:
    assert canonical("categories", ["B", " A"]) == canonical("categories", ["A", "B"]) != canonical("categories", ["A"])


# --- our block in the user's notes --------------------------------------------------------------------------------------

lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=8).map(str.strip)
own = st.lists(st.one_of(lines, st.just("----- Company directory -----")), max_size=4).map("\r\n".join)


@given(own, lines.filter(bool), lines.filter(bool))
def test_the_block_changes_and_the_rest_stays(theirs: str, text: str, later: str) -> None:
    """Even when the user has typed, or left over, our first line."""
    once = notes.with_block(theirs, notes.block(text))
    twice = notes.with_block(once, notes.block(later))
    assert notes.block_text(once) == text
    assert notes.block_text(twice) == later
    assert twice.replace(notes.block(later), "").strip() == theirs.strip()
    assert notes.with_block(once, notes.block(text)) == once
    around = f"{once}\r\nbelow\r\n"
    assert notes.with_block(around, notes.block(later)) == f"{twice}\r\nbelow\r\n"
    assert notes.with_block(once, "").strip() == theirs.strip()


def test_what_stands_around_the_block_survives_the_phones_line_ends() -> None:
    there = "before\n  ----- Company directory -----  \nold\nolder\n----- End of company directory -----\nafter\n"
    assert notes.block_text(there) == "old\nolder"
    assert notes.with_block(there, notes.block("new")) == f"before\n{notes.block('new')}\nafter\n"
    assert notes.with_block(there, "") == "before\nafter\n"
    assert canonical("personalNotes", there) == canonical("personalNotes", notes.block("old\r\nolder"))


def test_taking_the_block_out_leaves_every_other_character_as_it_is() -> None:
    ours = notes.block("ours")
    assert notes.with_block(f"mine  X\r\n\r\n{ours}", "") == "mine  X"
    assert notes.with_block(f"mine \t\r\n{ours}\r\n  yours", "") == "mine \t\r\n  yours"
    assert notes.with_block(f"\r\n{ours}\r\n  Xyours ", "") == "  Xyours "
    assert notes.with_block(f"{ours}\r\nX", "") == "X"


@pytest.mark.parametrize("there", [None, "", "mine", "----- Company directory -----\r\nno end"])
def test_notes_without_a_block(there: str | None) -> None:
    assert notes.block_text(there) == ""
    assert notes.with_block(there, "") == (there or "")
    assert canonical("personalNotes", there) == b""


def test_an_empty_block_is_found_again() -> None:
    emptied = notes.block("x").replace("x\r\n", "")
    assert notes.with_block(f"mine\r\n{emptied}", notes.block("y")) == f"mine\r\n{notes.block('y')}"
    assert notes.block(None) == notes.block("") == ""


def test_first_the_block_then_nothing() -> None:
    assert notes.with_block(None, notes.block("x")) == notes.block("x")
    assert notes.with_block(notes.block("x") + "\r\nmine", "") == "mine"
    assert notes.with_block("mine", notes.block("x")) == f"mine\r\n\r\n{notes.block('x')}"
