from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from sync_core.attributes import NAMES, is_functional_mailbox, is_service_account
from sync_core.definition import parse
from sync_core.directory import merge
from sync_core.errors import InputError
from sync_core.selection import LeaveOut, Line, Selection, compiled, explain, named, rule_holds
from tests.sync_core.people import ANNA, users

PERSON = merge(None, {**ANNA, "onPremisesExtensionAttributes": {"extensionAttribute7": "Blue"}, "employeeType": "Contractor"})
NOBODY_LEFT_OUT = {
    "disabled_accounts": False, "guests": False, "functional_mailboxes": False, "service_accounts": False, "unreachable": False,
}  # fmt: skip


class Definition(BaseModel):
    """Something that holds a selection, as a sync does."""

    selection: Selection = Selection()


def selection(rule: Any = None, **more: Any) -> Selection:
    return parse(Selection, {"rule": rule, "leave_out": NOBODY_LEFT_OUT, **more})


def holds(rule: Any, person: dict[str, Any]) -> bool:
    return compiled(selection(rule))(person)


def text(attribute: str, operator: str, *values: str) -> dict[str, Any]:
    return {"attribute": attribute, "operator": operator, "values": list(values)}


def flag(attribute: str, value: bool = True) -> dict[str, Any]:
    return {"attribute": attribute, "operator": "is", "value": value}


SALES, BERLIN = text("department", "is", "Sales"), text("city", "is", "Berlin")


# --- tests of one attribute ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (text("department", "is", "SALES"), True),
        (text("department", "is", "Marketing", " sales "), True),
        (text("department", "is", "Sale"), False),
        (text("department", "is_not", "sales"), False),
        (text("department", "is_not", "Marketing", "Sale"), True),
        (text("jobTitle", "contains", "COUNT"), True),
        (text("jobTitle", "contains", "x", "manager"), True),
        (text("jobTitle", "contains", "x", "y"), False),
        (text("jobTitle", "starts_with", "account "), True),
        (text("jobTitle", "starts_with", "x", "ACC"), True),
        (text("jobTitle", "starts_with", "accounting", "manager"), False),
        (text("jobTitle", "ends_with", "Manager"), True),
        (text("jobTitle", "ends_with", "account"), False),
        (text("jobTitle", "is_empty"), False),
        (text("employeeType", "is", "contractor"), True),
        (text("extensionAttribute7", "is", "blue"), True),
        (text("extensionAttribute8", "is_empty"), True),
        (text("extensionAttribute8", "is", "blue"), False),
        (text("extensionAttribute8", "is_not", "blue"), True),
        (text("extensionAttribute8", "contains", "blue"), False),
        (text("domain", "is", "contoso.com"), True),
        (text("domain", "ends_with", ".com"), True),
        (text("streetAddress", "is", "x"), None),
        (text("country", "is", "DE"), True),
        (text("country", "is", "France", "germany"), True),
        (text("country", "is", "FR"), False),
        (text("country", "is_not", "FR"), True),
        (text("country", "is_not", "FR", "Deutschland"), False),
        (text("country", "is_empty"), False),
        (text("userType", "is", "member"), True),
        (text("userType", "is", "guest"), False),
        (text("userType", "is_not", "guest"), True),
        (flag("enabled"), True),
        (flag("enabled", False), False),
        (flag("licensed"), True),
        (flag("serviceAccount"), False),
        (flag("serviceAccount", False), True),
    ],
)
def test_one_attribute(rule: dict[str, Any], expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(InputError):
            selection(rule)
    else:
        assert holds(rule, PERSON) is expected


def test_empty_attributes() -> None:
    assert holds(text("country", "is_empty"), {})
    assert holds(text("country", "is_not", "DE"), {})
    assert holds(text("department", "is_empty"), {})
    assert not holds(text("department", "ends_with", "s"), {})
    assert not holds(text("department", "starts_with", "s"), {})


@pytest.mark.parametrize(("value", "found"), [("straße", True), ("STRASSE", True), ("strasse ", False)])
def test_texts_are_compared_without_case_and_form(value: str, found: bool) -> None:
    assert holds(text("officeLocation", "contains", value), {"officeLocation": "Haupt-Straße"}) is found
    assert holds(text("officeLocation", "ends_with", value), {"officeLocation": "Haupt-STRASSE"}) is found


# --- combining ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sales", [True, False])
@pytest.mark.parametrize("berlin", [True, False])
def test_all_any_not(sales: bool, berlin: bool) -> None:
    person = {"department": "Sales" if sales else "IT", "city": "Berlin" if berlin else "Bonn"}
    assert holds({"all": [SALES, BERLIN]}, person) is (sales and berlin)
    assert holds({"any": [SALES, BERLIN]}, person) is (sales or berlin)
    assert holds({"not": SALES}, person) is not sales
    assert holds({"any": [{"not": {"all": [SALES]}}, BERLIN]}, person) is (not sales or berlin)


tests = st.one_of(
    st.builds(
        text,
        st.sampled_from(["department", "city", "domain"]),
        st.sampled_from(["is", "is_not", "contains"]),
        st.sampled_from("ab"),
    ),
    st.builds(text, st.sampled_from(["department", "city"]), st.just("is_empty")),
    st.builds(flag, st.sampled_from(["enabled", "hasPhone"]), st.booleans()),
    st.builds(text, st.just("country"), st.sampled_from(["is", "is_not"]), st.sampled_from(["DE", "France"])),
    st.builds(text, st.just("userType"), st.sampled_from(["is", "is_not"]), st.sampled_from(["guest", "member"])),
)
rules = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=6,
)
simple_people = st.fixed_dictionaries(
    {"id": st.uuids().map(str)},
    optional={
        "department": st.sampled_from(["a", "B", "ab"]),
        "city": st.sampled_from("ab"),
        "mail": st.sampled_from(["x@a", "x@b"]),
        "businessPhones": st.just(["1"]),
        "country": st.sampled_from(["DE", "France", "?"]),
        "userPrincipalName": st.just("u@x"),
        "accountEnabled": st.just(True),
        "userType": st.sampled_from(["Guest", "Member"]),
    },
)


