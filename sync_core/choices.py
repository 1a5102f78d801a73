"""What employees choose for their own mailbox, as far as the definition lets them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import blake2b

from sync_core.definition import SelfService


class Choice(StrEnum):
    """What becomes of a list in one mailbox. Stable: stored and shown."""

    ON = "on"
    PAUSED = "paused"  # what is there stays as it is
    OFF = "off"  # what is there goes, as it does from mailboxes that are targets no more


def choices_in(rules: SelfService) -> tuple[Choice, ...]:
    """What an employee may choose; with a single choice there is none. Who may pause a list may also do without it."""
    off = (Choice.OFF,) if rules.list != "required" or rules.pause else ()
    return (Choice.ON, *((Choice.PAUSED,) if rules.pause else ()), *off)


def effective(rules: SelfService, chosen: Choice | None) -> Choice:
    """What holds for a mailbox. A choice that the definition no longer allows is as good as none."""
    if chosen is not None and chosen in choices_in(rules):
        return chosen
    return Choice.OFF if rules.list == "opt_in" else Choice.ON


def wishes(rules: SelfService, targets: Iterable[str], chosen: Mapping[str, Choice]) -> dict[str, Choice]:
    """What holds for each target."""
    return {mailbox: effective(rules, chosen.get(mailbox)) for mailbox in targets}


def digest(chosen: Mapping[str, Choice]) -> str:
    """Names all choices of a sync."""
    lines = "\n".join(f"{mailbox}={choice}" for mailbox, choice in sorted(chosen.items()))
    return blake2b(lines.encode(), digest_size=8).hexdigest()
