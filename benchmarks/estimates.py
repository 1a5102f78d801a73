"""What the counts mean in hours: pure arithmetic on what was counted, at Graph's width and a latency that is assumed."""

from __future__ import annotations

from math import ceil
from typing import Any

PEOPLE = 2000
MAILBOXES = 2000
CHANGED = 10
LATENCY = 0.25
WIDTH = 4
"""Requests of one batch, and of one mailbox, that Graph carries out at a time."""
PER_CALL = 20
SIDE_BY_SIDE = (20, 80, 400, 2000)


def hours(budgets: dict[str, Any]) -> dict[str, Any]:
    """Hours of a first night (every contact is created) and of an ordinary one (an audit and a few changes everywhere)."""
    first = budgets["firstSync"]["requestsPerMailbox"]["value"] - budgets["people"]
    audit = budgets["audit"]["requestsPerMailbox"]["value"]
    one_change = budgets["oneChanged"]["requestsPerMailbox"]["value"]
    # requests that a mailbox sends alone share a batch with those of nineteen others, which takes five times the latency
    shared = PER_CALL / WIDTH * LATENCY
    whole = PEOPLE / WIDTH * LATENCY + first * shared
    ordinary = audit * shared + ceil(one_change * CHANGED / PER_CALL) * shared
    return {
        "people": PEOPLE,
        "mailboxes": MAILBOXES,
        "changed": CHANGED,
        "latencyMs": int(LATENCY * 1000),
        "firstSecondsPerMailbox": whole,
        "ordinarySecondsPerMailbox": ordinary,
        "sideBySide": [
            {
                "mailboxes": width,
                "firstHours": round(ceil(MAILBOXES / width) * whole / 3600, 2),
                "ordinaryHours": round(ceil(MAILBOXES / width) * ordinary / 3600, 3),
            }
            for width in SIDE_BY_SIDE
        ],
    }
