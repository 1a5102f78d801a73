"""Files of people: what other programs export is read as it comes, and what is wrong is named by its place."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from sync_core.sources.files import reading
from sync_core.sources.files.entries import FileError
from sync_core.sources.files.reading import read_people
from tests.sources import exports

CSV, VCARD = "text/csv", "text/vcard"


def read(body: str | bytes, kind: str = CSV) -> list[dict[str, Any]]:
    return list(by_key(body, kind).values())


def by_key(body: str | bytes, kind: str = CSV, source: str = "file-x") -> dict[str, dict[str, Any]]:
    raw = body.encode() if isinstance(body, str) else body
    return {key: orjson.loads(person) for key, person in read_people(raw, kind, source).items()}


def problems(body: str | bytes, kind: str = CSV) -> list[tuple[str, str]]:
    with pytest.raises(FileError) as caught:
        read(body, kind)
    return [(problem.place, problem.text) for problem in caught.value.problems]


JOERG_GERMAN = {
    "displayName": "Jörg Müller",
    "givenName": "Jörg",
    "surname": "Müller",
    "companyName": "Beispiel AG",
    "department": "Vertrieb",
    "jobTitle": "Leiter",
    "officeLocation": "Zimmer 7",
    "mail": "joerg@example.de",
    "mobilePhone": "0151 1234567",
    "businessPhones": ["0221 1234567"],
    "streetAddress": "Hauptstraße 1, Hinterhaus",
    "city": "Köln",
    "state": "NRW",
    "postalCode": "50667",
    "country": "Deutschland",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "mac_roman"])
def test_outlook_in_german_whatever_the_encoding(encoding: str) -> None:
    assert read(exports.OUTLOOK_GERMAN.encode(encoding)) == [JOERG_GERMAN]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_outlook_in_english(encoding: str) -> None:
    assert read(exports.OUTLOOK_ENGLISH.encode(encoding)) == [
        {
            "displayName": "Jörg Müller",
            "givenName": "Jörg",
            "surname": "Müller",
            "companyName": "Example AG",
            "department": "Sales",
            "jobTitle": "Head of Sales",
            "officeLocation": "Room 7",
            "mail": "joerg@example.com",
            "proxyAddresses": ["smtp:j.mueller@example.com"],
            "mobilePhone": "+49 151 1234567",
            "businessPhones": ["+49 30 1234"],
            "streetAddress": "Main Street 1\r\n2nd floor",
            "city": "Berlin",
            "state": "BE",
            "postalCode": "10115",
            "country": "Germany",
        }
    ]


def test_google() -> None:
    assert read(exports.GOOGLE) == [
        {
            "displayName": "Gina Gómez",
            "givenName": "Gina",
            "surname": "Gómez",
            "companyName": "Example SL",
            "department": "Board",
            "jobTitle": "CEO",
            "mail": "gina@example.es",
            "proxyAddresses": ["smtp:gina@home.example"],
            "mobilePhone": "+34 612 345 678",
            "businessPhones": ["+34 91 123 4567", "+34 91 123 4568"],
            "streetAddress": "Gran Vía 2",
        }
    ]


def test_google_as_it_was() -> None:
    (gina,) = read(exports.GOOGLE_OLD)
    assert (gina["displayName"], gina["surname"], gina["jobTitle"]) == ("Gina Gómez", "Gómez", "CEO")
    assert (gina["mail"], gina["mobilePhone"]) == ("gina@example.es", "+34 612 345 678")


def test_apple() -> None:
    joerg, hotline = read(exports.APPLE, VCARD)
    assert joerg == {
        "displayName": "Jörg Müller",
        "givenName": "Jörg",
        "surname": "Müller",
        "companyName": "Example AG",
        "department": "Sales",
        "jobTitle": "Head of Sales",
        "mail": "joerg@example.com",
        "proxyAddresses": ["smtp:joerg@home.example"],
        "mobilePhone": "+49 151 1234567",
        "businessPhones": ["+49 30 1234"],
        "streetAddress": "Main Street 1, 2nd floor",
        "city": "Berlin",
        "state": "BE",
        "postalCode": "10115",
        "country": "Germany",
    }
    assert hotline == {"displayName": "Example Hotline", "companyName": "Example Hotline", "businessPhones": ["+49 800 123"]}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_outlooks_cards(encoding: str) -> None:
    assert read(exports.OUTLOOK_CARD.encode(encoding), "text/x-vcard") == [
        {
            "displayName": "Jörg Müller",
            "givenName": "Jörg",
            "surname": "Müller",
            "companyName": "Beispiel AG",
            "department": "Bürotechnik",
            "jobTitle": "Leiter",
            "mail": "joerg@example.de",
            "mobilePhone": "0151 1234567",
            "businessPhones": ["0221 1234567"],
            "streetAddress": "Hauptstrasse 1, Hinterhaus",
            "city": "Koeln",
            "state": "NRW",
            "postalCode": "50667",
            "country": "Deutschland",
        }
    ]


def test_version_4() -> None:
    (joerg,) = read(exports.VERSION_4, VCARD)
    assert joerg["mail"] == "joerg@example.com"
    assert joerg["proxyAddresses"] == ["smtp:second@example.com"]
    assert (joerg["mobilePhone"], joerg["businessPhones"]) == ("+491511234567", ["+49-30-1234 ext. 7"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_delimiter_with_a_line_for_excel_or_without(delimiter: str) -> None:
    text = delimiter.join(["Name", "E-mail", "Company"]) + "\n" + delimiter.join(["Ann", "ann@x.example", '"A; B, C"'])
    assert (
        read(text)
        == read(f"sep={delimiter}\n{text}")
        == [{"displayName": "Ann", "mail": "ann@x.example", "companyName": "A; B, C"}]
    )


def test_text_that_excel_was_kept_from_changing() -> None:
    (ann,) = read('Name,Phone,Mobile\nAnn,"=""0301234567""",\'+49 151 1234567\n')
    assert (ann["businessPhones"], ann["mobilePhone"]) == (["0301234567"], "+49 151 1234567")


