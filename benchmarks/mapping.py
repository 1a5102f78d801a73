"""Selection and mapping: from directory users to contacts ready to be written."""

from __future__ import annotations

from typing import Any

from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step

PEOPLE = 50_000
MOST_SECONDS = 5.0
MOST_MB = 500


def measure(step: Step) -> dict[str, Any]:
    """Map the demo tenant's people, many of them."""
    step.say(f"{PEOPLE:,} people")
    taken = isolated("benchmarks.mapping:map_people", people=PEOPLE)
    return {
        "people": PEOPLE,
        "selected": taken["selected"],
        # one thread that waits for nothing: its processor time, whatever else the machine does meanwhile
        "cpuSeconds": {"value": round(taken["cpuSeconds"], 2), "atMost": MOST_SECONDS},
        "microsecondsPerPerson": round(taken["cpuSeconds"] / PEOPLE * 1e6),
        "peakMB": {"value": round(taken["peakMB"]), "atMost": MOST_MB},
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
