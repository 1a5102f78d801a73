"""Items and ledger entries are spread over numbered pages by a hash of their key.

Page p of a snapshot and bucket p of a ledger cover the same keys as long as both have the same count, so a mailbox whose bucket
digest equals the page's digest need not be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from zlib import crc32

_FULL_WHEN_NEW = 300
_FULL = 400  # on average: buckets vary by about the root of that, so that 500 lies five deviations away
_SPARSE = 100


def bucket_of(key: str, count: int) -> int:
    """The bucket of a key, 0 <= bucket < count. `count` is a power of two."""
    return crc32(key.encode()) & (count - 1)


def bucket_count(items: int, current: int | None) -> int:
    """How many buckets `items` should have: a power of two, with 150 to 300 items in each on average.

    A `current` count stays while it gives 100 to 400, so that a number of items that hovers at a limit does not move everything
    every night.
    """
    if current is not None and items <= current * _FULL and (current == 1 or items >= current * _SPARSE):
        return current
    needed = -(-items // _FULL_WHEN_NEW)
    return 1 << max(needed - 1, 0).bit_length()


def digest(entries: Iterable[tuple[str, str]], policies: str = "") -> str:
    """What a page of (key, fingerprint) pairs holds, in whatever order they come, and the policies it is applied under."""
    lines = sorted(f"{key}\0{fingerprint}\n" for key, fingerprint in entries)
    return blake2b((policies + "".join(lines)).encode(), digest_size=8).hexdigest()


def combined(digests: Sequence[str]) -> str:
    """What all pages hold: the digest of their digests, in the order of the pages."""
    return blake2b(",".join(digests).encode(), digest_size=12).hexdigest()
