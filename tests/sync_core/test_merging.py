from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.marks import item_mark, parse
from sync_core.merging import Merged, Person, address_of, group_people, merged, settle_keys


def person(key: str, mail: str | None = None, **attributes: Any) -> Person:
    return Person(key, {"mail": mail, **attributes})


def merge_people(sources: Sequence[Iterable[Person]]) -> list[Merged]:
    """Everybody, in the order of the merged keys."""
    known = [{one.key: one for one in source} for source in sources]
    told = group_people([{key: address_of(one.attributes) for key, one in source.items()} for source in known])
    return sorted((merged([known[place][key] for place, key in people]) for people in told), key=lambda one: one.key)


def keys(*sources: list[Person]) -> list[str]:
    return [one.key for one in merge_people(sources)]


# --- who is one person ---------------------------------------------------------------------------------------------------


def test_people_of_different_sources_with_one_address_are_one() -> None:
    assert keys(
        [person("u:1", "Anna@contoso.com")], [person("o:2", " anna@CONTOSO.com ")], [person("c:3", "anna@contoso.com")]
    ) == ["c:3+o:2+u:1"]


def test_an_alias_is_no_reason_to_merge() -> None:
    aliased = person("o:2", "a.schmidt@fabrikam.com", proxyAddresses=["smtp:anna@contoso.com"])
    assert keys([person("u:1", "anna@contoso.com")], [aliased]) == ["o:2", "u:1"]


@pytest.mark.parametrize("mail", [None, "", " "])
def test_people_without_an_address_are_kept_apart(mail: str | None) -> None:
    assert keys([person("u:1", mail), person("u:2", mail)], [person("o:3", mail)]) == ["o:3", "u:1", "u:2"]


def test_two_of_one_source_stay_two_and_nobody_joins_either() -> None:
    shared = [person("u:1", "info@x"), person("u:2", "INFO@x")]
    assert keys(shared, [person("o:3", "info@x")]) == ["o:3", "u:1", "u:2"]
    assert keys([person("o:3", "info@x")], shared) == ["o:3", "u:1", "u:2"]
    assert keys([person("o:3", "info@x")], [person("c:4", "info@x")], shared) == ["c:4", "o:3", "u:1", "u:2"]


def test_one_object_in_two_sources_is_one_person_with_or_without_address() -> None:
    assert keys([person("u:1")], [person("u:1"), person("u:2")]) == ["u:1", "u:2"]
    assert keys([person("u:1", "a@x")], [person("u:1", "a@x")], [person("o:2", "a@x")]) == ["o:2+u:1"]
    assert keys([person("u:1", "info@x")], [person("u:1", "info@x"), person("u:2", "info@x")]) == ["u:1", "u:2"]
    assert keys([person("u:1")], [person("u:1", "a@x")], [person("o:2", "a@x")]) == ["o:2+u:1"]


# --- whose fields ---------------------------------------------------------------------------------------------------------


def test_each_field_comes_from_the_first_source_that_has_it() -> None:
    (found,) = merge_people(
        [
            [person("u:1", "anna@x", jobTitle="Head", mobilePhone="", businessPhones=[])],
            [person("o:2", "Anna@X", jobTitle="Sales", mobilePhone="+1", department="")],
            [person("c:3", "anna@x", department="Sales", mobilePhone="+2", businessPhones=["+3"])],
        ]
    )
    assert found == Merged(
        "c:3+o:2+u:1",
        {"mail": "anna@x", "jobTitle": "Head", "mobilePhone": "+1", "department": "Sales", "businessPhones": ["+3"]},
    )


def test_an_address_is_taken_whole() -> None:
    one = person("u:1", "a@x", city="Berlin")
    other = person(
        "o:2", "a@x", streetAddress="1 Main St", city="Boston", state="MA", postalCode="02101", country="US", surname="A"
    )
    (found,) = merge_people([[one], [other]])
    assert found.attributes == {"mail": "a@x", "city": "Berlin", "surname": "A"}
    (found,) = merge_people([[other], [one]])
    assert found.attributes == dict(other.attributes)
    (found,) = merge_people([[person("u:1", "a@x", city="")], [other]])
    assert found.attributes == dict(other.attributes)


def test_priority_counts_even_when_one_object_comes_from_first_and_last_source() -> None:
    (found,) = merge_people(
        [[person("u:1", "a@x", surname="1")], [person("o:2", "a@x", surname="2", city="2")], [person("u:1", "a@x", city="3")]]
    )
    assert found == Merged("o:2+u:1", {"mail": "a@x", "surname": "1", "city": "2"})


def test_what_comes_in_is_left_as_it_is() -> None:
    first, second = person("u:1", "a@x"), person("o:2", "a@x", city="Berlin")
    list(merge_people([[first], [second]]))
    assert (first, second) == (person("u:1", "a@x"), person("o:2", "a@x", city="Berlin"))


def test_a_merged_key_always_fits_into_a_mark() -> None:
    sources = [[person(f"{letter}:{letter * 36}", "a@x", **{letter: letter})] for letter in "fedcba"]
    (found,) = merge_people(sources)
    assert found.key == "+".join(f"{letter}:{letter * 36}" for letter in "def")
    assert set(found.attributes) == {"mail", *"fedcba"}
    mark = parse(item_mark("i" * 36, "s" * 63, found.key))
    assert mark is not None
    assert mark.key == found.key


