from __future__ import annotations

import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core import marks
from sync_core.contacts import OWNED_FIELDS, canonical, contact_of, item_of, key_of, with_international_phones
from sync_core.directory import merge
from sync_core.model import Item
from tests.sync_core.people import ANNA, FINGERPRINTER, odd_address, odd_phone, odd_text, users

EMPTY_ADDRESS = {"street": None, "city": None, "state": None, "postalCode": None, "countryOrRegion": None}


def contact(user: dict[str, Any], default_country: str | None = None) -> dict[str, Any]:
    return contact_of(merge(None, user), default_country=default_country)


def anna(**changes: Any) -> dict[str, Any]:
    return contact({**ANNA, **changes})


def emails(of: dict[str, Any]) -> list[str]:
    return [email["address"] for email in of["emailAddresses"]]


def test_an_ordinary_person() -> None:
    assert contact(ANNA) == {
        "displayName": "Anna Schmidt",
        "givenName": "Anna",
        "surname": "Schmidt",
        "companyName": "Contoso AG",
        "department": "Sales",
        "jobTitle": "Account manager",
        "officeLocation": "B 12",
        "mobilePhone": "+491711234567",
        "businessPhones": ["+4930123456"],
        "emailAddresses": [
            {"address": "anna.schmidt@contoso.com", "name": "Anna Schmidt"},
            {"address": "schmidt@contoso.com", "name": "Anna Schmidt"},
        ],
        "businessAddress": {
            "street": "Hauptstraße 5",
            "city": "Berlin",
            "state": "BE",
            "postalCode": "10115",
            "countryOrRegion": "Germany",
        },
    }


def test_what_is_empty_is_written_as_empty() -> None:
    """A field that is left out of a PATCH would keep what was cleared in the directory."""
    assert contact({"id": "1", "displayName": "Reception"}) == {
        "displayName": "Reception",
        "givenName": "Reception",
        "surname": None,
        "companyName": None,
        "department": None,
        "jobTitle": None,
        "officeLocation": None,
        "mobilePhone": None,
        "businessPhones": [],
        "emailAddresses": [],
        "businessAddress": EMPTY_ADDRESS,
    }


@pytest.mark.parametrize(
    ("display", "given_name", "surname", "expected"),
    [
        ("Anna Schmidt", "Anna", "Schmidt", ("Anna Schmidt", "Anna", "Schmidt")),
        ("Dr. A. Schmidt", "Anna", "Schmidt", ("Dr. A. Schmidt", "Anna", "Schmidt")),
        # one part is missing
        ("Anna Schmidt", "Anna", None, ("Anna Schmidt", "Anna", "Schmidt")),
        ("Schmidt, Anna", "Anna", None, ("Schmidt, Anna", "Anna", "Schmidt")),
        ("Anna Schmidt", None, "Schmidt", ("Anna Schmidt", "Anna", "Schmidt")),
        ("Schmidt, Anna", None, "Schmidt", ("Schmidt, Anna", "Anna", "Schmidt")),
        ("Anna Maria de la Cruz", "Anna Maria", None, ("Anna Maria de la Cruz", "Anna Maria", "de la Cruz")),
        ("Anna Maria de la Cruz", None, "de la Cruz", ("Anna Maria de la Cruz", "Anna Maria", "de la Cruz")),
        ("MAX ANNA", "MAX", None, ("MAX ANNA", "MAX", "ANNA")),
        ("MAX ANNA", None, "ANNA", ("MAX ANNA", "MAX", "ANNA")),
        ("Cher", "Cher", None, ("Cher", "Cher", None)),
        ("Cher", None, "Cher", ("Cher", None, "Cher")),
        ("Nick Name", "Anna", None, ("Nick Name", "Anna", None)),
        ("Annabel Lee", "Anna", None, ("Annabel Lee", "Anna", None)),
        # both are missing
        ("Schmidt, Anna", None, None, ("Schmidt, Anna", "Schmidt, Anna", None)),
        ("Empfang Berlin", "", " ", ("Empfang Berlin", "Empfang Berlin", None)),
        # the display name is missing
        (None, "Anna", "Schmidt", ("Anna Schmidt", "Anna", "Schmidt")),
        (None, "Anna", None, ("Anna", "Anna", None)),
        (None, None, "Schmidt", ("Schmidt", None, "Schmidt")),
        (None, None, None, ("anna.schmidt@contoso.com", "anna.schmidt@contoso.com", None)),
        # scripts and signs
        ("محمد علي", "محمد", "علي", ("محمد علي", "محمد", "علي")),
        ("\u200fשלום כהן", None, None, ("\u200fשלום כהן", "\u200fשלום כהן", None)),
        ("👩‍👩‍👧‍👦 Care team", None, None, ("👩‍👩‍👧‍👦 Care team", "👩‍👩‍👧‍👦 Care team", None)),
        ("A\u030asa  O\u0308st\t", "A\u030asa", None, ("Åsa Öst", "Åsa", "Öst")),
        ("Anna\0\x1f Sch\u2028midt\ud800", "Anna", "S", ("Anna Sch midt", "Anna", "S")),
    ],
)
def test_names(
    display: str | None, given_name: str | None, surname: str | None, expected: tuple[str, str | None, str | None]
) -> None:
    shown = anna(displayName=display, givenName=given_name, surname=surname)
    assert (shown["displayName"], shown["givenName"], shown["surname"]) == expected


