from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_core.buckets import bucket_count, bucket_of, combined, digest

entries = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=8)


def test_a_key_stays_in_its_bucket() -> None:
    """Stored ledgers rest on these values."""
    assert [bucket_of("u:11111111-aaaa-4aaa-8aaa-111111111111", count) for count in (1, 2, 4, 1024)] == [0, 1, 3, 395]
    assert bucket_of("ü", 256) == 213


@given(st.text(), st.integers(0, 12))
def test_doubling_the_count_splits_a_bucket_in_two(key: str, power: int) -> None:
    count = 2**power
    assert 0 <= bucket_of(key, count) < count
    assert bucket_of(key, count * 2) % count == bucket_of(key, count)


@pytest.mark.parametrize(("items", "count"), [(0, 1), (1, 1), (300, 1), (301, 2), (600, 2), (601, 4), (1_000, 4), (100_000, 512)])
def test_the_first_count(items: int, count: int) -> None:
    assert bucket_count(items, None) == count


@pytest.mark.parametrize(
    ("items", "current", "count"),
    [
        (0, 1, 1),
        (400, 1, 1),
        (401, 1, 2),
        (800, 2, 2),
        (801, 2, 4),
        (200, 2, 2),
        (199, 2, 1),
        (400, 4, 4),
        (399, 4, 2),
        (0, 9, 1),
    ],
)
def test_a_count_stays_while_it_serves(items: int, current: int, count: int) -> None:
    assert bucket_count(items, current) == count


@given(st.integers(0, 200_000), st.integers(0, 10))
def test_counts_are_powers_of_two_and_settle(items: int, power: int) -> None:
    for current in (None, 2**power):
        count = bucket_count(items, current)
        assert count & (count - 1) == 0
        assert items <= count * 400
        assert count == 1 or items >= count * 100
        assert bucket_count(items, count) == count
        # a night's coming and going does not move anything
        fresh = bucket_count(items, None)
        assert bucket_count(items + items // 10, fresh) == fresh
        assert bucket_count(items - items // 10, fresh) == fresh


def test_no_bucket_comes_near_its_limit() -> None:
    count = 128
    sizes = Counter(bucket_of(f"u:{number * 2654435761:036x}", count) for number in range(count * 400))
    assert len(sizes) == count
    assert max(sizes.values()) <= 500


@given(entries, st.randoms())
def test_a_digest_says_what_is_there_and_not_in_which_order(page: dict[str, str], random: object) -> None:
    shuffled = sorted(page.items(), key=lambda _entry: random.random())  # type: ignore[attr-defined]  # hypothesis hands out a Random
    assert digest(shuffled) == digest(page.items())
    assert len(digest(shuffled)) == 16


@given(entries, entries)
def test_different_pages_have_different_digests(one: dict[str, str], other: dict[str, str]) -> None:
    assert (digest(one.items()) == digest(other.items())) == (one == other)


def test_digests_do_not_run_together() -> None:
    assert digest([("a", "bc")]) != digest([("ab", "c")])
    assert digest([("a", "b"), ("c", "d")]) != digest([("a", "b")])
    assert combined(["ab", "c"]) != combined(["a", "bc"])


def test_digests_stay_the_same_over_releases() -> None:
    """Stored rows rest on these values."""
    assert digest([]) == "e4a6a0577479b2b4"
    assert digest([("b", "2"), ("a", "1")]) == "2eb8df0e806cc667"
    assert combined(["aa", "bb"]) == "1d08bd168f3a00543c404022"


digests = st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), max_size=4)


@given(digests, digests)
def test_the_combined_digest_minds_the_pages_and_their_order(one: list[str], other: list[str]) -> None:
    assert (combined(one) == combined(other)) == (one == other)
    assert len(combined(one)) == 24
