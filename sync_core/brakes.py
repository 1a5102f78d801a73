"""Brakes: when a run should stop and ask a person, because what it is about to do looks like an accident.

They compare counts only. `percent` and `at_least` must both be reached: a share alone would stop every change in a small company,
a number alone every ordinary month in a large one. Where nothing was before, nothing can be lost: first runs are exempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sync_core.model import MailboxResult

_ALIKE_PERCENT = 20
_ALIKE_AT_LEAST = 3
"""Two mailboxes that fail alike are a coincidence: a share alone would hold every run of a tenant with five targets."""

_FAILURES = ("set_aside", "held", "failed")


def drop(before: int, after: int, *, percent: int, at_least: int) -> bool:
    """Whether a source or the targets shrank from `before` (as last applied) to `after` by more than can be meant.

    Down to nothing is always too much, however small the company.
    """
    return before > after == 0 or deletions(before - after, before, percent=percent, at_least=at_least)


def deletions(count: int, held: int, *, percent: int, at_least: int) -> bool:
    """Whether `count` deletions are too many for a mailbox that holds `held` items of ours."""
    return held > 0 and count >= at_least and count * 100 > held * percent


def failures_alike(results: Iterable[MailboxResult], targets: int) -> str | None:
    """The reason for which more than 20 % of a run's `targets`, and at least three, failed alike; None when there is none.

    Leave out mailboxes that were set aside before this run: what is known is no alarm.
    """
    reasons = Counter(result.reason for result in failed(results))
    alike = (reason for reason, count in reasons.most_common() if may_be_alike(count, targets))
    return next(alike, None)


def failed(results: Iterable[MailboxResult]) -> list[MailboxResult]:
    """Those that count as failures."""
    return [result for result in results if result.outcome in _FAILURES and result.reason]


def may_be_alike(failures: int, targets: int) -> bool:
    """Whether so many failures are too many, should all have the same reason."""
    return failures >= _ALIKE_AT_LEAST and failures * 100 > targets * _ALIKE_PERCENT
