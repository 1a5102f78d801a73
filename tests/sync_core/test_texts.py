from __future__ import annotations

import pytest
from hypothesis import given

from sync_core.texts import LONGEST, canonical, joined, line
from tests.sync_core.people import odd_text


@pytest.mark.parametrize(
    ("value", "longest", "written"),
    [
        ("Ann  Lee\t", LONGEST, "Ann Lee"),
        ("Ann\r\nLee\0", LONGEST, "Ann Lee"),
        ("A\u030angstro\u0308m", LONGEST, "Ångström"),
        ("Ann Lee", 4, "Ann"),  # a space at the cut goes, too
        ("Ann 🦊", 5, "Ann"),  # and so does half a character
        ("Ann 🦊", 6, "Ann 🦊"),
        ("🦊", 1, None),
        ("x" * 300, LONGEST, "x" * 255),
        (" ", LONGEST, None),
        ("", LONGEST, None),
        (None, LONGEST, None),
    ],
)
def test_one_line_of_printable_text(value: str | None, longest: int, written: str | None) -> None:
    assert line(value, longest) == written


@given(odd_text)
def test_what_was_written_is_written_the_same_again(value: str) -> None:
    once = line(value)
    assert line(once) == once
    assert canonical(once) == (once or "")


def test_texts_joined_to_be_compared() -> None:
    assert joined(["", "Ann", "", ""]) == b"\nAnn"
    assert joined([]) == joined(["", ""]) == b""
    assert joined(["\ud83e"]) != joined(["\ud83f"])