def test_without_any_name_a_phone_must_do() -> None:
    nameless = {"id": "1", "businessPhones": ["+4930123456"], "mobilePhone": "+491711234567"}
    assert contact(nameless)["displayName"] == "+4930123456"
    assert contact({**nameless, "businessPhones": []})["displayName"] == "+491711234567"
    assert contact({"id": "1"})["displayName"] is None
    assert contact({"id": "1"})["givenName"] is None


def test_long_values_are_cut_between_characters() -> None:
    assert anna(department="x" * 255)["department"] == "x" * 255
    assert anna(department="x" * 256)["department"] == "x" * 255
    assert anna(department="ü" * 300)["department"] == "ü" * 255
    assert anna(department="🦊" * 127)["department"] == "🦊" * 127
    assert anna(department="🦊" * 128)["department"] == "🦊" * 127
    assert anna(department="x" * 254 + " yz")["department"] == "x" * 254
    assert anna(streetAddress="Long Street " * 100)["businessAddress"]["street"] == ("Long Street " * 100)[:255].rstrip()


@pytest.mark.parametrize(
    ("usage", "country", "default", "expected"),
    [
        ("DE", "France", "US", "+4930123456"),
        (None, "Germany", "US", "+4930123456"),
        ("Narnia", "Germany", "US", "+4930123456"),
        (None, None, "DE", "+4930123456"),
        (None, "Narnia", "DE", "+4930123456"),
        (None, None, None, "030 123456"),
    ],
)
def test_the_country_that_reads_a_phone(usage: str | None, country: str | None, default: str | None, expected: str) -> None:
    user = {**ANNA, "usageLocation": usage, "country": country, "mobilePhone": "030 123456", "businessPhones": ["030 123456"]}
    assert contact(user, default)["businessPhones"] == [expected]
    assert contact(user, default)["mobilePhone"] == expected


def test_phones_beyond_the_limit_and_twice_the_same() -> None:
    assert anna(businessPhones=["030 1234561", "+49 30 1234561", " - ", "030 1234562", "030 1234563", "030 1234564"])[
        "businessPhones"
    ] == ["+49301234561", "+49301234562"]
    assert anna(mobilePhone=" - ")["mobilePhone"] is None
    assert anna(mobilePhone="ask\0Bob")["mobilePhone"] == "ask Bob"


def test_the_first_address_is_the_mail_then_aliases_in_a_fixed_order() -> None:
    aliases = [f"smtp:{name}@contoso.com" for name in "hcbgadef"]
    expected = ["anna.schmidt@contoso.com", "a@contoso.com", "b@contoso.com"]
    assert emails(anna(proxyAddresses=aliases)) == expected
    assert emails(anna(proxyAddresses=aliases[::-1])) == expected
    # also when the user was not merged first
    assert emails(contact_of({**ANNA, "proxyAddresses": aliases}, default_country=None)) == expected


@pytest.mark.parametrize(
    ("mail", "proxies", "expected"),
    [
        ("a@x.com", ["SMTP:A@X.com", "smtp:a@x.COM", "smtp:b@x.com"], ["a@x.com", "b@x.com"]),
        (None, ["smtp:a@x.com", "SMTP:z@x.com"], ["z@x.com", "a@x.com"]),
        ("a@x.onmicrosoft.com", ["SMTP:a@x.onmicrosoft.com", "smtp:b@x.OnMicrosoft.com"], ["a@x.onmicrosoft.com"]),
        ("a@x.com", ["SIP:b@x.com", "X500:/o=x@y", "smtp:no address", "smtp:", "b@x.com"], ["a@x.com"]),
        ("ß@x.com", ["smtp:ss@x.com"], ["ß@x.com", "ss@x.com"]),
        (None, [], []),
        ("no address", [], []),
        ("a@" + "x" * 253, ["smtp:a@" + "x" * 252], ["a@" + "x" * 252]),
    ],
)
def test_email_addresses(mail: str | None, proxies: list[str], expected: list[str]) -> None:
    found = contact_of({"id": "1", "displayName": "A", "mail": mail, "proxyAddresses": proxies}, default_country=None)
    assert found["emailAddresses"] == [{"address": address, "name": "A"} for address in expected]


