"""What goes wrong."""

from __future__ import annotations

from hypothesis import strategies as st

from local.m365.faults import FaultKind
from tests.engine.hazards import Fuse
from tests.engine.machine.events import FIRED, chance, event, some
from tests.engine.machine.faults import FAULTS, fault_of
from tests.engine.machine.history import MOST_PEOPLE
from tests.engine.machine.phone_acts import PhoneActs
from tests.engine.machine.second_thoughts import SecondThoughts


class FaultActs(SecondThoughts, PhoneActs):
    """Faults, each in a night with something to do."""

    @event(
        5,
        kind=st.sampled_from(FAULTS),
        times=st.integers(1, 5),
        number=some,
        half=chance,
    )
    def fault(self, kind: FaultKind, times: int, number: int, half: bool) -> None:
        """Something goes wrong in Microsoft 365 from now on, a few times."""
        creates, changes = r"/contact(s|Folders)$", r"/contacts/"
        fault = fault_of(kind, times=times, number=number, half=half, creates=creates, changes=changes)
        if kind is FaultKind.MISSED:
            self.blind = True
        elif kind is FaultKind.DELETE_NOT_FOUND:  # there must be something to delete
            for _ in range(MOST_PEOPLE):
                self.stir(0)
            self.carry_on(20)
        self.cloud.faults.add(fault)
        self.night(number, many=number % 3 > 0)

    @event(3, after=st.integers(1, 60), where=st.sampled_from(["", "storage", "during network", "after network", "queue"]))
    def kill(self, after: int, where: str) -> None:
        """A worker will die."""
        # a night has few requests and messages, and many operations of storage
        self.hazards.fuses.append(Fuse(self.hazards.kill, after if where in ("", "storage") else 1 + after % 5, where))
        self.night(after, many=after % 3 > 0)

    @event(2, after=st.integers(1, 40), act=st.sampled_from(["storage", "purge"]), which=some)
    def mishap(self, after: int, act: str, which: int) -> None:
        """Storage will fail, or somebody will empty the caches, at some moment."""
        site = self.sync(which)[0]
        self.hazards.fuses.append(Fuse(*((self.hazards.fail, after, "storage") if act == "storage" else (site.purge, after, ""))))
        self.night(which, many=after % 3 > 0)

    @event(
        2,
        after=st.integers(1, 30),
        who=some,
        which=some,
        where=some,
        act=st.sampled_from(["edit", "delete", "move", "copy here", "copy"]),
    )
    def busy_phone(self, after: int, who: int, which: int, where: int, act: str) -> None:
        """A user will do something in the middle of a run."""

        async def act_now() -> None:
            self.phone(who=who, which=which, where=where, act=act, busy=True)

        self.hazards.fuses.append(Fuse(act_now, after, "network"))
        self.night(which, many=True)

    @event(which=some)
    def purge(self, which: int) -> None:
        self.do(self.sync(which)[0].purge())

    @event(revoked=chance)
    def consent(self, revoked: bool) -> None:
        self.tenant.app.consent = "revoked" if revoked else "granted"
        FIRED["consent revoked"] += revoked
