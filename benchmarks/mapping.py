"""Selection and mapping: from directory users to contacts ready to be written."""

from __future__ import annotations

from typing import Any

from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step

PEOPLE = 50_000
MOST_SECONDS = 5.0
MOST_MB = 500
CHANGED = 50
MOST_SECONDS_AGAIN = 1.0


def measure(step: Step) -> dict[str, Any]:
    """Map the demo tenant's people, many of them."""
    step.say(f"{PEOPLE:,} people")
    taken = isolated("benchmarks.mapping:map_people", people=PEOPLE)
    step.say(f"{CHANGED} of {PEOPLE:,} people")
    again = isolated("benchmarks.mapping:map_again", people=PEOPLE)
    return {
        "people": PEOPLE,
        "selected": taken["selected"],
        # one thread that waits for nothing: its processor time, whatever else the machine does meanwhile
        "cpuSeconds": {"value": round(taken["cpuSeconds"], 2), "atMost": MOST_SECONDS},
        "microsecondsPerPerson": round(taken["cpuSeconds"] / PEOPLE * 1e6),
        "peakMB": {"value": round(taken["peakMB"]), "atMost": MOST_MB},
        "again": {
            "changed": again["mapped"],
            "cpuSeconds": {"value": round(again["cpuSeconds"], 2), "atMost": MOST_SECONDS_AGAIN},
        },
    }


def map_people(people: int) -> dict[str, Any]:
    """What a run does with each object of the directory between reading and storing it."""
    from local.m365.people import demo
    from sync_core.contacts import item_of
    from sync_core.directory import merge
    from sync_core.fingerprints import Fingerprinter
    from sync_core.selection import Selection, compiled

    users = [{"accountEnabled": True, **user} for user in demo(people, people // 2)["users"]]
    fingerprinter = Fingerprinter(b"k" * 32, "abc")
    is_wanted = compiled(Selection())
    items = []
    watch = Watch.start()
    for raw in users:
        user = merge(None, raw)
        if is_wanted(user):
            items.append(
                item_of(user, installation="benchmark", sync="people", fingerprinter=fingerprinter, default_country="DE")
            )
    return {**watch.read(), "selected": len(items)}


def map_again(people: int) -> dict[str, Any]:
    """The same of a directory that a run knows already, in which few have changed since."""
    from hashlib import blake2b

    from benchmarks.people import directory
    from sync_core.contacts import item_of
    from sync_core.directory import merge
    from sync_core.engine.snapshot import ingredients
    from sync_core.fingerprints import Fingerprinter
    from sync_core.selection import Selection, compiled

    fingerprinter = Fingerprinter(b"k" * 32, "abc")
    recipe, photo = blake2b(b"recipe", digest_size=8), ("", None)
    is_wanted = compiled(Selection())
    users = [merge(None, raw) for raw in directory(people, people)]
    before = {user["id"]: ingredients(recipe, user, photo) for user in users}
    for user in users[:CHANGED]:
        user["department"] = "Legal"
        user["jobTitle"] = "Changed"
    mapped = 0
    watch = Watch.start()
    for user in filter(is_wanted, users):
        if ingredients(recipe, user, photo) != before[user["id"]]:
            item_of(user, installation="benchmark", sync="people", fingerprinter=fingerprinter, default_country="DE")
            mapped += 1
    return {**watch.read(), "mapped": mapped}
