"""What changed in a set of objects since a point in time: the ground under every delta query."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Generic, TypeVar

Key = TypeVar("Key", str, int)
_SEQUENCE = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Change(Generic[Key]):
    """One object that changed. `names` are its changed properties; None: all of it (created, removed, restored)."""

    sequence: int
    key: Key
    names: frozenset[str] | None


class ChangeLog(Generic[Key]):
    """The order in which objects last changed."""

    def __init__(self) -> None:
        self.sequence = 0
        self._entries: list[tuple[int, Key]] = []
        self._whole: dict[Key, int] = {}
        self._named: dict[Key, dict[str, int]] = {}
        self._hidden: set[int] = set()

    def note(self, key: Key, names: frozenset[str] | None = None, *, missed: bool = False) -> None:
        """An object changed. A change that is `missed` shows only to who reads everything from the start."""
        if missed and key in self._whole:
            return
        self.sequence += 1
        if missed:
            self._hidden.add(self.sequence)
        self._entries.append((self.sequence, key))
        if names is None or key not in self._whole:
            self._whole[key] = self.sequence
        else:
            self._named.setdefault(key, {}).update(dict.fromkeys(names, self.sequence))
        if len(self._entries) > 4 * len(self._whole) + 1000:
            self._compact()

    def since(self, position: int, base: int, watched: frozenset[str] | None, *, full: bool) -> Iterator[Change[Key]]:
        """Changes after `position`, each object once, at its last place. `base` is where the round began.

        With `watched`, changes of other properties do not count.
        """
        for index in range(bisect_right(self._entries, position, key=_SEQUENCE), len(self._entries)):
            sequence, key = self._entries[index]
            if sequence in self._hidden and not (full and sequence <= base):
                continue
            whole = self._whole[key]
            named = self._named.get(key)
            if named is None:
                if sequence == whole:
                    yield Change(sequence, key, None)
                continue
            relevant = {name: at for name, at in named.items() if watched is None or name in watched}
            if sequence == max(whole, *relevant.values()) if relevant else sequence == whole:
                names = None if full or whole > base else frozenset(name for name, at in relevant.items() if at > base)
                yield Change(sequence, key, names)

    def _compact(self) -> None:
        def current(entry: tuple[int, Key]) -> bool:
            sequence, key = entry
            return sequence == self._whole[key] or sequence in self._named.get(key, {}).values()

        self._entries = [entry for entry in self._entries if current(entry)]
