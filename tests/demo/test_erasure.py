"""The demo's erasure: who is chosen, and that its checks notice what is wrong."""

from __future__ import annotations

import pytest

from local.demo import erasure
from local.demo.clients import Json
from local.demo.erasure import Held


def user(name: str, *, mailbox: bool = False) -> Json:
    return {"displayName": name, "mail": f"{name}@example.com", "assignedPlans": [{}] if mailbox else []}


def card(key: str, name: str) -> Json:
    return {"id": key, "displayName": name, "emailAddresses": [{"address": f"{name}@example.com"}], "changeKey": "1"}


OWN = [card("own", "ann")]
BEFORE: Held = {
    "m1": ([card("1", "ann"), card("2", "bo"), card("3", "bo")], OWN),
    "m2": ([card("4", "ann"), card("5", "bo")], []),
}
AFTER: Held = {"m1": ([card("1", "ann")], OWN), "m2": ([card("4", "ann")], [])}
BO = "bo@example.com"


def test_who_is_in_most_places_and_has_no_mailbox_is_chosen() -> None:
    people = [user("ann"), user("bo", mailbox=True), user("cy")]
    assert erasure.choose(people, BEFORE) == people[0]
    assert erasure.choose([user("ann"), user("bo")], BEFORE) == user("bo")
    assert erasure.choose(people[1:], BEFORE) is None


def test_all_is_well() -> None:
    assert not erasure.check_gone(BEFORE, AFTER, BO).wrong
    assert not erasure.check_others(BEFORE, AFTER, BO).wrong


@pytest.mark.parametrize(
    "after",
    [
        AFTER | {"m2": ([], [])},
        AFTER | {"m2": ([card("6", "ann")], [])},
        AFTER | {"m1": (AFTER["m1"][0], [])},
        AFTER | {"m1": (AFTER["m1"][0], [OWN[0] | {"changeKey": "2"}])},
    ],
)
def test_whoever_else_went_is_noticed(after: Held) -> None:
    assert erasure.check_others(BEFORE, after, BO).wrong


def test_whoever_is_left_is_noticed_and_whoever_never_was() -> None:
    assert erasure.check_gone(BEFORE, BEFORE, BO).wrong
    assert erasure.check_gone(AFTER, AFTER, BO).wrong


def test_a_broken_trail_is_noticed_and_a_receipt_that_is_not_in_it() -> None:
    sound = {"sound": True, "entries": 4, "first": 1, "last": 4, "faults": []}
    assert not erasure.check_trail({"receipt": 4}, sound).wrong
    assert erasure.check_trail({"receipt": 5}, sound).wrong
    assert erasure.check_trail({"receipt": None}, sound).wrong
    assert erasure.check_trail({"receipt": 4}, sound | {"sound": False, "faults": [{"sequence": 2}]}).wrong
