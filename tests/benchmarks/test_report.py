"""What is said about costs is what was measured."""

from __future__ import annotations

import pytest

from benchmarks import __main__ as bench
from benchmarks import estimates, report, results


def test_the_page_is_made_of_the_kept_results() -> None:
    assert results.PAGE.read_text() == report.page(results.read()), "run: make bench"


def test_every_program_has_left_its_results() -> None:
    assert results.read().keys() == {"machine", "busyCores", *bench.PROGRAMS, "estimates"}


def test_the_hours_follow_from_the_counts() -> None:
    kept = results.read()
    assert kept["estimates"] == estimates.hours(kept["budgets"])


def test_what_was_measured_on_a_busy_machine_says_so() -> None:
    kept = results.read()
    quiet = report.page({**kept, "busyCores": dict.fromkeys(bench.PROGRAMS, 0.0)})
    busy = report.page({**kept, "busyCores": {**dict.fromkeys(bench.PROGRAMS, 0.0), "width": 1.5}})
    assert "busy" not in quiet
    assert "up to 1.5 cores busy: width." in busy


@pytest.mark.parametrize(
    ("measured", "holds"),
    [
        ({"value": 2, "atMost": 2}, True),
        ({"value": 2.1, "atMost": 2}, False),
        ({"value": 0.9, "atLeast": 0.9}, True),
        ({"value": 0.8, "atLeast": 0.9}, False),
        (7, None),
    ],
)
def test_limits(measured: object, holds: bool | None) -> None:
    ((path, _, _, held),) = results.leaves({"program": [{"number": measured}]})
    assert (path, held) == ("program[0].number", holds)


def test_nothing_of_the_machine_but_its_kind_is_kept() -> None:
    kept = results.FILE.read_text()
    assert "/" not in kept.replace("MB/s", "")
