"""A company of 50,000 people in processor time, with room for slow machines: mistakes of an order of magnitude show."""

from __future__ import annotations

import time

from sync_core.definition import parse
from sync_core.merging import Person
from sync_core.selection import Selection, compiled
from tests.sync_core.test_merging import merge_people, person
from tests.sync_core.test_selection import PERSON, flag, text


def test_a_large_company_is_selected_at_once() -> None:
    people = [{**PERSON, "id": str(number), "department": f"Vertrieb Süd {number % 100}"} for number in range(50_000)]
    rule = {
        "all": [
            text("department", "is_not", *(f"Vertrieb Süd {number}" for number in range(0, 100, 2))),
            {"any": [text("jobTitle", "contains", "chief", "head", "manager"), text("country", "is", "FR")]},
            {"not": text("domain", "ends_with", ".onmicrosoft.com")},
            flag("licensed"),
        ]
    }
    selects = compiled(parse(Selection, {"rule": rule}))
    started = time.process_time()
    count = sum(map(selects, people))
    assert time.process_time() - started < 1
    assert count == 25_000


def test_a_large_company_is_merged_at_once() -> None:
    def people(letter: str, count: int) -> list[Person]:
        return [
            person(f"{letter}:{number}", f"person{number}@contoso.com", department="Sales", city="Berlin")
            for number in range(count)
        ]

    sources = [people("u", 50_000), people("o", 25_000)]
    started = time.process_time()
    merged = merge_people(sources)
    assert time.process_time() - started < 3
    assert len(merged) == 50_000
