"""Which people belong in a list: rules as data.

A rule is ``{"all": [...]}``, ``{"any": [...]}``, ``{"not": rule}`` or a test of one attribute::

    {"attribute": "department", "operator": "is", "values": ["Sales", "Marketing"]}
    {"attribute": "licensed", "operator": "is", "value": true}

Texts are compared without regard to case and to the Unicode form they were typed in. Several values mean any of them. A negative
test holds for people without the attribute too: nobody whose department is unknown is in Sales. Beside the rule stand lists of
object ids: who is included by id is in whatever rule and default say, and who is excluded is out in any case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StringConstraints,
    Tag,
    ValidationInfo,
    field_validator,
)

from sync_core import attributes
from sync_core.attributes import Person, fold
from sync_core.countries import known_region

DEEPEST = 10
MOST_CONDITIONS = 500
MOST_VALUES = 1_000
MOST_IDS = 10_000
MOST_GROUPS = 20

Predicate = Callable[[Person], bool]
Text = Annotated[str, StringConstraints(max_length=256, pattern=r"\S")]
Ids = Annotated[tuple[UUID, ...], Field(max_length=MOST_IDS)]


class _Strict(BaseModel):
    # By alias always: what is stored must be read back
    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)


class AllOf(_Strict):
    """Holds for people for whom every rule holds."""

    all: Annotated[tuple[Rule, ...], Field(min_length=1)]


class AnyOf(_Strict):
    """Holds for people for whom one of the rules holds."""

    any: Annotated[tuple[Rule, ...], Field(min_length=1)]


class Not(_Strict):
    """Holds for people for whom the rule does not."""

    not_: Rule = Field(alias="not")


class _ValueTest(_Strict):
    """A test against a list of values; `is_empty` takes none."""

    attribute: str
    operator: str
    values: Annotated[tuple[Text, ...], Field(max_length=MOST_VALUES, validate_default=True)] = ()

    @field_validator("values")
    @classmethod
    def _fit_the_operator(cls, values: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        operator = info.data.get("operator")
        if values and operator == "is_empty":
            raise ValueError("is_empty takes no values")
        if not values and operator not in (None, "is_empty"):
            raise ValueError("give at least one value")
        return values


class TextTest(_ValueTest):
    """A test of a text."""

    operator: Literal["is", "is_not", "contains", "starts_with", "ends_with", "is_empty"]

    @field_validator("attribute")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in attributes.TEXTS:
            raise ValueError(f"unknown attribute: use one of {', '.join(attributes.NAMES)}")
        return name


class CountryTest(_ValueTest):
    """A test of the country, by ISO 3166 alpha-2 codes or names."""

    attribute: Literal["country"]
    operator: Literal["is", "is_not", "is_empty"]

    @field_validator("values")
    @classmethod
    def _countries(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for at, value in enumerate(values):
            if known_region(value) is None:
                raise ValueError(f"no country at place {at}: use a code such as DE or an English name")
        return values


class UserTypeTest(_ValueTest):
    """A test of whether an account is a member's or a guest's; who has no account is neither."""

    attribute: Literal["userType"]
    operator: Literal["is", "is_not"]
    values: Annotated[tuple[Literal["member", "guest"], ...], Field(max_length=MOST_VALUES, validate_default=True)] = ()


class FlagTest(_Strict):
    """A test of a yes or no."""

    attribute: str
    operator: Literal["is"]
    value: StrictBool


_TEST_OF: dict[str, type[BaseModel]] = {
    "country": CountryTest,
    "userType": UserTypeTest,
    **dict.fromkeys(attributes.FLAGS, FlagTest),
}
_GROUPS: dict[str, type[BaseModel]] = {"all": AllOf, "any": AnyOf, "not": Not}


def _tag(value: Any) -> str | None:
    """Which model a rule is. The bracket keeps the tag out of the paths of errors (see `definition.parse`)."""
    if isinstance(value, BaseModel):
        return f"rule[{type(value).__name__}]"
    if not isinstance(value, Mapping):
        return None
    for name, model in _GROUPS.items():
        if name in value:
            return f"rule[{model.__name__}]"
    if "attribute" not in value:
        return None
    name = value["attribute"]
    model = _TEST_OF.get(name, TextTest) if isinstance(name, str) else TextTest
    return f"rule[{model.__name__}]"


Rule: TypeAlias = Annotated[
    Annotated[AllOf, Tag("rule[AllOf]")]
    | Annotated[AnyOf, Tag("rule[AnyOf]")]
    | Annotated[Not, Tag("rule[Not]")]
    | Annotated[TextTest, Tag("rule[TextTest]")]
    | Annotated[CountryTest, Tag("rule[CountryTest]")]
    | Annotated[UserTypeTest, Tag("rule[UserTypeTest]")]
    | Annotated[FlagTest, Tag("rule[FlagTest]")],
    Discriminator(
        _tag, custom_error_type="rule", custom_error_message="a rule is an object with one of: all, any, not, attribute"
    ),
]
for _model in _GROUPS.values():
    _model.model_rebuild()


class LeaveOut(_Strict):
    """Who is left out unless the sync says otherwise; `attributes` says how each is told."""

    disabled_accounts: bool = True
    guests: bool = True
    functional_mailboxes: bool = True  # rooms, equipment, shared mailboxes
    service_accounts: bool = True
    unreachable: bool = True


_LEFT_OUT: Mapping[str, Predicate] = {
    "disabled_accounts": attributes.is_disabled,
    "guests": attributes.is_guest,
    "functional_mailboxes": attributes.is_functional_mailbox,
    "service_accounts": attributes.is_service_account,
    "unreachable": attributes.is_unreachable,
}


def _not_too_large(rule: object) -> object:
    """Before anything else looks at a rule: what follows recurses."""
    waiting: list[tuple[object, str, int]] = [(rule, "", 1)]
    conditions = 0
    while waiting:
        value, place, depth = waiting.pop()
        if not isinstance(value, Mapping):
            continue
        inner = [(f"{place}.{name}.{at}", one) for name in ("all", "any") for at, one in enumerate(_items(value.get(name)))]
        inner += [(f"{place}.not", value["not"])] if "not" in value else []
        conditions += "attribute" in value
        if depth > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST} at {place[1:]}")
        if conditions > MOST_CONDITIONS:
            raise ValueError(f"more than {MOST_CONDITIONS} conditions")
        waiting += [(one, where, depth + 1) for where, one in inner]
    return rule


OptionalRule: TypeAlias = Annotated[Rule | None, BeforeValidator(_not_too_large)]


class Selection(_Strict):
    """Who belongs in a list: everybody whom the rule holds for, less those left out by default.

    `include` and `exclude` are object ids, and win over both; `exclude` wins over `include`, and so do the groups whose
    members are excluded, at any depth.
    """

    rule: OptionalRule = None
    leave_out: LeaveOut = LeaveOut()
    include: Ids = ()
    exclude: Ids = ()
    exclude_groups: Annotated[tuple[UUID, ...], Field(max_length=MOST_GROUPS)] = ()


class Line(NamedTuple):
    """One line of a preview: where in the selection it stands ("" for the whole), what it says, how many it lets in."""

    path: str
    words: str
    lets_in: int


def compiled(selection: Selection, members: Collection[str] = ()) -> Predicate:
    """The selection as one function of a person. `members` are the object ids of those in its `exclude_groups`."""
    is_named, fits = named(selection, members), fitting(selection)

    def selects(person: Person) -> bool:
        said = is_named(_id(person))
        return fits(person) if said is None else said

    return selects


def fitting(selection: Selection) -> Predicate:
    """The part of a selection that goes by attributes: whether the rule holds and nothing leaves the person out by default."""
    holds = _compiled(selection.rule) if selection.rule is not None else _everybody
    left_out = [_LEFT_OUT[name] for name, on in selection.leave_out if on]
    return lambda person: holds(person) and not any(test(person) for test in left_out)


def named(selection: Selection, members: Collection[str] = ()) -> Callable[[str], bool | None]:
    """The part that goes by lists, as a function of a key or an object id: in, out, or None when it is not on any list.

    A merged person is on a list with each of the objects.
    """
    excluded = frozenset(map(str, selection.exclude)).union(members)
    included = frozenset(map(str, selection.include)) - excluded
    if not (excluded or included):
        return lambda _: None

    def said(key: str) -> bool | None:
        ids = [part.rpartition(":")[2] for part in key.split("+")]
        if not excluded.isdisjoint(ids):
            return False
        return None if included.isdisjoint(ids) else True

    return said


def rule_holds(rule: Rule) -> Predicate:
    """A rule by itself as a function of a person: nobody is left out."""
    return _compiled(rule)


def explain(selection: Selection, people: Iterable[Person], members: Collection[str] = ()) -> list[Line]:
    """What each part of a selection does, taken by itself, in its order; the first line is the whole.

    What leaves people out counts those it leaves in. The ids of `exclude` and `include` count those of them who are there.
    """
    parts: list[tuple[str, str, Predicate]] = [("", "people in the list", compiled(selection, members))]
    if selection.rule is not None:
        parts += _parts("rule", selection.rule)
    for name, on in selection.leave_out:
        if on:
            parts.append((f"leave_out.{name}", f"not {name.replace('_', ' ')}", _negated(_LEFT_OUT[name])))
    for name, ids in (("include", selection.include), ("exclude", selection.exclude)):
        if ids:
            parts.append((name, f"{name}d by id", _among(frozenset(map(str, ids)))))
    if selection.exclude_groups:
        parts.append(("exclude_groups", "not in an excluded group", _negated(_among(frozenset(members)))))
    counts = [0] * len(parts)
    for person in people:
        for at, (_, _, holds) in enumerate(parts):
            counts[at] += holds(person)
    return [Line(path, words, counts[at]) for at, (path, words, _) in enumerate(parts)]


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else ()


def _everybody(_person: Person) -> bool:
    return True


def _id(person: Person) -> str:
    return str(person.get("id")).lower()  # "none" is nobody's


def _among(ids: frozenset[str]) -> Predicate:
    return lambda person: _id(person) in ids


def _negated(holds: Predicate) -> Predicate:
    return lambda person: not holds(person)


def _compiled(rule: Rule) -> Predicate:
    match rule:
        case AllOf():
            every = [_compiled(one) for one in rule.all]
            return lambda person: all(holds(person) for holds in every)
        case AnyOf():
            some = [_compiled(one) for one in rule.any]
            return lambda person: any(holds(person) for holds in some)
        case Not():
            return _negated(_compiled(rule.not_))
        case FlagTest():
            _, flag = attributes.FLAGS[rule.attribute]
            return flag if rule.value else _negated(flag)
        case CountryTest():
            codes = [known_region(value) for value in rule.values]
            return _one_of(attributes.country, frozenset(code for code in codes if code), rule.operator)
        case UserTypeTest():
            return _one_of(attributes.user_type, frozenset(rule.values), rule.operator)
        case TextTest():
            return _text_test(rule)


def _one_of(read: Callable[[Person], str], values: frozenset[str], operator: str) -> Predicate:
    match operator:
        case "is":
            return lambda person: read(person) in values
        case "is_not":
            return lambda person: read(person) not in values
        case _:
            return lambda person: not read(person)


def _text_test(test: TextTest) -> Predicate:
    read = attributes.reader(test.attribute)
    values = tuple(map(fold, test.values))
    match test.operator:
        case "contains":
            return lambda person: _contains(fold(read(person)), values)
        case "starts_with":
            return lambda person: fold(read(person)).startswith(values)
        case "ends_with":
            return lambda person: fold(read(person)).endswith(values)
        case _:
            return _one_of(lambda person: fold(read(person)), frozenset(value.strip() for value in values), test.operator)


def _contains(text: str, values: tuple[str, ...]) -> bool:
    return any(value in text for value in values)


def _parts(path: str, rule: Rule) -> list[tuple[str, str, Predicate]]:
    here = (path, _words(rule), _compiled(rule))
    match rule:
        case AllOf():
            inner = [part for at, one in enumerate(rule.all) for part in _parts(f"{path}.all.{at}", one)]
        case AnyOf():
            inner = [part for at, one in enumerate(rule.any) for part in _parts(f"{path}.any.{at}", one)]
        case Not():
            inner = _parts(f"{path}.not", rule.not_)
        case _:
            inner = []
    return [here, *inner]


def _words(rule: Rule) -> str:
    match rule:
        case AllOf():
            return f"all of {len(rule.all)}" if len(rule.all) > 1 else _words(rule.all[0])
        case AnyOf():
            return f"any of {len(rule.any)}" if len(rule.any) > 1 else _words(rule.any[0])
        case Not():
            return f"not: {_words(rule.not_)}"
        case FlagTest():
            words, _ = attributes.FLAGS[rule.attribute]
            return words if rule.value else f"not: {words}"
        case _:
            name = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", " ", rule.attribute).lower()
            return f"{name} {rule.operator.replace('_', ' ')} {' or '.join(rule.values)}".rstrip()