@pytest.mark.parametrize("cell", ["+49 (30) 1234", "-", "- none -", "@home", "+1-555", "0301"])
def test_what_only_begins_like_a_formula_is_text(cell: str) -> None:
    assert read(f"Name,Company\nAnn,{cell}\n")[0]["companyName"] == cell


@pytest.mark.parametrize("cell", ["=1+1", "=cmd|'/c calc'!A0", "@SUM(1)", "+cmd|x", "-HYPERLINK(1)", "= 1"])
def test_a_formula_is_an_error_with_its_place(cell: str) -> None:
    assert problems(f"Name,Company\nAnn,x\nBob,{cell}\n") == [("row 3, column B", "begins like a formula")]


def test_what_is_not_taken_may_hold_anything() -> None:
    assert read("Name,Notes,Notes\nAnn,=1+1,@SUM(1)\n") == [{"displayName": "Ann"}]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "row 1", "empty"),
        ("a,b,c\n1,2,3\n", "row 1", "no column is known"),
        ("Name,E-mail,email\nAnn,a@x.example,\n", "row 1, column C", "the same as column B"),
        ("Name,E-mail\nAnn,a@x.example\nBob,b@x.example,more\n", "row 3, column C", "has no header"),
        ('Name,E-mail\nAnn,a@x.example\nBob,"b@x.example\n', "row 3", "quotation mark"),
        ('Name,E-mail\nAnn,"a"b\n', "row 2", "quotation mark"),
        (f"Name\n{'x' * 200_000}\n", "row 2", "too long"),
        ("Name\nAnn\0\n", "line 2", "NUL"),
    ],
)
def test_each_problem_names_its_place(text: str, place: str, what: str) -> None:
    ((where, problem),) = problems(text)
    assert where == place
    assert what in problem


def test_broken_utf_8_is_named_by_its_line_and_not_taken_for_something_else() -> None:
    body = "Name\nJörg\nMüller\nGómez\n".encode() + b"Andr\xe9\n"
    assert problems(body) == [("line 5", "holds bytes that are not UTF-8")]


def test_a_charset_that_is_named_is_believed() -> None:
    assert read("Name\nŁukasz\n".encode("cp1250"), "text/csv; charset=windows-1250") == [{"displayName": "Łukasz"}]
    assert problems(b"Name\nJ\xf6rg\n", "text/csv; charset=utf-8") == [("line 2", "holds bytes that are not UTF-8")]
    assert problems(b"Name\nJ\n", "text/csv; charset=klingon") == [("Content-Type", "names an unknown charset")]