def test_a_person_s_numbers_can_be_read_before_anything_else_is_known() -> None:
    """Merging compares people: each source's numbers are read by the country of that source's person."""
    numbers = {"mobilePhone": "0171 1234567", "businessPhones": ["030 123456", "030-123456"]}
    person = {"displayName": "Ann", "country": "DE", **numbers}
    read = {**person, "mobilePhone": "+491711234567", "businessPhones": ["+4930123456"]}
    assert with_international_phones(person, "US") == read
    assert with_international_phones({**person, "country": None}, "DE") == {**read, "country": None}
    one = {"mobilePhone": "0171 1234567"}
    assert with_international_phones(one, "DE") == {"mobilePhone": "+491711234567", "businessPhones": []}
    other = {"businessPhones": ["030 123456"]}
    assert with_international_phones(other, "DE") == {"mobilePhone": None, "businessPhones": ["+4930123456"]}
    silent = {"displayName": "Ann", "country": "DE"}
    assert with_international_phones(silent, "US") is silent


def test_keys_are_lower_case_object_ids() -> None:
    assert key_of(ANNA) == "u:11111111-aaaa-4aaa-8aaa-111111111111"


def test_an_item_carries_the_contact_and_both_marks() -> None:
    item = item_of(merge(None, ANNA), installation="inst", sync="staff", fingerprinter=FINGERPRINTER, default_country=None)
    fields = contact(ANNA)
    assert item.key == key_of(ANNA)
    assert item.fingerprint == FINGERPRINTER.of(fields)
    assert orjson.loads(item.body) == {
        **fields,
        "singleValueExtendedProperties": [
            {"id": marks.KEY_PROPERTY, "value": marks.item_mark("inst", "staff", item.key)},
            {"id": marks.FINGERPRINT_PROPERTY, "value": item.fingerprint},
        ],
    }


def test_an_item_knows_its_photo() -> None:
    def made(**more: Any) -> Item:
        return item_of(ANNA, installation="i", sync="s", fingerprinter=FINGERPRINTER, default_country=None, **more)

    assert made().photo is None
    assert (made(photo=("", "")).photo, made(photo=("7:abc", "abc")).photo) == ("", "7:abc")


def test_an_item_tells_what_it_would_be_if_nothing_were_hidden() -> None:
    def made(**more: Any) -> Item:
        return item_of(ANNA, installation="i", sync="s", fingerprinter=FINGERPRINTER, default_country=None, **more)

    shown, contact = made(), contact_of(ANNA, default_country=None)
    veiled = made(veil=lambda contact: {**contact, "jobTitle": None})
    assert (shown.hides, veiled.hides) == ("", shown.fingerprint)
    assert veiled.fingerprint == FINGERPRINTER.of({**contact, "jobTitle": None})
    assert orjson.loads(veiled.body)["jobTitle"] is None
    with_photo = made(veil=lambda contact: {**contact, "jobTitle": None}, photo=("7", "abc"))
    assert with_photo.fingerprint == FINGERPRINTER.of({**contact, "jobTitle": None}, photo="abc")
    assert with_photo.hides == made(photo=("7", "abc")).fingerprint


def test_the_default_country_reaches_the_item() -> None:
    user = {"id": "1", "displayName": "A", "mobilePhone": "030 123456"}
    item = item_of(user, installation="inst", sync="staff", fingerprinter=FINGERPRINTER, default_country="DE")
    assert orjson.loads(item.body)["mobilePhone"] == "+4930123456"


@given(users, st.sampled_from([None, "DE", "US"]))
def test_odd_people_become_contacts_that_graph_takes(user: dict[str, Any], default: str | None) -> None:
    of = contact(user, default)
    assert tuple(of) == OWNED_FIELDS
    assert tuple(of["businessAddress"]) == ("street", "city", "state", "postalCode", "countryOrRegion")
    assert len(of["emailAddresses"]) <= 3
    assert len({email["address"].lower() for email in of["emailAddresses"]}) == len(of["emailAddresses"])
    assert len(of["businessPhones"]) <= 2
    texts = [value for value in of.values() if isinstance(value, str)]
    texts += [value for value in of["businessAddress"].values() if value is not None]
    texts += [text for email in of["emailAddresses"] for text in (email["address"], email["name"])]
    texts += of["businessPhones"]
    for text in texts:
        assert text == " ".join(text.split())
        assert text
        assert unicodedata.is_normalized("NFC", text)
        assert len(text.encode("utf-16-le")) <= 510
        assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
    assert item_of(user, installation="i", sync="s", fingerprinter=FINGERPRINTER, default_country=default) == item_of(
        {**user}, installation="i", sync="s", fingerprinter=FINGERPRINTER, default_country=default
    )