@given(rules, rules, simple_people)
def test_the_laws_of_logic(one: dict[str, Any], other: dict[str, Any], person: dict[str, Any]) -> None:
    assert holds({"not": one}, person) is not holds(one, person)
    assert holds({"all": [one, other]}, person) is (holds(one, person) and holds(other, person))
    assert holds({"any": [one, other]}, person) is (holds(one, person) or holds(other, person))


@given(rules, st.lists(st.uuids(), max_size=3), st.lists(st.uuids(), max_size=3), st.booleans())
def test_what_is_stored_is_read_back(rule: dict[str, Any], include: list[Any], exclude: list[Any], guests: bool) -> None:
    made = Definition(
        selection=Selection.model_validate(
            {"rule": rule, "include": include, "exclude": exclude, "leave_out": {"guests": guests}}
        )
    )
    assert Definition.model_validate_json(made.model_dump_json()) == made
    assert Definition.model_validate(made.model_dump(mode="json")) == made
    assert Definition.model_validate(made.model_dump()) == made


# --- defaults and lists of ids -------------------------------------------------------------------------------------------

GUEST = {**PERSON, "userType": "Guest"}
DISABLED = {name: value for name, value in PERSON.items() if name != "accountEnabled"}
ROOM = {"id": "r", "userPrincipalName": "fox@contoso.com", "accountEnabled": True, "mail": "fox@contoso.com"}
DAEMON = {**PERSON, "mail": "noreply@contoso.com"}
SILENT = {name: value for name, value in PERSON.items() if name not in ("mail", "mobilePhone", "businessPhones")}


@pytest.mark.parametrize(
    ("switch", "person"),
    [
        ("guests", GUEST),
        ("disabled_accounts", DISABLED),
        ("functional_mailboxes", ROOM),
        ("service_accounts", DAEMON),
        ("unreachable", SILENT),
    ],
)
def test_who_is_left_out_unless_an_admin_says_otherwise(switch: str, person: dict[str, Any]) -> None:
    everybody = compiled(Selection())
    assert everybody(PERSON)
    assert not everybody(person)
    assert compiled(parse(Selection, {"leave_out": {switch: False}}))(person)
    assert not compiled(parse(Selection, {"leave_out": {**NOBODY_LEFT_OUT, switch: True}}))(person)
    assert compiled(parse(Selection, {"leave_out": {**NOBODY_LEFT_OUT, switch: True}}))(PERSON)


