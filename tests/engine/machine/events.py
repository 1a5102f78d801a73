"""What may happen in a step of a history, and how often it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import strategies as st

FIRED: Counter[str] = Counter()
EVENTS: list[st.SearchStrategy[tuple[str, dict[str, Any]]]] = []

some = st.integers(0, 11)  # which person, contact or folder: modulo however many there are
chance = st.booleans()

Method = TypeVar("Method", bound=Callable[..., None])


def event(weight: int = 1, **values: st.SearchStrategy[Any]) -> Callable[[Method], Method]:
    """One of the things that may happen in a step, as likely as its weight. Rules of their own would be off in most histories."""

    def register(method: Method) -> Method:
        EVENTS.extend(st.tuples(st.just(method.__name__), st.fixed_dictionaries(values)) for _ in range(weight))
        return method

    return register
