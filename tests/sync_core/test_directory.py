from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from sync_core.directory import SELECT, has_usable_mailbox, merge
from tests.sync_core.people import ANNA, users


def test_the_properties_asked_for() -> None:
    assert set(SELECT) == {
        "id", "displayName", "givenName", "surname", "companyName", "department", "jobTitle", "officeLocation", "mobilePhone",
        "businessPhones", "mail", "userPrincipalName", "proxyAddresses", "streetAddress", "city", "state", "postalCode",
        "country", "usageLocation", "accountEnabled", "userType", "assignedPlans",
        "employeeType", "isResourceAccount", "onPremisesExtensionAttributes",
    }  # fmt: skip
    assert len(SELECT) == len(set(SELECT))


def test_a_first_reading_keeps_what_contacts_and_selection_need() -> None:
    assert merge(None, {**ANNA, "@odata.id": "x", "passwordPolicies": "None"}) == {
        **{name: value for name, value in ANNA.items() if name != "assignedPlans"},
        "proxyAddresses": ["SMTP:Anna.Schmidt@contoso.com", "smtp:anna@contoso.onmicrosoft.com", "smtp:schmidt@contoso.com"],
        "mailbox": True,
    }


def extensions(**values: str | None) -> dict[str, str | None]:
    """As Graph sends them: always all fifteen."""
    return {**{f"extensionAttribute{number}": None for number in range(1, 16)}, **values}


def test_extension_attributes_are_kept_as_properties_of_their_own() -> None:
    raw = extensions(extensionAttribute1=" Blue ", extensionAttribute15="x", extensionAttribute2="")
    user = merge(None, {"id": "1", "onPremisesExtensionAttributes": raw})
    assert user == {"id": "1", "extensionAttribute1": "Blue", "extensionAttribute15": "x"}
    assert merge(user, {"id": "1", "displayName": "Anna"}) == {**user, "displayName": "Anna"}
    assert merge(user, {"id": "1", "onPremisesExtensionAttributes": extensions(extensionAttribute2="y")}) == {
        "id": "1",
        "extensionAttribute2": "y",
    }
    assert merge(user, {"id": "1", "onPremisesExtensionAttributes": None}) == {"id": "1"}


@pytest.mark.parametrize(("value", "kept"), [(True, {"isResourceAccount": True}), (False, {}), (None, {})])
def test_only_a_resource_account_is_noted_as_such(value: bool | None, kept: dict[str, bool]) -> None:
    assert merge({"id": "1", "isResourceAccount": True}, {"id": "1", "isResourceAccount": value}) == {"id": "1", **kept}


def test_the_employee_type_is_a_text() -> None:
    assert merge(None, {"id": "1", "employeeType": " Contractor "}) == {"id": "1", "employeeType": "Contractor"}


def test_a_delta_changes_only_what_it_names() -> None:
    before = merge(None, ANNA)
    after = merge(before, {"id": ANNA["id"], "jobTitle": " Head of sales ", "accountEnabled": False})
    assert after == {**{name: value for name, value in before.items() if name != "accountEnabled"}, "jobTitle": "Head of sales"}
    assert before == merge(None, ANNA)


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_null_and_empty_clear_a_text(empty: str | None) -> None:
    after = merge(merge(None, ANNA), {"id": ANNA["id"], "mobilePhone": empty})
    assert "mobilePhone" not in after


@pytest.mark.parametrize("empty", [None, [], [None, "", " "]])
def test_null_and_empty_clear_a_list(empty: list[str | None] | None) -> None:
    after = merge(merge(None, ANNA), {"id": ANNA["id"], "businessPhones": empty, "proxyAddresses": empty})
    assert "businessPhones" not in after
    assert "proxyAddresses" not in after


def test_lists_are_trimmed_and_phones_keep_their_order() -> None:
    user = merge(None, {"id": "1", "businessPhones": [" 2 ", None, "1"], "proxyAddresses": ["sMTp:b@x", " smtp:a@x "]})
    assert user["businessPhones"] == ["2", "1"]
    assert user["proxyAddresses"] == ["sMTp:b@x", "smtp:a@x"]


def plan(service: str | None, status: str | None, plan_id: str | None = "efb87545") -> dict[str, Any]:
    return {"service": service, "capabilityStatus": status, "servicePlanId": plan_id}


@pytest.mark.parametrize(
    ("plans", "expected"),
    [
        ([plan("exchange", "Enabled")], True),
        ([plan("exchange", "Enabled", None)], True),
        ([plan("exchange", "Warning")], True),
        ([plan("exchange", "Suspended")], False),
        ([plan("exchange", "LockedOut")], False),
        ([plan("exchange", "Deleted")], False),
        ([plan("SharePoint", "Enabled")], False),
        ([plan(None, None), {}], False),
        ([plan("exchange", "Enabled", "113feb6c-3fe4-4440-bddc-54d774bf0318")], False),
        ([plan("exchange", "Deleted"), plan("exchange", "Enabled")], True),
        ([], False),
        (None, False),
    ],
)
def test_which_plans_give_a_mailbox(plans: list[dict[str, Any]] | None, expected: bool) -> None:
    user = merge(merge(None, ANNA), {"id": ANNA["id"], "assignedPlans": plans})
    assert has_usable_mailbox(user) is expected
    assert "assignedPlans" not in user


def test_losing_and_regaining_the_mailbox() -> None:
    user = merge(merge(None, ANNA), {"id": ANNA["id"], "assignedPlans": []})
    assert not has_usable_mailbox(user)
    assert has_usable_mailbox(merge(user, {"id": ANNA["id"], "assignedPlans": ANNA["assignedPlans"]}))


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({}, True),
        ({"accountEnabled": False}, False),
        ({"accountEnabled": None}, False),
        ({"userType": "Guest"}, False),
        ({"userType": None}, True),
        ({"mail": None, "mobilePhone": None, "businessPhones": []}, True),
    ],
)
def test_who_is_a_target(change: dict[str, Any], target: bool) -> None:
    user = merge(None, {**ANNA, **change})
    assert has_usable_mailbox(user) is target


@given(users, users)
def test_merging_is_repeatable_and_its_bytes_do_not_depend_on_the_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    other = {**other, "id": one["id"]}
    in_steps = merge(merge(None, one), other)
    assert merge(in_steps, other) == in_steps
    at_once = merge(None, {**one, **other})
    assert list(in_steps.items()) == list(at_once.items())
    assert all(in_steps.values())


def test_what_is_kept_can_be_stored() -> None:
    kept = merge(None, ANNA)
    assert orjson.loads(orjson.dumps(kept)) == kept
