"""The whole engine against whatever may happen: afterwards every mailbox is right and nothing foreign was touched.

Runs 500 histories, always the same ones. ROLLCALL_HISTORIES=20000 runs that many others.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from local.m365.faults import FaultKind
from tests.engine import oracle
from tests.engine.machine.ending import Ending
from tests.engine.machine.events import EVENTS, FIRED, chance, some
from tests.engine.machine.fault_acts import FaultActs
from tests.engine.machine.faults import FAULTS
from tests.engine.machine.history import CHOICES, SECOND
from tests.engine.machine.playing import check_fired, play
from tests.engine.world import SYNC

HISTORIES = int(os.environ.get("ROLLCALL_HISTORIES", "0"))

begun = st.one_of(st.just({}), st.fixed_dictionaries({name: st.sampled_from(values) for name, values in CHOICES.items()}))


class Engine(FaultActs, Ending):
    """One history: a beginning, steps, and an end at which everything is right."""

    fired = FIRED

    @rule(what=st.deferred(lambda: st.one_of(EVENTS)))
    def step(self, what: tuple[str, dict[str, Any]]) -> None:
        name, values = what
        getattr(self, name)(**values)

    @initialize(
        people=st.integers(2, 4),
        permanent=chance,
        second_site=chance,
        second_sync=st.sampled_from(["", "", "removes", "removes", "keeps"]),
        brakes=chance,
        calm=chance,
        in_default=st.sampled_from([False, False, False, True]),
        choices=begun,
        opening=st.one_of(st.none(), st.sampled_from(FAULTS)),
        number=some,
    )
    def begin(
        self,
        people: int,
        permanent: bool,
        second_site: bool,
        second_sync: str,
        brakes: bool,
        calm: bool,
        in_default: bool,
        choices: dict[str, dict[str, Any]],
        opening: FaultKind | None,
        number: int,
    ) -> None:
        self.prepare(permanent=permanent, second_site=second_site)
        self.syncs = [(site, sync) for site in self.sites for sync in ([SYNC, SECOND] if second_sync else [SYNC])]
        plain = {"brakes": {"percent": 20, "at_least": 2}} if brakes else {}
        chosen = {name: value for choice in choices.values() for name, value in choice.items()}
        self.keeps = second_sync == "keeps"  # the contacts in mailboxes that it leaves
        self.traits = {
            SECOND: {**plain, **({"targets": {"leavers": "keep"}} if self.keeps else {})},
            SYNC: {**plain, **chosen, **({"folder": None} if in_default else {})},
        }
        for hired in range(people):
            self.hire(number=4 * hired + 3, mailbox=True)
        self.do(self.connect(calm=calm))
        self.broken = False
        if opening is not None:  # what is left to steps alone happens rarely in some rounds, and some faults then never
            self.fault(kind=opening, times=3, number=number, half=False)

    def wrongs(self) -> list[str]:
        found = self.phones.wrongs()
        for user in oracle.reachable(self.tenant):
            if not self.keeps:
                found += self.phones.left_behind(user)
            for site, sync in self.syncs:
                definition = self.serving(user, site.installation, sync)
                sharing = self.sharing(user, site.installation, sync)
                FIRED["folder shared"] += bool(sharing)
                found += oracle.wrongs(
                    self.tenant,
                    user,
                    installation=site.installation,
                    sync=sync,
                    definition=definition,
                    sharing=sharing,
                    leeway=self.leeway,
                )
        return found


def test_whatever_happens_every_mailbox_is_right_in_the_end() -> None:
    play(Engine, histories=HISTORIES, otherwise=440)


def test_every_fault_fired(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {str(kind) for kind in FaultKind} | {"killed", "storage failed", "purged", "delivered twice", "consent revoked"}
    wanted |= {"cancelled a run", "undone", "folder shared"}
    check_fired(FIRED, wanted, capsys)
