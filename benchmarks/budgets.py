"""What Graph and Table Storage are asked for, counted on the Microsoft 365 stand-in and on Azurite."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

from benchmarks.isolated import Watch, isolated
from benchmarks.progress import Step

PEOPLE = 1000
MAILBOXES = 200
PER_LISTING = 999
PER_DELTA = 200
PER_CALL = 20


def measure(step: Step) -> dict[str, Any]:
    """All cases in one history of one tenant."""
    from local.azurite import Azurite

    step.say(f"a first sync, quiet nights, changes and a purge: {PEOPLE:,} people, {MAILBOXES} mailboxes")
    with Azurite() as storage:
        cases = isolated("benchmarks.budgets:history", storage=storage.connection_string, people=PEOPLE, mailboxes=MAILBOXES)
    for case, most in limits(PEOPLE, MAILBOXES).items():
        for name, limit in most.items():
            cases[case][name] = {"value": cases[case][name], "atMost": limit}
    return {"people": PEOPLE, "mailboxes": MAILBOXES, **cases}


def limits(people: int, mailboxes: int) -> dict[str, dict[str, float]]:
    """The most that each case may take."""
    calls = ceil(mailboxes / PER_CALL)
    audit = 1 + ceil(people / PER_DELTA)
    return {
        "firstSync": {
            "requestsPerMailbox": people + 2,
            "callsTouchingAMailbox": ceil(people / PER_CALL) + 2,
            "storagePerMailbox": 6,
        },
        "nothingChanged": {"requestsPerMailbox": 0, "mailboxCalls": 0},
        "firstAudit": {"requestsPerMailbox": audit, "mailboxCalls": audit * calls},
        "audit": {"requestsPerMailbox": 1, "mailboxCalls": calls, "storagePerMailbox": 5},
        "oneChanged": {"requestsPerMailbox": 1, "mailboxCalls": calls + 2, "storagePerMailbox": 5},
        "cacheLost": {
            "requestsPerMailbox": 1 + ceil(people / PER_LISTING),
            "mailboxCalls": (1 + ceil(people / PER_LISTING)) * calls,
        },
    }


async def history(storage: str, people: int, mailboxes: int) -> dict[str, Any]:
    """Night after night in one tenant; after each, what it took."""
    from benchmarks.installation import CLIENT, SECRET, SYNC, TENANT, Installation
    from benchmarks.people import directory, person_id
    from cloud.clock import SystemClock
    from cloud.tables import AzureTables
    from local.m365.service import Microsoft365, Settings
    from local.m365.tenant import App
    from local.m365.transport import Microsoft365Transport
    from sync_core.state.runs import Check

    cloud = Microsoft365(SystemClock(), settings=Settings(directory_delta_page=999))
    tenant = cloud.add_tenant(TENANT, "Example", App(CLIENT, SECRET.decode()))
    for user in directory(people, mailboxes):
        tenant.add_user(user, "ok" if user["assignedPlans"] else "none")
    tables = AzureTables(connection_string=storage)
    house = Installation(tables, transport=Microsoft365Transport(cloud))
    await house.make_tables()
    await house.connect()

    async def night(check: Check = Check.DUE, *, writes: int = 0) -> dict[str, Any]:
        cloud.counters.reset()
        before = Counter(tables.transactions)
        watch = Watch.start()
        run = await house.night(check=check)
        taken = watch.read()
        assert run.state == "succeeded", run
        counts = run.counts.created + run.counts.updated + run.counts.deleted
        assert counts == writes, run
        assert not cloud.counters.violations, cloud.counters.violations
        stored = Counter(tables.transactions) - before
        served = cloud.counters
        source = sum(count for template, count in served.templates.items() if "/users/delta" in template)
        return {
            "requestsPerMailbox": max(served.mailboxes.values(), default=0),
            "callsTouchingAMailbox": max(served.mailbox_calls.values(), default=0),
            "mailboxCalls": served.http_calls - source,
            "mailboxRequests": sum(served.mailboxes.values()),
            "sourceRequests": source,
            "storagePerMailbox": round(sum(stored.values()) / mailboxes, 2),
            "storageByTable": {
                table: round(sum(count for (name, _), count in stored.items() if name == table) / mailboxes, 2)
                for table in sorted({name for name, _ in stored})
            },
            "seconds": round(taken["seconds"], 1),
        }

    first = await night(writes=people * mailboxes)
    nothing = await night()
    first_audit = await night(Check.CHANGES)
    audit = await night(Check.CHANGES)
    tenant.change_user(person_id(0), {"jobTitle": "Chief Specialist"})
    changed = await night(writes=mailboxes)
    await house.context.purge(TENANT, SYNC)
    lost = await night(Check.CHANGES)
    await house.close()
    return {
        "firstSync": first,
        "nothingChanged": nothing,
        "firstAudit": first_audit,
        "audit": audit,
        "oneChanged": changed,
        "cacheLost": lost,
    }
