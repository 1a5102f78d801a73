"""Playing many histories, and saying what happened in them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def play(machine: type[RuleBasedStateMachine], *, histories: int, otherwise: int) -> None:
    """Play so many histories, others every time; with 0 those that are always the same."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories or otherwise,
            stateful_step_count=10,
            derandomize=not histories,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def check_fired(fired: Counter[str], wanted: Collection[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Print how often everything happened; fail when something of `wanted` never did."""
    if not fired["histories"]:
        pytest.skip("no history was played")
    with capsys.disabled():
        sys.stdout.write("\n" + "  ".join(f"{name}: {count}" for name, count in sorted(fired.items())) + "\n")
    missing = sorted(name for name in wanted if not fired[name])
    assert not missing, f"never fired: {missing}"