def test_a_key_may_be_as_long_as_there_is_room() -> None:
    (found,) = merge_people([[person("a:" + "a" * 74, "a@x")], [person("b:" + "b" * 75, "a@x")], [person("c:1", "a@x")]])
    assert found.key == "a:" + "a" * 74 + "+b:" + "b" * 75
    assert len(found.key) == 154
    item_mark("i" * 36, "s" * 63, found.key)
    (found,) = merge_people([[person("a:" + "a" * 75, "a@x")], [person("b:" + "b" * 75, "a@x")], [person("c:1", "a@x")]])
    assert found.key == "a:" + "a" * 75 + "+c:1"


mails = st.sampled_from([None, "", "a@x", "A@x", "b@x", "c@x", "d@x"])
attributes = st.dictionaries(st.sampled_from(["surname", "city", "country"]), st.sampled_from(["", "1", "2"]))


def source(letter: str) -> st.SearchStrategy[list[Person]]:
    numbers = st.lists(st.integers(0, 5), max_size=5, unique=True)
    return numbers.flatmap(
        lambda ids: st.tuples(
            *(st.builds(lambda n, mail, rest: person(f"{letter}:{n}", mail, **rest), st.just(n), mails, attributes) for n in ids)
        ).map(list)
    )


all_sources = st.tuples(source("u"), source("o"), source("u"))


@given(all_sources, st.randoms())
def test_the_order_within_a_source_makes_no_difference(sources: tuple[list[Person], ...], shuffle: random.Random) -> None:
    before = merge_people(sources)
    for one in sources:
        shuffle.shuffle(one)
    assert merge_people(sources) == before


@given(all_sources)
def test_nobody_is_lost_and_nobody_comes_twice(sources: tuple[list[Person], ...]) -> None:
    parts = [part for key in keys(*sources) for part in key.split("+")]
    assert sorted(parts) == sorted({one.key for people in sources for one in people})


@given(all_sources)
def test_only_one_address_joins_and_never_two_of_one_source(sources: tuple[list[Person], ...]) -> None:
    for found in merge_people(sources):
        parts = found.key.split("+")
        for people in sources:
            assert len([one for one in people if one.key in parts]) <= 1
        if len(parts) > 1:
            known = [
                next(one.attributes["mail"] for people in sources for one in people if one.key == part and one.attributes["mail"])
                for part in parts
            ]
            assert len({mail.casefold() for mail in known}) == 1


@given(all_sources)
def test_fields_come_by_priority_and_the_address_whole(sources: tuple[list[Person], ...]) -> None:
    for found in merge_people(sources):
        parts = found.key.split("+")
        said = [one.attributes for people in sources for one in people if one.key in parts]
        address = next((one for one in said if one.get("city") or one.get("country")), {})
        expected = {
            **{name: next((one[name] for one in said if one.get(name)), None) for name in ("mail", "surname")},
            **{name: address.get(name) for name in ("city", "country")},
        }
        assert found.attributes == {name: value for name, value in expected.items() if value}


# --- whose item -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "held", "settled"),
    [
        (["u:1"], ["u:1"], {"u:1": "u:1"}),
        (["u:1"], ["u:2"], {}),
        (["o:2+u:1"], ["u:1"], {"o:2+u:1": "u:1"}),
        (["o:2+u:1"], ["o:2"], {"o:2+u:1": "o:2"}),
        (["o:2+u:1"], ["u:1", "o:2"], {"o:2+u:1": "o:2"}),
        (["o:2", "u:1"], ["o:2+u:1"], {"o:2": "o:2+u:1"}),
        (["u:1"], ["o:2+u:1"], {"u:1": "o:2+u:1"}),
        (["u:1", "o:2"], ["o:2+u:1", "u:1"], {"u:1": "u:1", "o:2": "o:2+u:1"}),
        (["u:1", "o:2"], ["o:2+u:1", "o:2"], {"o:2": "o:2", "u:1": "o:2+u:1"}),
        (["c:3+u:1"], ["o:2+u:1"], {"c:3+u:1": "o:2+u:1"}),
        (["a:1+c:3", "b:2"], ["a:1+b:2", "c:3"], {"a:1+c:3": "a:1+b:2"}),
        (["a:1+b:2", "c:3"], ["a:1", "b:2+c:3"], {"a:1+b:2": "a:1", "c:3": "b:2+c:3"}),
        ([], ["u:1"], {}),
        (["u:1"], [], {}),
    ],
)
def test_which_item_goes_on(wanted: list[str], held: list[str], settled: dict[str, str]) -> None:
    assert settle_keys(wanted, held) == settled
    assert settle_keys(reversed(wanted), iter(held[::-1])) == settled


def partition(parts: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """The parts spread over people; some are left out."""
    homes = st.lists(st.integers(0, 3), min_size=len(parts), max_size=len(parts))

    def people(of: list[int]) -> list[str]:
        groups = [sorted(part for part, home in zip(parts, of, strict=True) if home == number) for number in range(1, 4)]
        return ["+".join(group) for group in groups if group]

    return homes.map(people)


partitions = partition(("a:1", "b:2", "c:3", "d:4", "e:5"))


@given(partitions, partitions)
def test_settling_loses_no_item_that_has_an_heir(wanted: list[str], held: list[str]) -> None:
    settled = settle_keys(wanted, held)
    assert settled.keys() <= set(wanted)
    assert set(settled.values()) <= set(held)
    assert len(set(settled.values())) == len(settled)
    assert all(set(new.split("+")) & set(old.split("+")) for new, old in settled.items())
    assert all(settled.get(key) == key for key in set(wanted) & set(held))
    for old in set(held) - set(settled.values()):
        related = [new for new in wanted if set(new.split("+")) & set(old.split("+"))]
        assert all(new in settled for new in related)
