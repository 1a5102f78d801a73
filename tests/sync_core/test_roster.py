from __future__ import annotations

import msgspec
import pytest

from sync_core.roster import Entry, Made, Roster, decoded, encoded


def test_a_roster_is_read_back() -> None:
    roster = Roster("r", {"users": {"d": [Entry("u:1", "a", "b", 5)], "e": []}}, {"u:1": Made("a", True, False, ("1", None))})
    assert decoded(encoded(roster)) == roster


@pytest.mark.parametrize(
    "kept", [b"", b"\xc1", msgspec.msgpack.encode(["r", {}]), msgspec.msgpack.encode(["r", {"users": 1}, {}])]
)
def test_what_is_no_roster_is_nothing_to_go_by(kept: bytes) -> None:
    assert decoded(kept) is None
