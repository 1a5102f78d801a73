"""Field rules: which fields of a contact a sync owns, and what feeds them. Data in the definition, checked at the edge.

A field that is not named is overwritten with what the directory says of it. `categories` and `personalNotes` are the user's own
until a rule names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from sync_core.contacts import FIELDS, OWNED_FIELDS, blank, value_of
from sync_core.directory import EXTENSION_ATTRIBUTES, TEXTS
from sync_core.texts import LONGEST

MOST_CONSTANTS = 20

ATTRIBUTES = (*TEXTS, "businessPhones", *EXTENSION_ATTRIBUTES)
"""What can feed a field."""

_LISTS = ("businessPhones", "emailAddresses", "categories")
_NAMES = ("displayName", "givenName", "surname")
"""Exchange makes the display name anew from the other two: whoever leaves one of the three to the user leaves all."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldRule(_Strict):
    """What to do with one field: `overwrite` it, `fill` it where it is blank, `clear` it, or `leave` it to the user, unread.

    It is fed by what belongs there, by the attribute `source` of the person, or by a `constant`.
    """

    policy: Literal["overwrite", "fill", "clear", "leave"] = "overwrite"
    source: str | None = None
    constant: str | tuple[str, ...] | None = None

    @field_validator("source")
    @classmethod
    def _is_an_attribute(cls, value: str | None) -> str | None:
        if value is not None and value not in ATTRIBUTES:
            raise ValueError(f"must be one of {', '.join(ATTRIBUTES)}")
        return value

    @field_validator("constant")
    @classmethod
    def _says_something(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        texts = _listed(value)
        if value is not None and not 1 <= len(texts) <= MOST_CONSTANTS:
            raise ValueError(f"must be 1 to {MOST_CONSTANTS} texts")
        if any(not text.strip() or len(text) > LONGEST for text in texts):
            raise ValueError(f"must be text of 1 to {LONGEST} characters")
        return value

    @model_validator(mode="after")
    def _fed_once(self) -> FieldRule:
        if self.source is not None and self.constant is not None:
            raise ValueError("takes a source or a constant, not both")
        if self.policy in ("clear", "leave") and self.is_fed:
            raise ValueError(f'takes neither source nor constant with the policy "{self.policy}"')
        return self

    @property
    def is_fed(self) -> bool:
        """Whether the rule says what feeds the field."""
        return self.source is not None or self.constant is not None


class Fields(_Strict):
    """How people become contacts. `names` and `phones` say how display names and numbers are written."""

    names: Literal["as_is", "given_surname", "surname_given"] = "as_is"
    phones: Literal["international", "as_is"] = "international"
    rules: Mapping[str, FieldRule] = {}

    @field_validator("rules")
    @classmethod
    def _rules_that_fit(cls, rules: Mapping[str, FieldRule]) -> Mapping[str, FieldRule]:
        for name, rule in rules.items():
            problem = _problem(name, rule) if name in FIELDS else f"is none of {', '.join(FIELDS)}"
            if problem:
                raise ValueError(f"{name} {problem}")
        policies = [rules[name].policy if name in rules else "overwrite" for name in FIELDS if name in _NAMES]
        if 0 < policies.count("leave") < len(policies):
            raise ValueError(f'{", ".join(_NAMES)}: "leave" goes for all three or none')
        if all(name in rules and rules[name].policy == "leave" for name in OWNED_FIELDS) and rules.keys() <= set(OWNED_FIELDS):
            raise ValueError("leave nothing to write")
        return rules

    @property
    def owned(self) -> tuple[str, ...]:
        """The fields that the sync writes, reads and compares."""
        return tuple(name for name in FIELDS if self._policy(name) != "leave")

    @property
    def filled(self) -> frozenset[str]:
        """The fields that are only written where they are blank."""
        return frozenset(name for name in FIELDS if self._policy(name) == "fill")

    @property
    def fed(self) -> dict[str, str]:
        """The fields that a rule feeds with an attribute of its choice, and which."""
        return {name: rule.source for name, rule in self.rules.items() if rule.source is not None}

    def shaped(self, contact: Mapping[str, Any], person: Mapping[str, Any], *, country: str | None) -> dict[str, Any]:
        """The contact that the rules make of a person, given what belongs there without them. Only owned fields are in it."""
        shaped = dict(contact)
        as_is = self.phones == "as_is"
        if as_is:
            for name, value in (
                ("mobilePhone", [person.get("mobilePhone")]),
                ("businessPhones", person.get("businessPhones") or ()),
            ):
                shaped[name] = value_of(name, value, country=None, phones_as_is=True)
        given, surname = contact["givenName"], contact["surname"]
        if self.names != "as_is" and given and surname:
            shaped["displayName"] = f"{given} {surname}" if self.names == "given_surname" else f"{surname}, {given}"
        for name, rule in self.rules.items():
            if rule.policy == "clear":
                shaped[name] = blank(name)
            elif rule.is_fed:
                value = value_of(name, _texts(rule, person), country=country, phones_as_is=as_is)
                shaped[name] = value or (shaped[name] if name == "displayName" else value)
        shaped["emailAddresses"] = [{**email, "name": shaped["displayName"]} for email in shaped["emailAddresses"]]
        return {name: shaped[name] for name in self.owned}

    def _policy(self, name: str) -> str:
        rule = self.rules.get(name)
        if rule is not None:
            return rule.policy
        if name in OWNED_FIELDS:
            return "overwrite"  # pragma: no mutate (all that is neither "leave" nor "fill" is the same here)
        return "leave"


def _problem(name: str, rule: FieldRule) -> str:
    if name == "displayName" and rule.policy == "clear":
        return "cannot be cleared: Exchange would make it anew"
    if name in _NAMES and rule.policy == "fill":
        return "cannot be filled: Exchange always makes a name from what there is"
    if name == "businessAddress" and rule.is_fed:
        return "takes neither source nor constant"
    if name == "personalNotes" and rule.policy == "fill":
        return "cannot be filled: our text stands in a block of its own beside the user's notes"
    if name not in OWNED_FIELDS and rule.policy in ("overwrite", "fill") and not rule.is_fed:
        return "needs a source or a constant"
    if rule.source == "businessPhones" and name not in ("mobilePhone", "businessPhones"):
        return "cannot be fed by businessPhones"
    if isinstance(rule.constant, tuple) and name not in _LISTS:
        return "takes one constant, not a list"
    if name == "emailAddresses" and any("@" not in text for text in _listed(rule.constant)):
        return "takes e-mail addresses"
    return ""


def _listed(constant: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return constant if isinstance(constant, tuple) else () if constant is None else (constant,)


def _texts(rule: FieldRule, person: Mapping[str, Any]) -> Iterable[str | None]:
    if rule.source is None:
        return _listed(rule.constant)
    value = person.get(rule.source)
    return value if isinstance(value, list) else (value,)
