"""The demo's second list: who plays in it, and that its checks notice what is wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from local.demo import second_list
from local.demo.clients import Json, MailboxView, Reader

GROUP = {"id": "g", "displayName": "Team"}


class Groups(Reader):
    """A tenant's groups, without a tenant."""

    def __init__(self, *groups: tuple[Json, list[str]]) -> None:
        self._groups = groups

    def groups(self) -> Any:
        return iter(self._groups)


def user(number: int, **values: Any) -> Json:
    person = {"id": f"u{number}", "displayName": f"Person {number}", "mail": f"p{number}@example.com"}
    return {**person, "mobilePhone": f"+44 7700 9006{number:02}", "accountEnabled": True, "userType": "Member", **values}


USERS = [user(0, mobilePhone=None), *(user(number) for number in range(1, 15)), user(15, accountEnabled=False)]


def cast_of(users: list[Json]) -> second_list.Cast | None:
    return second_list.cast(Groups(({"id": "small"}, ["u1"]), (GROUP, [person["id"] for person in users])), users, ["m1"])


@pytest.fixture
def cast() -> second_list.Cast:
    found = cast_of(USERS)
    assert found is not None
    return found


def view(cast: second_list.Cast) -> MailboxView:
    contacts: list[Json] = [
        {"displayName": name, "emailAddresses": [{"address": f"{number}@example.com"}], "mobilePhone": "1"}
        for number, name in enumerate((cast.everybody - Counter([cast.merged["displayName"]])).elements())
    ]
    merged = {"displayName": "Person 0", "emailAddresses": [{"address": "p0@example.com"}], "mobilePhone": "+447700900504"}
    return MailboxView("Projects", "f", [*contacts, merged])


def test_the_group_has_somebody_without_a_number_who_is_merged(cast: second_list.Cast) -> None:
    assert cast.group == GROUP
    assert cast.merged["displayName"] == "Person 0"
    assert len(cast.members) == 14
    assert cast.everybody.total() == 14 + 1 + 3
    assert cast.after_mishap.total() == 2 + 3 + 1


@pytest.mark.parametrize("users", [[], USERS[1:], USERS[:8]])
def test_a_tenant_without_a_fitting_group_has_no_second_list(users: list[Json]) -> None:
    assert cast_of(users) is None


def test_all_is_well(cast: second_list.Cast) -> None:
    assert not second_list.check_names("names", {"m1": view(cast)}, cast.everybody).wrong
    assert not second_list.check_merged(cast, {"m1": view(cast)}).wrong
    assert not second_list.check_same({"m1": view(cast)}, {"m1": view(cast)}).wrong


def test_a_missing_a_doubled_and_a_changed_contact_are_noticed(cast: second_list.Cast) -> None:
    missing, doubled, changed = view(cast), view(cast), view(cast)
    missing.ours.pop()
    doubled.ours.append(dict(doubled.ours[-1]))
    changed.ours[-1]["mobilePhone"] = "+447700900999"
    for spoilt in (missing, doubled):
        assert second_list.check_names("names", {"m1": spoilt}, cast.everybody).wrong
    for spoilt in (missing, doubled, changed):
        assert second_list.check_merged(cast, {"m1": spoilt}).wrong
        assert second_list.check_same({"m1": view(cast)}, {"m1": spoilt}).wrong
    assert second_list.check_names("names", {"m1": None}, cast.everybody).wrong


def test_a_preview_in_words_names_nobody(cast: second_list.Cast) -> None:
    preview = {
        "people": 18,
        "targets": 1,
        "selection": [{"path": "rule", "words": "has a mobile number", "lets_in": 14}],
        "holds": [{"reason": "source_dropped", "detail": "40 -> 18"}],
        "mailboxes": [{"counts": {"created": 18, "updated": 0, "deleted": 0}}],
    }
    assert list(second_list.in_words(preview)) == [
        "18 people into 1 mailboxes; each rule by itself lets in:",
        "    14  has a mobile number",
        "a run would be held: source_dropped 40 -> 18",
        "in one of the mailboxes: 18 created, 0 updated, 0 deleted",
    ]