@given(users)
def test_by_default_the_people_of_an_address_book_belong(raw: dict[str, Any]) -> None:
    user = merge(None, raw)
    if "userPrincipalName" in user:
        is_member = user.get("accountEnabled") is True and user.get("userType") != "Guest"
        is_reachable = bool(user.get("mail") or user.get("mobilePhone") or user.get("businessPhones"))
        is_human = not is_functional_mailbox(user) and not is_service_account(user)
        assert compiled(Selection())(user) is (is_member and is_reachable and is_human)


def test_organisation_contacts_belong() -> None:
    assert compiled(Selection())({"id": "2", "displayName": "Fabrikam", "mail": "info@fabrikam.com"})


ID = ANNA["id"]
OTHER = "22222222-2222-4222-8222-222222222222"


@pytest.mark.parametrize(
    ("person", "rule", "include", "exclude", "expected"),
    [
        (PERSON, SALES, [], [], True),
        (PERSON, text("department", "is", "IT"), [], [], False),
        (PERSON, text("department", "is", "IT"), [OTHER], [], False),
        (PERSON, text("department", "is", "IT"), [OTHER, ID], [], True),
        (PERSON, SALES, [], [OTHER], True),
        (PERSON, SALES, [], [ID.upper()], False),
        (PERSON, SALES, [ID], [ID], False),
        (GUEST, None, [], [], False),
        (GUEST, None, [ID], [], True),
        ({"mail": "a@x"}, None, [ID], [OTHER], True),
    ],
)
def test_ids_win(person: dict[str, Any], rule: Any, include: list[str], exclude: list[str], expected: bool) -> None:
    made = parse(Selection, {"rule": rule, "include": include, "exclude": exclude})
    assert compiled(made)(person) is expected


# --- bad input -----------------------------------------------------------------------------------------------------------


def nested(depth: int) -> dict[str, Any]:
    rule = SALES
    for _ in range(depth - 1):
        rule = {"not": rule}
    return rule


