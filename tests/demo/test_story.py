"""What happens between the two syncs suits the tenant it happens to."""

from __future__ import annotations

from typing import Any

from local.demo.clients import Json, MailboxView
from local.demo.story import change_directory, script_of, use_phone


class Recorder:
    """A stage hand that only writes down what it is told."""

    def __init__(self) -> None:
        self.operations: list[Json] = []

    def directory(self, *operations: Json) -> list[str]:
        self.operations += operations
        return []

    def phone(self, user: str, *operations: Json) -> list[str]:
        self.operations += operations
        return []

    def of(self, op: str) -> list[Json]:
        return [operation for operation in self.operations if operation["op"] == op]


def user(number: int, **values: Any) -> Json:
    person = {
        "id": f"id-{number}",
        "displayName": f"Given Family{number}",
        "givenName": "Given",
        "surname": f"Family{number}",
        "mail": f"given.family{number}@example.com",
        "userPrincipalName": f"given.family{number}@example.com",
        "proxyAddresses": [f"SMTP:given.family{number}@example.com"],
        "mobilePhone": f"+44 7700 9001{number:02}",
        "accountEnabled": True,
        "assignedPlans": [],
    }
    return person | values


def test_a_tenant_with_enough_people_gets_the_whole_story() -> None:
    hand = Recorder()
    story = change_directory(hand, [user(number) for number in range(9)])  # type: ignore[arg-type] # records only
    assert story.skipped == []
    assert len(story.told) == 6
    assert len(hand.of("add")) == 3
    assert len(hand.of("remove")) == 1
    changes = hand.of("change")
    assert len({change["user"] for change in [*changes, *hand.of("remove")]}) == 4  # everybody plays one part
    assert [change["values"] for change in changes if change["values"].get("mobilePhone", "kept") is None]
    addresses = [operation["values"]["mail"] for operation in hand.of("add")]
    assert len(set(addresses)) == 3
    assert all(address.endswith("@example.com") for address in addresses)


def test_the_old_address_of_a_married_person_stays_as_an_alias() -> None:
    hand = Recorder()
    change_directory(hand, [user(number) for number in range(9)])  # type: ignore[arg-type] # records only
    (married,) = [change["values"] for change in hand.of("change") if "surname" in change["values"]]
    assert married["displayName"] == f"Given {married['surname']}"
    assert married["proxyAddresses"][0] == f"SMTP:{married['mail']}"
    assert married["proxyAddresses"][1].startswith("smtp:given.family")


def test_whoever_marries_is_left_alone_on_the_phone() -> None:
    story = change_directory(Recorder(), [user(1, assignedPlans=[{}], mobilePhone=None)])  # type: ignore[arg-type] # records only
    hand = Recorder()
    view = MailboxView(folder_id="ours", ours=[{"id": "c1", "displayName": "Given Family1"}])
    use_phone(hand, "me", view, story)  # type: ignore[arg-type] # records only
    assert [operation["op"] for operation in hand.operations] == ["create"]


def test_what_a_tenant_has_nobody_for_is_left_out_and_said() -> None:
    hand = Recorder()
    lonely = user(1, mobilePhone=None, assignedPlans=[{"service": "exchange"}], surname=None)
    story = change_directory(hand, [lonely])  # type: ignore[arg-type] # records only
    assert len(story.skipped) == 4
    assert story.removed_from == ""
    assert [operation["op"] for operation in hand.operations] == ["add"] * 3


def test_guests_and_disabled_accounts_play_no_part() -> None:
    hand = Recorder()
    story = change_directory(hand, [user(1, userType="Guest"), user(2, accountEnabled=False)])  # type: ignore[arg-type]
    assert len(story.skipped) == 4


def test_on_the_phone_three_different_contacts_are_touched_and_one_is_added_beside_them() -> None:
    hand = Recorder()
    people = [{"id": f"c{number}", "displayName": f"Contact {number}"} for number in range(5)]
    story = change_directory(Recorder(), [user(1)])  # type: ignore[arg-type] # records only
    story.people.add("Contact 0")
    use_phone(hand, "me", MailboxView(folder_id="ours", ours=people), story)  # type: ignore[arg-type] # records only
    touched = [operation["contact"] for operation in hand.operations if "contact" in operation]
    assert len(set(touched)) == 3
    assert "c0" not in touched  # it changes in the directory
    assert hand.of("create")[0]["folder"] == "ours"


def test_a_folder_with_one_contact_lets_only_one_thing_happen() -> None:
    hand = Recorder()
    story = change_directory(Recorder(), [])  # type: ignore[arg-type] # records only
    skipped = len(story.skipped)
    view = MailboxView(folder_id="ours", ours=[{"id": "c1", "displayName": "Only One"}])
    use_phone(hand, "me", view, story)  # type: ignore[arg-type] # records only
    assert [operation["op"] for operation in hand.operations] == ["delete", "create"]
    assert len(story.skipped) - skipped == 2


def test_scripts_are_told_apart() -> None:
    names = ("Zoë", "Олена", "佐藤", "さくら", "محمد", "דוד", "김", "สมชาย", "प्रिया", "Νίκος")
    assert len({script_of(name) for name in names}) == len(names)
    assert script_of("12 34") == ""
