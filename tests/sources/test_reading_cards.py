"""vCards as programs write them, read as a library reads them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import vobject
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_core.sources.files.entries import FileError
from sync_core.sources.files.reading import read_people

word = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\x85"), max_size=40)


def one(card: str) -> dict[str, Any]:
    (person,) = read_people(card.encode(), "text/vcard", "file-x").values()
    found: dict[str, Any] = orjson.loads(person)
    return found


def card(*lines: str) -> str:
    return "\r\n".join(("BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD", ""))


@settings(max_examples=60, deadline=None)
@given(given=word, family=word, company=word, department=word, title=word, street=word, city=word)
def test_what_a_library_writes_is_read_back(**texts: str) -> None:
    written = vobject.vCard()
    written.add("fn").value = "Someone"
    written.add("n").value = vobject.vcard.Name(family=texts["family"], given=texts["given"])
    written.add("org").value = [texts["company"], texts["department"]]
    written.add("title").value = texts["title"]
    written.add("adr").value = vobject.vcard.Address(street=texts["street"], city=texts["city"])
    found = one(written.serialize())
    names = {"givenName": "given", "surname": "family", "companyName": "company", "jobTitle": "title", "city": "city"}
    for name, key in {**names, "department": "department", "streetAddress": "street"}.items():
        assert found.get(name, "") == texts[key].strip()


def test_escapes_folds_groups_and_quotes() -> None:
    found = one(
        card(
            "FN:Jörg Mül",
            " ler\\, Dr.",
            "N:Müller\\;Maier;Jörg\\\\;Anton,Bert;Dr.;",
            "ORG:Example\\; AG;Sales;North\\, East",
            'item1.TEL;TYPE="cell,voice";X-A="a;b:c":+49 151 1',
            "item2.TEL:+49 30 2",
            "item2.X-ABLabel:Work",
            "ADR;type=HOME:;;Private 1;Potsdam;;;",
            "ADR;type=WORK:;;Street 1\\nFloor 2;Berlin;;10115;Germany",
            "EMAIL:second@example.com",
            "EMAIL;PREF=1:first@example.com",
            "AGENT:",
            "BEGIN:VCARD",
            "FN:Somebody Else",
            "TITLE:Nobody",
            "END:VCARD",
        )
    )
    assert found == {
        "displayName": "Jörg Müller, Dr.",
        "givenName": "Jörg\\",
        "surname": "Müller;Maier",
        "companyName": "Example; AG",
        "department": "Sales, North, East",
        "mobilePhone": "+49 151 1",
        "businessPhones": ["+49 30 2"],
        "streetAddress": "Street 1, Floor 2",
        "city": "Berlin",
        "postalCode": "10115",
        "country": "Germany",
        "mail": "first@example.com",
        "proxyAddresses": ["smtp:second@example.com"],
    }


def test_quoted_printable_goes_on_over_lines_and_names_its_charset() -> None:
    found = one(
        card(
            "FN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:J=F6rg=",
            " M=FCller",
            "TITLE;ENCODING=BASE64:Q2hlZg==",
            "TEL;WORK;VOICE:1",
        )
    )
    assert (found["displayName"], found["jobTitle"], found["businessPhones"]) == ("Jörg Müller", "Chef", ["1"])


@pytest.mark.parametrize(
    "line",
    [
        "TITLE;ENCODING=BASE64:!",
        "TITLE;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=FC",
        "TITLE;CHARSET=klingon;ENCODING=QUOTED-PRINTABLE:=FC",
        "TITLE",
        'TITLE;X="a:b',
    ],
)
def test_what_cannot_be_read_is_told_by_its_place(line: str) -> None:
    with pytest.raises(FileError) as caught:
        read_people((card("FN:Ann") + card("FN:Ben", line)).encode(), "text/vcard", "file-x")
    assert [tuple(problem) for problem in caught.value.problems] == [("card 2", "cannot be read")]