@pytest.mark.parametrize(
    ("value", "field", "problem"),
    [
        ({"all": [SALES, text("shoeSize", "is", "9")]}, "rule.all.1.attribute", "unknown attribute: use one of department"),
        ({"all": [SALES, {"attribute": 7, "operator": "is", "values": ["9"]}]}, "rule.all.1.attribute", "string"),
        ({"attribute": ["city"], "operator": "is", "values": ["9"]}, "rule.attribute", "string"),
        ({"any": [{"not": text("department", "equals", "x")}]}, "rule.any.0.not.operator", "'is', 'is_not', 'contains', 's"),
        (text("country", "contains", "x"), "rule.operator", "'is', 'is_not' or 'is_empty'"),
        (text("userType", "is_empty"), "rule.operator", "'is' or 'is_not'"),
        ({"attribute": "enabled", "operator": "is_not", "value": True}, "rule.operator", "'is'"),
        ({"attribute": "enabled", "operator": "is", "value": "yes"}, "rule.value", "boolean"),
        ({"attribute": "enabled", "operator": "is"}, "rule.value", "required"),
        ({"attribute": "enabled", "operator": "is", "values": [True]}, "rule.value", "required"),
        ({"attribute": "city", "values": ["x"]}, "rule.operator", "required"),
        ({"operator": "is", "values": ["x"]}, "rule", "all, any, not, attribute"),
        (text("city", "is"), "rule.values", "at least one value"),
        ({"attribute": "city", "operator": "is"}, "rule.values", "at least one value"),
        ({"attribute": "userType", "operator": "is"}, "rule.values", "at least one value"),
        ({"attribute": "country", "operator": "is"}, "rule.values", "at least one value"),
        (text("city", "is_empty", "x"), "rule.values", "is_empty takes no values"),
        (text("city", "is", "x", " "), "rule.values.1", "match pattern"),
        (text("city", "is", "x" * 257), "rule.values.0", "at most 256"),
        (text("city", "is", *["x"] * 1001), "rule.values", "at most 1000"),
        ({"attribute": "city", "operator": "is", "values": ["x", 5]}, "rule.values.1", "string"),
        ({"attribute": "city", "operator": "is", "values": "x"}, "rule.values", "tuple"),
        ({"attribute": "city", "operator": "is", "values": ["x"], "case": True}, "rule.case", "not permitted"),
        (text("country", "is", "DE", "Narnia"), "rule.values", "no country at place 1"),
        (text("country", "is", "ZZ"), "rule.values", "no country at place 0"),
        (text("userType", "is", "alien"), "rule.values.0", "'member' or 'guest'"),
        ({"all": []}, "rule.all", "at least 1"),
        ({"any": []}, "rule.any", "at least 1"),
        ({"any": {}}, "rule.any", "tuple"),
        ({"not": [SALES]}, "rule.not", "all, any, not, attribute"),
        ({"all": [SALES], "any": [SALES]}, "rule.any", "not permitted"),
        ({}, "rule", "all, any, not, attribute"),
        ("department = x", "rule", "all, any, not, attribute"),
        ({"all": [None]}, "rule.all.0", "all, any, not, attribute"),
        (nested(11), "rule", "nested deeper than 10 at not.not.not.not.not.not.not.not.not.not"),
        ({"any": [SALES, {"all": [nested(9)]}]}, "rule", "nested deeper than 10 at any.1.all.0.not"),
        (nested(100_000), "rule", "nested deeper than 10"),
        ({"any": [SALES] * 501}, "rule", "more than 500 conditions"),
        ({"any": [*[SALES] * 501, "rubbish"]}, "rule", "more than 500 conditions"),
        ({"all": [{"any": [SALES] * 250}, {"any": [BERLIN] * 251}]}, "rule", "more than 500 conditions"),
    ],
)  # fmt: skip
def test_bad_rules_are_refused_with_their_place(value: Any, field: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(Definition, {"selection": {"rule": value}})
    assert caught.value.field == f"selection.{field}"
    assert problem in caught.value.problem
    assert "Value error" not in caught.value.problem


@pytest.mark.parametrize(
    ("value", "field", "problem"),
    [
        ({"include": ["x"]}, "include.0", "UUID"),
        ({"exclude": [ID, 5]}, "exclude.1", "UUID"),
        ({"exclude": [ID] * 10_001}, "exclude", "at most 10000"),
        ({"leave_out": {"rooms": True}}, "leave_out.rooms", "not permitted"),
        ({"leave_out": {"guests": "perhaps"}}, "leave_out.guests", "boolean"),
        ({"rules": SALES}, "rules", "not permitted"),
    ],
)
def test_bad_selections_are_refused_with_their_place(value: Any, field: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(Definition, {"selection": value})
    assert caught.value.field == f"selection.{field}"
    assert problem in caught.value.problem
    assert "Value error" not in caught.value.problem


def test_the_limits_themselves_are_allowed() -> None:
    assert holds(nested(10), PERSON) is False
    assert holds({"all": [SALES] * 500}, PERSON)
    assert holds(text("department", "is", *["x" * 256] * 999, "Sales"), PERSON)
    assert compiled(selection(exclude=[OTHER] * 10_000))(PERSON)


def test_every_attribute_can_be_asked_for() -> None:
    for name in NAMES:
        for rule in (text(name, "is", "DE"), text(name, "is", "member"), flag(name)):
            try:
                selection(rule)
                break
            except InputError:
                continue
        else:
            pytest.fail(f"no test of {name} is accepted")


# --- the preview ---------------------------------------------------------------------------------------------------------


def test_a_preview_says_what_each_part_does() -> None:
    made = parse(
        Selection,
        {
            "rule": {
                "all": [
                    {"any": [SALES, text("companyName", "is_empty")]},
                    {"not": text("city", "is_not", "Bonn", "Köln")},
                    {"any": [flag("enabled", False)]},
                ]
            },
            "leave_out": {**NOBODY_LEFT_OUT, "guests": True, "service_accounts": True},
            "include": [ID],
            "exclude": [OTHER],
        },
    )  # fmt: skip
    people = [
        PERSON,
        {"id": OTHER, "city": "Bonn"},
        {"id": "3", "department": "Sales", "companyName": "x", "city": "Bonn", "mail": "no-reply@x"},
        {"id": "4", "city": "köln"},
        GUEST | {"id": "5"},
    ]
    assert explain(made, iter(people)) == [
        Line("", "people in the list", 2),
        Line("rule", "all of 3", 3),
        Line("rule.all.0", "any of 2", 5),
        Line("rule.all.0.any.0", "department is Sales", 3),
        Line("rule.all.0.any.1", "company name is empty", 2),
        Line("rule.all.1", "not: city is not Bonn or Köln", 3),
        Line("rule.all.1.not", "city is not Bonn or Köln", 2),
        Line("rule.all.2", "not: has an enabled account", 3),
        Line("rule.all.2.any.0", "not: has an enabled account", 3),
        Line("leave_out.guests", "not guests", 4),
        Line("leave_out.service_accounts", "not service accounts", 4),
        Line("include", "included by id", 1),
        Line("exclude", "excluded by id", 1),
    ]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (text("extensionAttribute12", "starts_with", "a", "b"), "extension attribute 12 starts with a or b"),
        (text("userType", "is", "guest"), "user type is guest"),
        (text("country", "is_not", "DE", "France"), "country is not DE or France"),
        (flag("licensed"), "has a mailbox licence"),
        ({"all": [SALES]}, "department is Sales"),
        ({"any": [SALES]}, "department is Sales"),
        ({"not": {"all": [SALES, BERLIN]}}, "not: all of 2"),
    ],
)
def test_rules_in_words(rule: Any, words: str) -> None:
    assert explain(selection(rule), [])[1] == Line("rule", words, 0)


