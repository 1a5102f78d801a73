"""Lays tables held in memory down as the data of an emulator: row by row, a hundred thousand replicas would take it half an hour.

Azurite keeps its tables in a LokiJS database, one collection for each (https://github.com/techfort/LokiJS).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from local.memory import MemoryTables
from sync_core.ports import Entity, Scalar

_FILE = "__azurite_db_table__.json"
_ACCOUNT = "devstoreaccount1"
_WRITTEN = "2026-11-01T00:00:00.0000000Z"
_ETAG = "W/\"datetime'2026-11-01T00%3A00%3A00.0000000Z'\""


async def lay_down(tables: MemoryTables, names: Iterable[str], folder: Path) -> None:
    """Make `folder` (empty so far) the data folder of an emulator that holds these tables."""
    stored = {name: [_row(entity) async for entity in tables.scan(name)] for name in sorted(names)}
    registered = [{"account": _ACCOUNT, "table": name} for name in stored]
    collections = [
        _collection("$TABLES_COLLECTION$", registered, ("account", "table")),
        _collection("$SERVICES_COLLECTION$", [], (), unique=["accountName"]),
        *(_collection(f"{_ACCOUNT}${name}", rows, ("PartitionKey", "RowKey")) for name, rows in stored.items()),
    ]
    database = {"filename": str(folder / _FILE), "collections": collections, "databaseVersion": 1.5, "engineVersion": 1.5}
    (folder / _FILE).write_bytes(orjson.dumps(database))


def _collection(name: str, rows: list[dict[str, Any]], indices: tuple[str, ...], unique: Iterable[str] = ()) -> dict[str, Any]:
    for number, row in enumerate(rows, 1):
        row |= {"meta": {"revision": 0, "created": 0, "version": 0}, "$loki": number}
    return {
        "name": name,
        "data": rows,
        "idIndex": list(range(1, len(rows) + 1)),
        "binaryIndices": {
            index: {"name": index, "dirty": False, "values": sorted(range(len(rows)), key=lambda at: rows[at][index])}
            for index in indices
        },
        "uniqueNames": list(unique),
        "maxId": len(rows),
        "objType": name,
        "adaptiveBinaryIndices": True,
        "disableChangesApi": True,
        "disableDeltaChangesApi": True,
        "disableFreeze": True,
        "cloneMethod": "parse-stringify",
        "changes": [],
        "dirtyIds": [],
        "transforms": {},
        "DynamicViews": [],
    }


def _row(entity: Entity) -> dict[str, Any]:
    keys = {"PartitionKey": entity.partition, "RowKey": entity.row}
    properties: dict[str, Any] = {**keys, "Timestamp": _WRITTEN, "Timestamp@odata.type": "Edm.DateTime"}
    for name, value in entity.values.items():
        properties |= _property(name, value)
    return {**keys, "properties": properties, "lastModifiedTime": _WRITTEN, "eTag": _ETAG}


def _property(name: str, value: Scalar) -> dict[str, Any]:
    match value:
        case bool() | str():
            return {name: value}
        case int():
            return {name: str(value), f"{name}@odata.type": "Edm.Int64"}
        case float():
            return {name: value, f"{name}@odata.type": "Edm.Double"}
        case datetime():
            return {name: f"{value:%Y-%m-%dT%H:%M:%S.%f}Z", f"{name}@odata.type": "Edm.DateTime"}
        case bytes():
            return {name: b64encode(value).decode(), f"{name}@odata.type": "Edm.Binary"}
