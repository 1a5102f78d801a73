"""What the commands have in common: progress while mailboxes are visited, an account at the end, an exit status."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TypeVar

from sync_core.engine.walk import Visit
from sync_core.errors import RollcallError

T = TypeVar("T")

_EVERY = 100  # mailboxes between two lines of progress


def run(work: Callable[[], Coroutine[None, None, bool]]) -> int:
    """Run a command. 0: done; 1: some mailboxes could not be served, repeat it; 2: it could not be done at all."""
    try:
        return 0 if asyncio.run(work()) else 1
    except RollcallError as error:
        say(f"{type(error).__name__}: {error}")
        return 2


def say(line: str) -> None:
    """A line for the person who waits."""
    sys.stderr.write(f"{line}\n")


def report(lines: list[str]) -> None:
    """The result."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


async def total(visits: AsyncIterator[Visit[T]], count: Callable[[T], dict[str, int]]) -> tuple[Counter[str], list[Visit[T]]]:
    """The sum of what `count` says of each mailbox, "mailboxes" among it, and the visits that are worth repeating."""
    sums: Counter[str] = Counter()
    failed: list[Visit[T]] = []
    seen = 0
    async for visit in visits:
        seen += 1
        if visit.outcome is not None:
            sums.update({"mailboxes": 1, **count(visit.outcome)})
        elif visit.worth_repeating:
            failed.append(visit)
        if seen % _EVERY == 0:
            say(f"{seen} users looked at, {sums['mailboxes']} mailboxes served")
    return sums, failed


def account(sums: Counter[str], names: dict[str, str], failed: list[Visit[T]]) -> list[str]:
    """The sums in words, then the ids of the mailboxes to repeat."""
    lines = [f"{sums[name]:>9,} {words}" for name, words in names.items()]
    if failed:
        lines.append(f"{len(failed):>9,} mailboxes could not be served; repeat the command once the cause is gone:")
        lines += [f"  {visit.mailbox} {visit.problem}" for visit in failed]
    return lines
