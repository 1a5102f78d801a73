"""The demo's own check: each thing that could be wrong in a mailbox is noticed."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from local.demo import check
from local.demo.clients import Json, MailboxView
from local.demo.story import Story

PLAN = [{"service": "exchange", "capabilityStatus": "Enabled"}]
USERS: list[Json] = [
    {
        "id": f"id-{name.lower()}",
        "displayName": name,
        "mail": f"{name.lower()}@example.com",
        "mobilePhone": "030/23125-001",
        "businessPhones": ["٠٤ ٠٠٠ ١٢٣٤"],
        "accountEnabled": True,
        "userType": "Member",
        "assignedPlans": PLAN if name == "Ada" else [],
    }
    for name in ("Ada", "Bo")
]


def contact(name: str, **values: Any) -> Json:
    return {
        "id": f"c-{name}",
        "displayName": name,
        "emailAddresses": [{"address": f"{name.lower()}@example.com"}],
        "mobilePhone": "+493023125001",
        "businessPhones": ["+97140001234"],
    } | values


def view() -> MailboxView:
    return MailboxView("Staff", "f", [contact("Ada"), contact("Bo")], {"own": {"id": "own", "displayName": "Mum"}})


def test_a_mailbox_as_it_should_be() -> None:
    assert not check.check_people(USERS, {"m": view(), "silent": None}).wrong


@pytest.mark.parametrize(
    "spoil",
    [
        lambda held: held.ours.pop(),
        lambda held: held.ours.append(contact("Bo", id="again")),
        lambda held: held.ours.append(contact("Cy")),
        lambda held: held.ours[0].update(mobilePhone=None),
        lambda held: held.ours[0].update(mobilePhone="+493023125002"),
        lambda held: held.ours[0].update(displayName="Adele"),
        lambda held: held.ours[0].update(jobTitle="Queen"),
        lambda held: held.ours[0].update(businessPhones=[]),
        lambda held: held.astray.append(held.ours[0]),
    ],
)
def test_a_mailbox_that_differs_is_noticed(spoil: Any) -> None:
    spoiled = view()
    spoil(spoiled)
    assert "mailbox m " in check.check_people(USERS, {"m": spoiled}).wrong


def test_guests_leavers_and_people_without_anything_to_show_are_not_expected() -> None:
    others = [
        {"displayName": "Guest", "mail": "g@x.example", "accountEnabled": True, "userType": "Guest"},
        {"displayName": "Left", "mail": "l@example.com", "accountEnabled": False},
        {"displayName": "Nothing", "accountEnabled": True},
        {"displayName": "Robot", "mail": "No-Reply@example.com", "accountEnabled": True},
    ]
    assert check.expected_cards([*USERS, *others]) == check.expected_cards(USERS)


def test_targets_have_a_plan() -> None:
    assert check.targets(USERS) == {"id-ada"}


@pytest.mark.parametrize(("number", "digits"), [("+44 (0)20 7946 0123", "460123"), ("０３－００００－1234", "001234"), ("", "")])
def test_a_number_is_known_by_its_last_digits(number: str, digits: str) -> None:
    assert check.tail(number) == digits


def test_mailboxes_set_aside_must_be_those_nobody_can_reach() -> None:
    views = {"m": view(), "silent": None}
    aside = {"mailbox": "silent", "outcome": "set_aside"}
    assert not check.check_unreachable(views, [aside, {"mailbox": "m", "outcome": "done"}]).wrong
    assert check.check_unreachable(views, []).wrong
    assert check.check_unreachable(views, [aside, {"mailbox": "m", "outcome": "set_aside"}]).wrong


def test_own_contacts_must_stay_as_they_were() -> None:
    before, after = view(), view()
    assert not check.check_foreign({"m": before}, {"m": after}).wrong
    after.foreign["own"]["displayName"] = "Mother"
    assert check.check_foreign({"m": before}, {"m": after}).wrong
    after.foreign.clear()
    assert check.check_foreign({"m": before}, {"m": after}).wrong


def test_a_contact_that_was_moved_out_is_the_owners_own_and_any_other_new_one_is_wrong() -> None:
    before, after = view(), view()
    moved = contact("Bo", id="moved")
    before.astray.append(moved)
    assert check.check_foreign({"m": before}, {"m": after}).wrong
    after.foreign["moved"] = deepcopy(moved)
    assert not check.check_foreign({"m": before}, {"m": after}).wrong
    after.foreign["other"] = contact("Cy")
    assert check.check_foreign({"m": before}, {"m": after}).wrong


def test_a_removed_number_that_is_still_there_is_noticed() -> None:
    story = Story(removed_from="bo@example.com")
    held = view()
    assert check.check_removed_number({"m": held}, story).wrong
    held.ours[1]["mobilePhone"] = None
    assert not check.check_removed_number({"m": held}, story).wrong


def test_a_report_must_agree_with_what_was_served() -> None:
    run = {"counts": {"created": 2}, "graph": {"requests": 5, "http_calls": 3}}
    counters = {"templates": {"POST /users/{id}/contactfolders/{id}/contacts": 2}, "requests": 5, "httpCalls": 3}
    assert not check.check_report(run, counters).wrong
    assert check.check_report(run, counters | {"requests": 6}).wrong


def test_bad_manners_are_noticed() -> None:
    good = {"widths": {"m": {"highest": 4}}, "violations": []}
    assert not check.check_manners(good).wrong
    assert check.check_manners(good | {"widths": {"m": {"highest": 5}}}).wrong
    assert check.check_manners(good | {"violations": ["GET /users/1/messages"]}).wrong