def as_graph_reads_it_back(of: dict[str, Any]) -> dict[str, Any]:
    """What Graph makes of a contact: empty parts vanish, names of addresses are its own, line ends are CRLF."""
    back: dict[str, Any] = {name: value for name, value in of.items() if value}
    back["businessPhones"] = of["businessPhones"]
    back["businessAddress"] = {part: value for part, value in of["businessAddress"].items() if value is not None}
    addresses = [email["address"] for email in of["emailAddresses"]]
    back["emailAddresses"] = [{"name": one, "address": one.title() if one.isascii() else one} for one in addresses]
    return {"@odata.etag": "W/1", "id": "AAMk", **back, "homePhones": [], "middleName": ""}


@given(users)
def test_reading_back_what_was_written_gives_the_same_fingerprint(user: dict[str, Any]) -> None:
    of = contact(user)
    assert FINGERPRINTER.of(as_graph_reads_it_back(of)) == FINGERPRINTER.of(of)


@pytest.mark.parametrize("empty", [None, "", [], {}, [{}], [""], " ", EMPTY_ADDRESS])
def test_all_that_is_empty_is_the_same(empty: Any) -> None:
    fields = {
        str: ("displayName", "department", "mobilePhone"),
        dict: ("businessAddress",),
        list: ("emailAddresses",) if empty == [{}] else ("businessPhones",),
        type(None): OWNED_FIELDS,
    }[type(empty)]
    for field in fields:
        assert canonical(field, empty) == b""


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("displayName", " A\u030asa  Öst\r\n", "Åsa Öst"),
        ("officeLocation", "Line 1\nLine 2", "Line 1\r\n Line 2 "),
        ("mobilePhone", "+49 (30) 123-4.5/6", "+4930123456"),
        ("mobilePhone", "+49\u00a030123456", "+4930123456"),
        ("businessPhones", ["+49 30 1", "", "+49-30-2"], ["+49301", "+49302"]),
        ("emailAddresses", [{"address": "A@x.com", "name": "A"}, {}], [{"address": "a@x.com "}]),
        ("businessAddress", {"city": "Köln", "state": ""}, {"street": None, "city": "Ko\u0308ln", "type": "business"}),
    ],
)
def test_what_counts_as_equal(field: str, one: Any, other: Any) -> None:
    assert canonical(field, one) == canonical(field, other) != b""


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("displayName", "anna", "Anna"),
        ("displayName", "Anna Schmidt", "AnnaSchmidt"),
        ("department", "R-D", "RD"),
        ("mobilePhone", "+49301", "49301"),
        ("mobilePhone", "+49301,2", "+493012"),
        ("businessPhones", ["1", "2"], ["2", "1"]),
        ("businessPhones", ["1", "2"], ["12"]),
        ("emailAddresses", [{"address": "a@x"}, {"address": "b@x"}], [{"address": "b@x"}, {"address": "a@x"}]),
        ("emailAddresses", [{"address": "a@x"}, {"address": "b@x"}], [{"address": "a@x"}]),
        ("businessAddress", {"city": "Berlin"}, {"state": "Berlin"}),
        ("businessAddress", {"street": "1", "city": "2"}, {"street": "1 2"}),
    ],
)
def test_what_counts_as_different(field: str, one: Any, other: Any) -> None:
    assert canonical(field, one) != canonical(field, other)


def test_the_canonical_form_itself() -> None:
    """Fingerprints in mailboxes rest on it."""
    assert canonical("displayName", " XX\nX ") == b"XX X"
    assert canonical("mobilePhone", "a-\u2028\u0308") == "ä".encode()  # composed once nothing stands between
    assert canonical("businessAddress", {"city": "X"}) == b"\nX"
    assert canonical("businessAddress", {"countryOrRegion": "XX"}) == b"\n\n\n\nXX"
    assert canonical("emailAddresses", [{"address": "\ud83d@X"}]) == b"\xed\xa0\xbd@x"


@given(odd_text, st.lists(odd_phone, max_size=3), st.lists(odd_address, max_size=3))
def test_canonical_forms_are_canonical(text: str, phones: list[str], addresses: list[str]) -> None:
    """Whatever a user wrote into our fields, halves of characters included."""

    def read(form: bytes) -> str:
        return form.decode("utf-8", "surrogatepass")

    for field, value in (("jobTitle", text), ("mobilePhone", text)):
        form = canonical(field, value)
        assert canonical(field, read(form)) == form
    form = canonical("businessPhones", phones)
    assert canonical("businessPhones", read(form).split("\n")) == form
    form = canonical("emailAddresses", [{"address": address} for address in addresses])
    assert canonical("emailAddresses", [{"address": line} for line in read(form).split("\n")]) == form
    form = canonical("businessAddress", {"street": text, "countryOrRegion": text})
    lines = read(form).split("\n")
    assert canonical("businessAddress", {"street": lines[0], "countryOrRegion": lines[-1]}) == form
