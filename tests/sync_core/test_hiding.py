"""What is hidden of a contact, and whose."""

from __future__ import annotations

from typing import Any

import pytest

from sync_core.contacts import blank, contact_of
from sync_core.hiding import NOTHING, CardField, Hiders, Hiding, allowed, digest

MOBILE, DESKS, ADDRESS = CardField.MOBILE_PHONE, CardField.BUSINESS_PHONES, CardField.BUSINESS_ADDRESS
ANNA: dict[str, Any] = {
    "id": "Aa",
    "displayName": "Anna Berg",
    "mail": "anna@x.example",
    "proxyAddresses": ["SMTP:anna@x.example", "smtp:Old@x.example"],
    "mobilePhone": "+49 170 1112223",
    "businessPhones": ["+49 170 1112223", "+49 40 7654321"],
    "city": "Sea Town",
    "usageLocation": "DE",
}


def veiled(*fields: CardField, fed: dict[str, str] | None = None, numbers: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    contact = {**contact_of(ANNA, default_country=None), **more}
    return Hiding(frozenset(fields), frozenset(numbers)).veil(fed or {})(contact)


def test_a_hidden_number_shows_in_no_other_field() -> None:
    shown = veiled(MOBILE)
    assert (shown["mobilePhone"], shown["businessPhones"]) == (None, ["+49407654321"])
    assert veiled(DESKS)["mobilePhone"] is None
    assert veiled(DESKS)["businessPhones"] == []
    assert veiled(ADDRESS)["mobilePhone"] == "+491701112223"
    assert set(veiled(ADDRESS)["businessAddress"].values()) == {None}


@pytest.mark.parametrize(
    ("number", "goes"),
    [("0170 1112223", True), ("0049-170/1112223", True), ("+49 170 1112224", False), ("2223", False), ("", False)],
)
def test_a_number_is_known_however_it_is_written(number: str, goes: bool) -> None:
    shown = veiled(MOBILE, mobilePhone=None, businessPhones=[number], numbers=("491701112223",))
    assert shown["businessPhones"] == ([] if goes else [number])


def test_what_a_hidden_attribute_feeds_is_hidden_and_nobody_is_nameless() -> None:
    fed = {"personalNotes": "city", "displayName": "mobilePhone", "jobTitle": "department"}
    number = "+49 170 1112223"
    emails = [{"address": "anna@x.example", "name": number}]
    shown = veiled(
        MOBILE, ADDRESS, fed=fed, displayName=number, personalNotes="Sea Town", jobTitle="Sales", emailAddresses=emails
    )
    assert (shown["personalNotes"], shown["jobTitle"]) == (blank("personalNotes"), "Sales")
    assert shown["displayName"] == shown["emailAddresses"][0]["name"] == "Anna Berg"
    nameless = veiled(MOBILE, fed=fed, displayName=number, givenName=None, surname=None)
    assert nameless["displayName"] == "anna@x.example"
    assert veiled(MOBILE, fed=fed, displayName=number, givenName=None, surname=None, emailAddresses=[])["displayName"] == "?"


def test_who_hides_is_known_by_id_and_by_every_address() -> None:
    hiders = Hiders.of({"aa": frozenset({MOBILE}), "gone": frozenset({DESKS})}, [ANNA])
    wanted = Hiding(frozenset({MOBILE}), frozenset({"491701112223"}))
    assert hiders.hiding("u:aa", {}) == hiders.hiding("f:1", {"mail": "OLD@x.example"}) == wanted
    assert hiders.hiding("u:bb", {"mail": "ben@x.example", "mobilePhone": "+49 170 1112223"}) is NOTHING
    both = hiders.hiding("u:gone+u:aa", {})
    assert both == Hiding(frozenset({MOBILE, DESKS}), frozenset({"491701112223"}))
    assert bool(both)
    assert not NOTHING
    assert both.digest != wanted.digest


def test_what_is_not_allowed_does_not_count() -> None:
    chosen = {"AA": frozenset({MOBILE, DESKS}), "bb": frozenset({DESKS})}
    assert allowed(chosen, (MOBILE,)) == {"aa": frozenset({MOBILE})}
    assert allowed(chosen, ()) == {}
    assert digest({}) == ""
    assert digest(chosen) == digest(dict(reversed(chosen.items()))) != digest(allowed(chosen, (MOBILE,))) != ""
