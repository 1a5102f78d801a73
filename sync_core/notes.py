"""Our part of a contact's notes: a block between two lines of ours. Whatever stands around it is the user's.

A block whose first or last line the user has damaged is no block: it is left as it is, and a new one is put below.
"""

from __future__ import annotations

import re

_FIRST = "----- Company directory -----"
_LAST = "----- End of company directory -----"

# Phones and Outlook may turn line ends round and trim or pad lines
_BLOCK = re.compile(
    rf"^[ \t]*{_FIRST}[ \t]*\r?\n(?P<text>(?:(?!^[ \t]*{_FIRST}).)*?)\r?\n?^[ \t]*{_LAST}[ \t]*(?=\r?$)", re.MULTILINE | re.DOTALL
)


def block(text: str | None) -> str:
    """The text as our block; "" for none."""
    return f"{_FIRST}\r\n{text}\r\n{_LAST}" if text else ""


def block_text(notes: str | None) -> str:
    """What stands in our block; "" when there is none."""
    found = _BLOCK.search(notes) if notes else None
    return found["text"].strip() if found else ""


def with_block(notes: str | None, ours: str) -> str:
    """The notes with `ours` in place of our block, below everything else when there was none. "" takes the block out."""
    there = notes or ""
    found = _BLOCK.search(there)
    if found is None:
        return f"{there}\r\n\r\n{ours}" if there.strip() and ours else ours or there
    before, after = there[: found.start()], there[found.end() :]
    if ours:
        return before + ours + after
    return before.rstrip("\r\n") + after if before.strip() else after.lstrip("\r\n")