@pytest.mark.parametrize("kind", ["", "application/json", "text/plain", "text/html; charset=utf-8"])
def test_other_kinds_of_files_are_refused(kind: str) -> None:
    assert problems("Name\nAnn\n", kind) == [("Content-Type", "must be text/csv or text/vcard")]


def test_many_problems_are_told_at_once_but_not_all_of_them() -> None:
    text = "Name,Company\n" + "Ann,=1\n" * 100
    found = problems(text)
    assert len(found) == 20
    assert found[19][0] == "row 21, column B"


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "line 1", "no card"),
        ("hello\n", "line 1", "belongs to no card"),
        (exports.VERSION_4 + "BEGIN:VCARD\nFN:Ann\n", "card 2", "not closed"),
        (exports.VERSION_4 + "BEGIN:VCARD\nFN:Ann\nTEL\n broken\nEND:VCARD\n", "card 2", "cannot be read"),
        (exports.VERSION_4 + "END:VCARD\n", "after card 1", "belongs to no card"),
    ],
)
def test_a_broken_card_is_named(text: str, place: str, what: str) -> None:
    ((where, problem),) = problems(text, VCARD)
    assert where == place
    assert what in problem


def test_rows_with_nothing_to_show_are_left_out() -> None:
    assert read("Name,E-mail,Company\n,,\n,,\n\nAnn,,\n") == [{"displayName": "Ann"}]
    assert read("Name,City\n,Berlin\nAnn,\n") == [{"displayName": "Ann"}]


def test_keys_stay_whatever_else_changes() -> None:
    before = by_key("Name,E-mail,City\nAnn,ann@x.example,Berlin\nBob,bob@x.example,Paris\nCyd,,\n")
    after = by_key("E-mail;Name;Company\nBOB@x.example;Robert;X\n;Cyd;\nann@x.example;Ann;\nnew@x.example;New;\n")
    names = {key: person["displayName"] for key, person in before.items()}
    assert {names.get(key): person["displayName"] for key, person in after.items()} == {
        "Ann": "Ann",
        "Bob": "Robert",
        "Cyd": "Cyd",
        None: "New",
    }


def test_an_id_in_the_file_counts_before_anything_else() -> None:
    assert by_key("id,Name,E-mail\n7,Ann,ann@x.example\n").keys() == by_key("id,Name,E-mail\n7,Anna,anna@x.example\n").keys()
    assert by_key(exports.VERSION_4, VCARD).keys() == by_key(exports.VERSION_4.replace("Jörg", "Georg"), VCARD).keys()


def test_two_people_with_one_address_are_two_and_the_same_row_twice_is_one() -> None:
    text = "Name,E-mail\nAnn,info@x.example\nBob,info@x.example\nAnn,info@x.example\n"
    people = by_key(text)
    assert sorted(person["displayName"] for person in people.values()) == ["Ann", "Bob"]
    assert by_key("Name,E-mail\nBob,info@x.example\nAnn,info@x.example\n").keys() == people.keys()


def test_namesakes_without_an_address_are_two() -> None:
    assert len(by_key("Name,Phone,City\nAnn,030 1,Berlin\nAnn,030 2,Berlin\nAnn,030 2,Paris\n")) == 3


def test_the_same_people_in_two_files_have_other_keys() -> None:
    assert not by_key("Name\nAnn\n", source="file-a").keys() & by_key("Name\nAnn\n", source="file-b").keys()


def test_there_is_a_limit_to_people_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (reading.MOST_PEOPLE, reading.MOST_BYTES) == (100_000, 50 * 1024 * 1024)
    monkeypatch.setattr(reading, "MOST_PEOPLE", 3)
    assert len(read("Name\nA\nB\nC\n")) == 3
    assert problems("Name\nA\nB\nC\nD\n") == [("file", "has more than 3 people")]
    monkeypatch.setattr(reading, "MOST_BYTES", 20)
    assert problems("Name\nA\nB\nC\nD\nE\nF\nG\nH\n") == [("file", "has more than 20 bytes")]


def test_no_problem_says_what_stands_in_the_file() -> None:
    assert "Ann" not in str(problems("Name,Company\nAnn,=Ann()\n"))
    assert "Ann" not in str(problems("BEGIN:VCARD\nVERSION:3.0\nFN:Ann\nTEL Ann\nEND:VCARD\n", VCARD))