def test_without_a_rule_the_preview_has_the_defaults() -> None:
    lines = explain(Selection(), [PERSON, GUEST, SILENT])
    assert [(line.path, line.lets_in) for line in lines] == [
        ("", 1),
        *((f"leave_out.{name}", 2 if name in ("guests", "unreachable") else 3) for name in LeaveOut.model_fields),
    ]


@given(rules, st.lists(simple_people, max_size=5))
def test_a_preview_counts_what_the_selection_does(rule: dict[str, Any], people: list[dict[str, Any]]) -> None:
    made = parse(Selection, {"rule": rule})
    selects = compiled(made)
    assert explain(made, people)[0].lets_in == sum(selects(person) for person in people)


def test_whom_lists_name() -> None:
    a, b, c, d = (str(UUID(int=number)) for number in range(1, 5))
    said = named(parse(Selection, {"include": [a, b], "exclude": [b]}), [c])
    assert [said(key) for key in (f"u:{a}", a, f"f:7+u:{a}", f"u:{b}", f"u:{a}+u:{b}", f"u:{c}", f"o:x+u:{c}", c)] == [
        *[True] * 3,
        *[False] * 5,
    ]
    assert [said(key) for key in (f"u:{b}+u:{d}", f"u:{a}+f:7", f"u:{d}")] == [False, True, None]
    assert named(Selection())(f"u:{a}") is None
    assert named(Selection(), [a])(f"u:{a}") is False


@given(rules, simple_people)
def test_a_rule_by_itself_leaves_nobody_out(rule: dict[str, Any], person: dict[str, Any]) -> None:
    everybody = dict.fromkeys(LeaveOut.model_fields, False)
    made = parse(Selection, {"rule": rule, "leave_out": everybody})
    assert made.rule is not None
    assert rule_holds(made.rule)(person) == compiled(made)(person)


def test_a_preview_counts_who_is_named_and_who_is_in_an_excluded_group() -> None:
    people = [{**PERSON, "id": str(UUID(int=number))} for number in range(1, 6)]
    ids = [person["id"] for person in people]
    made = parse(
        Selection,
        {"include": ids[:2], "exclude": [ids[2], str(UUID(int=99))], "exclude_groups": [str(UUID(int=50))]},
    )
    lines = {line.path: line for line in explain(made, iter(people), [ids[3]])}
    assert lines[""] == Line("", "people in the list", 3)
    assert lines["include"] == Line("include", "included by id", 2)
    assert lines["exclude"] == Line("exclude", "excluded by id", 1)
    assert lines["exclude_groups"] == Line("exclude_groups", "not in an excluded group", 4)
