"""What every implementation of Tables must do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from cloud.tables import AzureTables
from local.azurite import Azurite
from local.memory import MemoryTables
from sync_core.engine.scratch import Scratch
from sync_core.errors import ConflictError
from sync_core.ports import AllOf, AnyOf, Compare, Condition, Entity, Insert, Merge, Put, Remove, Replace, Scalar, Tables, Write
from sync_core.state.rows import grouped

# aiohttp warns of bodies above 1 MiB, which a transaction may have
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

AT = datetime(2026, 11, 22, 8, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture(params=["memory", "azure", "scratch"])
async def tables(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tables]:
    """Each with pages of 200 rows, so that few rows make several."""
    if request.param == "memory":
        yield MemoryTables(page_size=200)
        return
    if request.param == "scratch":
        yield Scratch(MemoryTables(page_size=200))
        return
    monkeypatch.setattr("cloud.tables.PAGE_SIZE", 200)
    azurite: Azurite = request.getfixturevalue("azurite")
    adapter = AzureTables(connection_string=azurite.connection_string)
    yield adapter
    await adapter.close()


@pytest.fixture
def table(unique: Callable[[str], str]) -> str:
    return unique("t")


async def rows(found: AsyncIterator[Entity]) -> list[str]:
    return [entity.row async for entity in found]


async def one(tables: Tables, table: str, row: str = "r") -> Entity:
    entity = await tables.get(table, "p", row)
    assert entity is not None
    return entity


async def test_a_missing_table_is_empty(tables: Tables, table: str) -> None:
    assert await tables.get(table, "p", "r") is None
    assert await rows(tables.query(table, "p")) == []
    assert await rows(tables.scan(table)) == []
    assert await tables.commit(table, "p", [Remove("r")]) == [""]
    assert await tables.commit(table, "p", [Remove("r"), Remove("s")]) == ["", ""]


async def test_values_come_back_as_they_were(tables: Tables, table: str) -> None:
    values: dict[str, Scalar] = {
        "Text": "Zoë Åkesson 山田 🙂 'quoted' \"and\" more",
        "Empty": "",
        "Small": 1,
        "Zero": 0,
        "Large": 2**63 - 1,
        "Least": -(2**63),
        "Edge": 2**31,
        "True": True,
        "False": False,
        "Half": 0.5,
        "Whole": 2.0,
        "Bytes": bytes(range(256)),
        "NoBytes": b"",
        "At": AT,
        "Whole2": AT.replace(microsecond=0),
    }
    [etag] = await tables.commit(table, "p", [Insert("r", values)])
    entity = await one(tables, table)
    assert entity == Entity("p", "r", values, etag)
    assert {name: type(value) for name, value in entity.values.items()} == {name: type(v) for name, v in values.items()}


async def test_none_is_absent_and_clears_what_was_there(tables: Tables, table: str) -> None:
    await tables.commit(table, "p", [Insert("r", {"A": 1, "B": None})])
    assert (await one(tables, table)).values == {"A": 1}
    await tables.commit(table, "p", [Put("r", {"A": None, "B": 2})])
    assert (await one(tables, table)).values == {"B": 2}


async def test_times_come_back_in_utc(tables: Tables, table: str) -> None:
    await tables.commit(table, "p", [Put("r", {"At": AT.astimezone(timezone(timedelta(hours=5, minutes=30)))})])
    at = (await one(tables, table)).values["At"]
    assert isinstance(at, datetime)
    assert at == AT
    assert at.tzinfo is UTC


@pytest.mark.parametrize(
    "values",
    [
        {"At": AT.replace(tzinfo=None)},
        {"N": 2**63},
        {"B": bytes(64 * 1024 + 1)},
        {"S": "x" * (32 * 1024 + 1)},
        {"Not valid": 1},
        {"PartitionKey": "x"},
        {f"P{n}": bytes(60_000) for n in range(18)},
    ],
    ids=["naive time", "65 bits", "65,537 bytes", "long text", "name", "reserved", "over 1 MiB"],
)
async def test_what_a_row_cannot_hold_is_refused_before_anything_is_written(
    tables: Tables, table: str, values: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"time zone|64 bits|bytes|property name"):
        await tables.commit(table, "p", [Insert("ok", {}), Insert("r", values)])  # type: ignore[arg-type]  # that is the point
    assert await rows(tables.query(table, "p")) == []


async def test_the_largest_values_fit(tables: Tables, table: str) -> None:
    values: dict[str, Scalar] = {f"P{n}": bytes(64 * 1024) for n in range(14)}
    values["S"] = "x" * (32 * 1024)
    await tables.commit(table, "p", [Insert("r", values)])
    assert (await one(tables, table)).values == values


@pytest.mark.parametrize("key", ["", "a/b", "a\\b", "a#b", "a?b", "a\nb", "é", "a b", "a'b", "x" * 513])
async def test_keys_with_other_characters_are_refused(tables: Tables, table: str, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        await tables.commit(table, "p", [Put(key, {})])
    with pytest.raises(ValueError, match="key"):
        await tables.commit(table, key, [Put("r", {})])
    with pytest.raises(ValueError, match="key"):
        await tables.get(table, "p", key)


async def test_rows_are_ordered_by_code_point_and_bounded(tables: Tables, table: str) -> None:
    keys = ["-", ".", "0", "10", "9", ":", "@", "A", "B", "Z", "_", "a", "a:1", "a:2", "a|1", "b", "x" * 512, "|", "~"]
    assert keys == sorted(keys)
    await tables.commit(table, "a:~@b|c._-", [Put(key, {"K": key}) for key in reversed(keys)])
    partition = "a:~@b|c._-"
    assert await rows(tables.query(table, partition)) == keys
    assert await rows(tables.query(table, partition, start="a", end="b")) == ["a", "a:1", "a:2", "a|1"]
    assert await rows(tables.query(table, partition, start="a:")) == keys[keys.index("a:1") :]
    assert await rows(tables.query(table, partition, end="A")) == keys[: keys.index("A")]
    assert await rows(tables.query(table, partition, start="b", end="a")) == []
    for key in keys:
        entity = await tables.get(table, partition, key)
        assert entity is not None
        assert entity.values == {"K": key}


async def test_select_brings_only_what_was_asked_for(tables: Tables, table: str) -> None:
    [etag] = await tables.commit(table, "p", [Put("r", {"A": 1, "B": b"x", "C": AT})])
    cases: list[tuple[tuple[str, ...] | None, dict[str, Scalar]]] = [
        (("A", "D"), {"A": 1}),
        ((), {}),
        (None, {"A": 1, "B": b"x", "C": AT}),
    ]
    for select, expected in cases:
        [entity] = [entity async for entity in tables.query(table, "p", select=select)]
        assert entity == Entity("p", "r", expected, etag)
        assert await tables.get(table, "p", "r", select=select) == entity


async def test_more_than_one_page(tables: Tables, table: str) -> None:
    for partition, count in [("p", 250), ("q", 180)]:
        for group in grouped(Put(f"{n:05d}", {"N": n}) for n in range(count)):
            await tables.commit(table, partition, group)
    assert await rows(tables.query(table, "p")) == [f"{n:05d}" for n in range(250)]
    assert await rows(tables.query(table, "p", where=Compare("N", "ge", 245))) == [f"{n:05d}" for n in range(245, 250)]
    everything = [(entity.partition, entity.row) async for entity in tables.scan(table, select=())]
    assert everything == [("p", f"{n:05d}") for n in range(250)] + [("q", f"{n:05d}") for n in range(180)]
    assert len(await rows(tables.scan(table, limit=220))) == 220
    seen = []
    async for entity in tables.query(table, "p"):  # deleting behind oneself is how purges work
        seen.append(entity.row)
        if len(seen) % 20 == 0:
            await tables.commit(table, "p", [Remove(row) for row in seen[-20:]])
    assert len(seen) == 250
    assert len(await rows(tables.query(table, "p"))) == 10


async def test_scans_are_bounded_by_partition(tables: Tables, table: str) -> None:
    for partition in ["a", "a:1", "a:2", "ab", "b:1"]:
        await tables.commit(table, partition, [Put("r", {"P": partition})])

    async def partitions(start: str, end: str, limit: int | None = None) -> list[str]:
        return [e.partition async for e in tables.scan(table, partitions_from=start, partitions_to=end, limit=limit)]

    assert await partitions("", "") == ["a", "a:1", "a:2", "ab", "b:1"]
    assert await partitions("a:", "a;") == ["a:1", "a:2"]
    assert await partitions("a;", "") == ["ab", "b:1"]
    assert await partitions("a;", "", 1) == ["ab"]
    assert await rows(tables.scan(table, partitions_from="a:", where=Compare("P", "eq", "b:1"))) == ["r"]


CONDITIONS: list[tuple[Condition, str]] = [
    (Compare("S", "eq", "b"), "2"),
    (Compare("S", "ne", "b"), "13"),
    (Compare("S", "gt", "a"), "23"),
    (Compare("S", "eq", "it's @p0 or 1 eq 1"), "3"),
    (Compare("S", "eq", ""), ""),
    (Compare("N", "eq", 1), "1"),
    (Compare("N", "ne", 1), "23"),
    (Compare("N", "lt", 2**31), "1"),
    (Compare("N", "ge", 2**31), "23"),
    (Compare("N", "eq", 2**62), "3"),
    (Compare("N", "gt", -1), "123"),
    (Compare("F", "eq", True), "1"),
    (Compare("F", "ne", True), "2"),
    (Compare("F", "eq", False), "2"),
    (Compare("F", "ne", False), "1"),
    (Compare("At", "lt", AT), "1"),
    (Compare("At", "le", AT), "12"),
    (Compare("At", "eq", AT), "2"),
    (Compare("At", "ne", AT), "1"),
    (Compare("At", "gt", AT - timedelta(milliseconds=1)), "2"),
    (AllOf((Compare("S", "ge", "a"), Compare("F", "eq", True))), "1"),
    (AnyOf((Compare("S", "eq", "a"), Compare("N", "gt", 2**40))), "13"),
    (AnyOf((AllOf((Compare("N", "eq", 1), Compare("F", "eq", False))), Compare("At", "eq", AT))), "2"),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=str)
async def test_conditions(tables: Tables, table: str, condition: Condition, expected: str) -> None:
    await tables.commit(
        table,
        "p",
        [
            Put("1", {"S": "a", "N": 1, "F": True, "At": AT - timedelta(days=1)}),
            Put("2", {"S": "b", "N": 2**31, "F": False, "At": AT}),
            Put("3", {"S": "it's @p0 or 1 eq 1", "N": 2**62}),
            Put("4", {"Other": 1}),
        ],
    )
    assert "".join(await rows(tables.query(table, "p", where=condition))) == expected
    assert "".join(await rows(tables.scan(table, where=condition, select=["S"]))) == expected


@pytest.mark.parametrize(
    "condition",
    [Compare("S eq 'a' or S", "eq", "b"), Compare("F", "lt", True), AllOf(()), Compare("At", "lt", AT.replace(tzinfo=None))],
    ids=["name", "order of truth", "nothing", "naive time"],
)
async def test_odd_conditions_are_refused(tables: Tables, table: str, condition: Condition) -> None:
    with pytest.raises(ValueError, match=r"property name|no order|nothing|time zone"):
        await rows(tables.query(table, "p", where=condition))
    with pytest.raises(ValueError, match=r"property name|no order|nothing|time zone"):
        await rows(tables.scan(table, where=condition))


@pytest.mark.parametrize("others", [[], [Put("other", {"A": 1}), Remove("old")]], ids=["alone", "with others"])
async def test_conflicts_leave_everything_as_it_was(tables: Tables, table: str, others: list[Put | Remove]) -> None:
    [first, _] = await tables.commit(table, "p", [Insert("r", {"A": 1}), Put("old", {})])
    [etag] = await tables.commit(table, "p", [Replace("r", {"A": 2}, first)])
    wrong: list[Write] = [Insert("r", {"A": 3}), Replace("r", {"A": 3}, first), Replace("missing", {"A": 3}, first)]
    for write in wrong:
        with pytest.raises(ConflictError):
            await tables.commit(table, "p", [*others, write])
        assert await rows(tables.query(table, "p")) == ["old", "r"]
    assert (await one(tables, table)).values == {"A": 2}
    assert (await one(tables, table)).etag == etag


async def test_etags_from_every_side_are_the_same(tables: Tables, table: str) -> None:
    etags = await tables.commit(table, "p", [Put("a", {}), Insert("b", {}), Remove("c")])
    assert etags[2] == ""
    assert [entity.etag async for entity in tables.query(table, "p")] == etags[:2]
    for row, etag in zip("ab", etags, strict=False):
        assert (await one(tables, table, row)).etag == etag
        [replaced] = await tables.commit(table, "p", [Replace(row, {"A": 1}, etag)])
        assert (await one(tables, table, row)).etag == replaced != etag


async def test_replace_replaces_all_of_a_row(tables: Tables, table: str) -> None:
    [etag] = await tables.commit(table, "p", [Insert("r", {"A": 1, "B": 2})])
    [etag] = await tables.commit(table, "p", [Replace("r", {"B": 3}, etag)])
    assert (await one(tables, table)).values == {"B": 3}
    etags = await tables.commit(table, "p", [Replace("r", {"C": 3}, etag), Put("s", {})])
    assert (await one(tables, table)) == Entity("p", "r", {"C": 3}, etags[0])


@pytest.mark.parametrize("others", [[], [Put("other", {"A": 1})]], ids=["alone", "with others"])
async def test_a_merge_leaves_a_rows_other_values_as_they_are(tables: Tables, table: str, others: list[Put]) -> None:
    [first] = await tables.commit(table, "p", [Insert("r", {"A": 1, "B": b"2", "C": AT})])
    [etag, *_] = await tables.commit(table, "p", [Merge("r", {"B": b"", "C": None, "D": 4}), *others])
    assert await one(tables, table) == Entity("p", "r", {"A": 1, "B": b"", "C": AT, "D": 4}, etag)
    with pytest.raises(ConflictError):
        await tables.commit(table, "p", [*others, Replace("r", {}, first)])
    [etag, *_] = await tables.commit(table, "p", [Merge("new", {"A": 1}), *others])
    assert await one(tables, table, "new") == Entity("p", "new", {"A": 1}, etag)


async def test_removing_what_is_missing_is_no_error(tables: Tables, table: str) -> None:
    await tables.commit(table, "p", [Put("b", {}), Put("d", {})])
    etags = await tables.commit(table, "p", [Remove("a"), Put("new", {}), Remove("b"), Remove("c"), Remove("e"), Insert("f", {})])
    assert await rows(tables.query(table, "p")) == ["d", "f", "new"]
    assert [bool(etag) for etag in etags] == [False, True, False, False, False, True]
    assert await tables.commit(table, "p", [Remove("x")]) == [""]
    assert await tables.commit(table, "p", [Remove("x"), Remove("y")]) == ["", ""]
    with pytest.raises(ConflictError):
        await tables.commit(table, "p", [Remove("x"), Insert("d", {})])


async def test_a_transaction_has_its_limits(tables: Tables, table: str) -> None:
    assert len(await tables.commit(table, "p", [Put(f"{n}", {}) for n in range(100)])) == 100
    wrong: list[list[Write]] = [[], [Put(f"x{n}", {}) for n in range(101)], [Put("x", {}), Remove("x")]]
    for writes in wrong:
        with pytest.raises(ValueError, match="transaction"):
            await tables.commit(table, "p", writes)
    large = [Put(f"x{n}", {f"P{part}": bytes(60_000) for part in range(12)}) for n in range(5)]
    with pytest.raises(ValueError, match="4 MiB"):
        await tables.commit(table, "p", large)
    assert len(await rows(tables.query(table, "p", start="x"))) == 0
    for group in grouped(large):
        await tables.commit(table, "p", group)
    assert len(await rows(tables.query(table, "p", start="x", select=()))) == 5


async def test_of_concurrent_conditional_writes_exactly_one_wins(tables: Tables, table: str) -> None:
    async def attempt(write: Insert | Replace) -> bool:
        try:
            await tables.commit(table, "p", [write])
        except ConflictError:
            return False
        return True

    inserted = await asyncio.gather(*(attempt(Insert("r", {"N": n})) for n in range(10)))
    assert sum(inserted) == 1
    etag = (await one(tables, table)).etag
    replaced = await asyncio.gather(*(attempt(Replace("r", {"N": 100 + n}, etag)) for n in range(10)))
    assert sum(replaced) == 1
    assert (await one(tables, table)).values == {"N": 100 + replaced.index(True)}


async def test_two_first_writers_of_a_table_both_succeed(tables: Tables, table: str) -> None:
    await asyncio.gather(*(tables.commit(table, "p", [Insert(f"{n}", {})]) for n in range(5)))
    assert len(await rows(tables.query(table, "p"))) == 5
