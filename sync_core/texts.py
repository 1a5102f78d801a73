"""Text as it is written into mailboxes and as it is compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 255
"""UTF-16 units of one value. Graph documents no limit (microsoft-graph-docs-contrib issue 3685); 255 is a common one in MAPI."""

_UTF_16 = "utf-16-le"

# Control characters, line and paragraph separators, and what is no character at all: Graph refuses bodies with some of them
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def line(value: str | None, longest: int = LONGEST) -> str | None:
    """One line of printable text in NFC, cut at the limit (UTF-16 units); None when nothing is left."""
    if not value:
        return None
    if not (value.isascii() and value.isprintable()):
        value = unicodedata.normalize("NFC", _UNPRINTABLE.sub(" ", value))
    value = " ".join(value.split())
    if len(value) * 2 > longest:  # pragma: no mutate (only saves time)
        value = value.encode(_UTF_16)[: longest * 2].decode(_UTF_16, "ignore").rstrip()
    return value or None


def canonical(value: str | None) -> str:
    """Text as it is compared: Unicode NFC, white space at the ends gone and any other run of it one space."""
    if not value:
        return ""
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    return " ".join(value.split())


def joined(parts: Iterable[str]) -> bytes:
    """Several texts as bytes to compare."""
    # A user's own text may hold half of a surrogate pair
    return "\n".join(parts).rstrip().encode(errors="surrogatepass")
