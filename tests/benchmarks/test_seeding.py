"""Storage that was laid down reads as if it had been written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.seeding import lay_down
from cloud.tables import AzureTables
from local.azurite import Azurite
from local.memory import MemoryTables
from sync_core.ports import Compare, Put, Replace, Row

VALUES: Row = {
    "Text": "Łucja",
    "Flag": True,
    "Number": 2**40,
    "Share": 0.5,
    "At": datetime(2026, 11, 2, 3, 4, 5, 678901, UTC),
    "Bytes": bytes(range(256)),
}


async def test_what_is_laid_down_is_found_filtered_and_replaced(tmp_path: Path) -> None:
    memory = MemoryTables()
    for number in (2, 10, 1):
        await memory.commit("replicas", "one:people", [Put(f"row{number}", {**VALUES, "Place": number})])
    await memory.commit("syncs", "one", [Put("people", VALUES)])
    await lay_down(memory, ["replicas", "syncs", "runs"], tmp_path)
    with Azurite(tmp_path) as storage:
        tables = AzureTables(connection_string=storage.connection_string)
        for table in ("replicas", "syncs", "runs"):
            laid = [(row.partition, row.row, row.values) async for row in memory.scan(table)]
            assert [(row.partition, row.row, row.values) async for row in tables.scan(table)] == laid
        later = [row async for row in tables.query("replicas", "one:people", where=Compare("Place", "ge", 2))]
        assert [row.row for row in later] == ["row10", "row2"]
        await tables.commit(
            "replicas", "one:people", [Replace("row2", {"Text": "new"}, later[1].etag), Put("row3", {"Text": "more"})]
        )
        assert [row.row async for row in tables.query("replicas", "one:people")] == ["row1", "row10", "row2", "row3"]
        await tables.close()
