from __future__ import annotations

import pytest

from sync_core.brakes import deletions, drop, failures_alike
from sync_core.model import MailboxResult


@pytest.mark.parametrize(
    ("before", "after", "held"),
    [
        (0, 0, False),
        (0, 1000, False),  # a first run
        (100, 100, False),
        (100, 150, False),
        (100, 80, False),  # twenty percent exactly
        (100, 79, True),
        (1000, 990, False),  # many, but not a large share
        (1000, 799, True),
        (10, 1, False),  # a large share, but not many
        (10, 0, True),
        (3, 0, True),  # nothing left is never ordinary
        (1, 0, True),
        (2, 1, False),
        (49, 39, True),
        (50, 40, False),
        (50, 39, True),
    ],
)
def test_drop(before: int, after: int, held: bool) -> None:
    assert drop(before, after, percent=20, at_least=10) is held


@pytest.mark.parametrize(
    ("count", "of", "percent", "at_least", "held"),
    [
        (0, 100, 1, 1, False),
        (1, 100, 1, 1, False),
        (2, 100, 1, 1, True),
        (2, 100, 1, 2, True),
        (2, 100, 1, 3, False),
        (51, 100, 50, 1, True),
        (50, 100, 50, 1, False),
        (100, 100, 100, 1, False),
        (5, 0, 20, 1, False),
        (5, 1, 20, 1, True),
    ],
)
def test_deletions(count: int, of: int, percent: int, at_least: int, held: bool) -> None:
    assert deletions(count, of, percent=percent, at_least=at_least) is held


def results(outcome: str, reason: str, count: int) -> list[MailboxResult]:
    return [MailboxResult(f"{reason}-{number}", outcome, reason) for number in range(count)]


@pytest.mark.parametrize(
    ("given", "targets", "reason"),
    [
        ([], 10, None),
        (results("set_aside", "refused", 3), 14, "refused"),
        (results("set_aside", "refused", 3), 15, None),  # twenty percent exactly
        (results("set_aside", "refused", 2), 2, None),  # a coincidence
        (results("failed", "internal_error", 3), 3, "internal_error"),
        (results("held", "deletions_held", 3), 3, "deletions_held"),
        (results("done", "refused", 30), 30, None),
        (results("removed", "mailbox_gone", 30), 30, None),
        (results("failed", "", 30), 30, None),
        (results("set_aside", "no_mailbox", 3) + results("failed", "refused", 2), 20, None),  # not alike
        (results("set_aside", "no_mailbox", 3) + results("failed", "refused", 5), 20, "refused"),
        (results("set_aside", "no_mailbox", 3) + results("failed", "refused", 4), 10, "refused"),
        (results("set_aside", "refused", 2) + results("failed", "refused", 3), 20, "refused"),
    ],
)
def test_failures_alike(given: list[MailboxResult], targets: int, reason: str | None) -> None:
    assert failures_alike(given, targets) == reason
