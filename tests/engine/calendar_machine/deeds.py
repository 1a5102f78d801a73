"""What may happen in a step of a history, and how often it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

FIRED: Counter[str] = Counter()
DEEDS: list[st.SearchStrategy[tuple[str, dict[str, Any]]]] = []


def deed(weight: int = 1, **values: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One of the things that may happen in a step, as likely as its weight."""

    def register(method: Callable[..., None]) -> Callable[..., None]:
        DEEDS.extend(st.tuples(st.just(method.__name__), st.fixed_dictionaries(values)) for _ in range(weight))
        return method

    return register
