"""What one row and one transaction of Table Storage may hold.

Limits: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model and
https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions.
A violation is a bug of the caller, hence ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sync_core.ports import AllOf, AnyOf, Compare, Condition, Insert, Merge, Put, Remove, Replace, Row, Scalar, Write

MOST_WRITES = 100
MOST_BYTES = 4 * 1024 * 1024 - 64 * 1024  # of one transaction's payload, less the frame around it
LARGEST_ROW = 1024 * 1024
LARGEST_VALUE = 64 * 1024
MOST_VALUES = 252

_KEY = re.compile(r"[A-Za-z0-9_.:|@~-]{1,512}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,254}")
_RESERVED = {"PartitionKey", "RowKey", "Timestamp"}
_PART = 1024  # headers of one operation inside a transaction, generously


def check_key(key: str) -> None:
    """Refuse what may not stand in a partition or row key."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"not a key of 1 to 512 letters, digits and -_.:|@~ ({len(key)} characters)")


def check_condition(condition: Condition) -> None:
    """Refuse unknown operators, odd names and values that cannot be compared."""
    if isinstance(condition, AllOf | AnyOf):
        if not condition.conditions:
            raise ValueError("a condition of nothing")
        for part in condition.conditions:
            check_condition(part)
        return
    _check_name(condition.name)
    if condition.op not in ("eq", "ne", "lt", "le", "gt", "ge"):
        raise ValueError(f"unknown operator {condition.op}")
    _plain(condition.name, condition.value)
    if isinstance(condition.value, bool) and condition.op not in ("eq", "ne"):
        raise ValueError(f"{condition.name}: a truth value has no order")


def check_writes(partition: str, writes: Sequence[Write]) -> None:
    """Refuse what one transaction cannot carry."""
    check_key(partition)
    if not 1 <= len(writes) <= MOST_WRITES:
        raise ValueError(f"a transaction has 1 to {MOST_WRITES} writes, not {len(writes)}")
    if len({write.row for write in writes}) != len(writes):
        raise ValueError("a transaction writes a row only once")
    for write in writes:
        check_key(write.row)
    if sum(map(payload, writes)) > MOST_BYTES:
        raise ValueError("a transaction has at most 4 MiB")


def plain_values(partition: str, row: str, values: Row) -> dict[str, Scalar]:
    """What is stored of `values`: None left out, times in UTC, plain types. Refuses what a row cannot hold."""
    stored: dict[str, Scalar] = {}
    size = 4 + 2 * (len(partition) + len(row))
    for name, value in values.items():
        _check_name(name)
        if value is not None:
            stored[name] = _plain(name, value)
            size += 8 + 2 * len(name) + _size(stored[name])
    if len(stored) > MOST_VALUES:
        raise ValueError(f"a row has at most {MOST_VALUES} values, not {len(stored)}")
    if size > LARGEST_ROW:
        raise ValueError(f"a row has at most {LARGEST_ROW} bytes, not {size}")
    return stored


def payload(write: Write) -> int:
    """Bytes a write takes at most in a transaction's request."""
    match write:
        case Remove(row):
            return _PART + len(row)
        case Insert(row, values) | Put(row, values) | Merge(row, values) | Replace(row, values):
            return _PART + len(row) + sum(2 * len(name) + 40 + _encoded(value) for name, value in values.items())


def grouped(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """The writes in order, in as few transactions as the limits allow."""
    group: list[Write] = []
    size = 0
    for write in writes:
        more = payload(write)
        if group and (len(group) == MOST_WRITES or size + more > MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(write)
        size += more
    if group:
        yield group


def matches(condition: Condition, values: Mapping[str, Scalar]) -> bool:
    """Whether a row's values meet a condition."""
    match condition:
        case AllOf(conditions):
            return all(matches(part, values) for part in conditions)
        case AnyOf(conditions):
            return any(matches(part, values) for part in conditions)
        case Compare(name, op, wanted):
            value = values.get(name)
            if value is None or isinstance(value, bool) != isinstance(wanted, bool) or not isinstance(value, _kind(wanted)):
                return False
            return _compare(op, value, wanted)


def _compare(op: str, value: object, wanted: object) -> bool:
    return bool(getattr(value, f"__{op}__")(wanted))


def _kind(wanted: object) -> type:
    return next(kind for kind in (int, str, datetime) if isinstance(wanted, kind))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ValueError(f"not a property name: {name[:40]!r}")


def _plain(name: str, value: Scalar) -> Scalar:
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name}: more than 64 bits")
        return int(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{name}: a time without time zone")
        return value.astimezone(UTC)
    if isinstance(value, str):
        value = str(value)
    elif not isinstance(value, bytes):
        raise TypeError(f"{name}: {type(value).__name__} cannot be stored")
    if _size(value) - 4 > LARGEST_VALUE:
        raise ValueError(f"{name}: more than {LARGEST_VALUE} bytes")
    return value


def _size(value: Scalar) -> int:
    if isinstance(value, str):
        return 4 + len(value.encode("utf-16-le"))
    if isinstance(value, bytes):
        return 4 + len(value)
    return 8


def _encoded(value: Scalar | None) -> int:
    if isinstance(value, str):
        return 6 * len(value) if not value.isascii() else 2 * len(value)
    if isinstance(value, bytes):
        return 4 * (len(value) // 3 + 1)
    return 32
