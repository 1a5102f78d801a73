"""Runs and their chunks: what was done, kept for a year and for 60 days."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from secrets import token_hex
from typing import Any

import orjson

from sync_core.brakes import failed
from sync_core.errors import NotFoundError
from sync_core.model import Counts, MailboxResult, Replica, ReplicaState, RunState, Spent
from sync_core.ports import Compare, Condition, Entity, Insert, Replace, Row, Tables
from sync_core.state.names import CHUNKS, RUNS, partition
from sync_core.state.syncs import optional_time

NOTHING = "nothing"
"""What a run starts from when its sync has no snapshot."""

_END_OF_TIME = 9_999_999_999_999  # milliseconds


class Check(StrEnum):
    """How closely a run looks at replicas that have nothing to do."""

    DUE = "due"  # those whose audit is due
    CHANGES = "changes"  # audit all: what changed in the mailbox since we last looked
    EVERYTHING = "everything"  # list every folder anew and compare all


def closest(one: str, other: Check) -> Check:
    """Of two ways to look the closer one; `one` may be "" for none."""
    return max(Check(one or Check.DUE), other, key=list(Check).index)


@dataclass(slots=True)
class Run:
    """One execution of a sync, as stored. `would` counts what a held run would do to people and targets.

    `base` is the digest of the snapshot it started from, `NOTHING` when there was none, "" until it is about to make another.
    `source_problem` says which of several calendars could not be read. `undoes` is the run that it takes back. `plan` names the
    chunks that count: two workers may plan a run at once.
    """

    tenant: str
    run: str
    sync: str
    requested_at: datetime
    state: RunState = RunState.QUEUED
    reason: str = ""
    detail: str = ""
    check: Check = Check.DUE
    started_at: datetime | None = None
    ended_at: datetime | None = None
    chunks: int = 0
    people: int = 0
    targets: int = 0
    set_aside: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    spent: Spent = field(default_factory=Spent)
    released: bool = False
    would: dict[str, int] = field(default_factory=dict)
    base: str = ""
    undoes: str = ""
    photos: dict[str, int] = field(default_factory=dict)
    photo_problem: str = ""
    source_problem: str = ""
    plan: str = ""
    etag: str = ""


@dataclass(slots=True)
class Carried:
    """What earlier parts of a chunk leave to the next one about a mailbox that is not finished.

    `waits` counts how often the mailbox asked for time; `looked` says that it was looked at as closely as the run asks.
    """

    counts: Counts = field(default_factory=Counts)
    waits: int = 0
    looked: bool = False


@dataclass(slots=True)
class Chunk:
    """Up to twenty mailboxes of a run, and what became of them.

    `replicas` are those still to be served, as they were when the chunk was last written. `look_after` is when a mailbox of the
    chunk wants another look.
    """

    number: int
    replicas: list[Replica]
    done: bool = False
    part: int = 0
    results: list[MailboxResult] = field(default_factory=list)
    carried: dict[str, Carried] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    look_after: datetime | None = None
    etag: str = ""


def new_run_id(now: datetime) -> str:
    """An id that sorts the newest run first."""
    return f"{_END_OF_TIME - int(now.timestamp() * 1000):013d}-{token_hex(4)}"


async def load_run(tables: Tables, tenant: str, run: str) -> Run:
    """The run. Raises NotFoundError."""
    entity = await tables.get(RUNS, tenant, run)
    if entity is None:
        raise NotFoundError("this run does not exist")
    return _decode_run(entity)


async def insert_run(tables: Tables, run: Run) -> None:
    """Write a new run. Raises ConflictError when it exists."""
    (run.etag,) = await tables.commit(RUNS, run.tenant, [Insert(run.run, _encode_run(run))])


async def save_run(tables: Tables, run: Run) -> None:
    """Write a changed run back. Raises ConflictError when somebody else changed it first."""
    (run.etag,) = await tables.commit(RUNS, run.tenant, [Replace(run.run, _encode_run(run), run.etag)])


async def newest_runs(tables: Tables, tenant: str, *, start: str = "", sync: str = "") -> AsyncIterator[Run]:
    """A tenant's runs, the newest first: those from run `start` on, of one sync or of all."""
    async for entity in tables.query(RUNS, tenant, start=start, where=Compare("Sync", "eq", sync) if sync else None):
        yield _decode_run(entity)


async def load_chunk(tables: Tables, run: Run, number: int) -> Chunk | None:
    """One chunk, or None."""
    entity = await tables.get(CHUNKS, partition(run.tenant, run.run), _chunk_row(run, number))
    return None if entity is None else _decode_chunk(entity)


async def insert_chunks(tables: Tables, run: Run, chunks: Sequence[Chunk]) -> None:
    """Write new chunks of the run's plan."""
    for start in range(0, len(chunks), 100):
        writes = [Insert(_chunk_row(run, chunk.number), _encode_chunk(chunk)) for chunk in chunks[start : start + 100]]
        await tables.commit(CHUNKS, partition(run.tenant, run.run), writes)


async def save_chunk(tables: Tables, run: Run, chunk: Chunk) -> None:
    """Write a chunk's outcome. Raises ConflictError when another delivery was first."""
    write = Replace(_chunk_row(run, chunk.number), _encode_chunk(chunk), chunk.etag)
    (chunk.etag,) = await tables.commit(CHUNKS, partition(run.tenant, run.run), [write])


async def all_chunks(tables: Tables, run: Run, *, start: int = 0) -> AsyncIterator[Chunk]:
    """The chunks of a run with all they hold, from this number on."""
    async for entity in _chunk_rows(tables, run, start=start):
        yield _decode_chunk(entity)


async def open_chunks(tables: Tables, run: Run) -> list[tuple[int, int]]:
    """Number and part of every chunk that is not done."""
    rows = _chunk_rows(tables, run, where=Compare("Done", "eq", False), select=["Part"])
    return [(_chunk_number(entity), int(str(entity.values["Part"]))) async for entity in rows]


async def count_failures(tables: Tables, run: Run) -> int:
    """How many mailboxes of a run have failed so far."""
    rows = _chunk_rows(tables, run, where=Compare("Failed", "gt", 0), select=["Failed"])
    return sum([int(str(entity.values["Failed"])) async for entity in rows])


def _chunk_rows(
    tables: Tables, run: Run, *, start: int = 0, where: Condition | None = None, select: Sequence[str] | None = None
) -> AsyncIterator[Entity]:
    first, end = _chunk_row(run, start), f"{run.plan}:~"
    return tables.query(CHUNKS, partition(run.tenant, run.run), start=first, end=end, where=where, select=select)


def _chunk_row(run: Run, number: int) -> str:
    return f"{run.plan}:{number:06d}"


def _chunk_number(entity: Entity) -> int:
    return int(entity.row.rpartition(":")[2])


def _encode_run(run: Run) -> Row:
    return {
        "Sync": run.sync,
        "RequestedAt": run.requested_at,
        "State": str(run.state),
        "Reason": run.reason,
        "Detail": run.detail,
        "Check": str(run.check),
        "StartedAt": run.started_at,
        "EndedAt": run.ended_at,
        "Chunks": run.chunks,
        "People": run.people,
        "Targets": run.targets,
        "SetAside": run.set_aside,
        "Sources": orjson.dumps(run.sources).decode(),
        "Outcomes": orjson.dumps(run.outcomes).decode(),
        "Reasons": orjson.dumps(run.reasons).decode(),
        "Counts": orjson.dumps(asdict(run.counts)).decode(),
        "Spent": orjson.dumps(asdict(run.spent)).decode(),
        "Released": run.released,
        "Would": orjson.dumps(run.would).decode(),
        "Base": run.base,
        "Undoes": run.undoes,
        "Photos": orjson.dumps(run.photos).decode(),
        "PhotoProblem": run.photo_problem,
        "SourceProblem": run.source_problem,
        "Plan": run.plan,
    }


def _decode_run(entity: Entity) -> Run:
    values = entity.values
    requested = values["RequestedAt"]
    assert isinstance(requested, datetime)
    return Run(
        tenant=entity.partition,
        run=entity.row,
        sync=str(values["Sync"]),
        requested_at=requested,
        state=RunState(str(values["State"])),
        reason=str(values["Reason"]),
        detail=str(values["Detail"]),
        check=Check(str(values["Check"])),
        started_at=optional_time(values.get("StartedAt")),
        ended_at=optional_time(values.get("EndedAt")),
        chunks=int(str(values["Chunks"])),
        people=int(str(values["People"])),
        targets=int(str(values["Targets"])),
        set_aside=int(str(values["SetAside"])),
        sources=orjson.loads(str(values["Sources"])),
        outcomes=orjson.loads(str(values["Outcomes"])),
        reasons=orjson.loads(str(values["Reasons"])),
        counts=Counts(**orjson.loads(str(values["Counts"]))),
        spent=Spent(**orjson.loads(str(values["Spent"]))),
        released=bool(values["Released"]),
        would=orjson.loads(str(values["Would"])),
        base=str(values["Base"]),
        undoes=str(values["Undoes"]),
        photos=orjson.loads(str(values.get("Photos", "{}"))),
        photo_problem=str(values.get("PhotoProblem", "")),
        source_problem=str(values.get("SourceProblem", "")),
        plan=str(values["Plan"]),
        etag=entity.etag,
    )


def _encode_chunk(chunk: Chunk) -> Row:
    # Binary: a string property holds only half as much as bytes do.
    return {
        "Replicas": orjson.dumps([asdict(replica) for replica in chunk.replicas]),
        "Done": chunk.done,
        "Failed": len(failed(chunk.results)),
        "Part": chunk.part,
        "Results": orjson.dumps([asdict(result) for result in chunk.results]),
        "Carried": orjson.dumps({mailbox: asdict(carried) for mailbox, carried in chunk.carried.items()}),
        "Spent": orjson.dumps(asdict(chunk.spent)).decode(),
        "LookAfter": chunk.look_after,
    }


def _decode_chunk(entity: Entity) -> Chunk:
    values = entity.values
    return Chunk(
        number=_chunk_number(entity),
        replicas=[_replica(state) for state in orjson.loads(_bytes(values["Replicas"]))],
        done=bool(values["Done"]),
        part=int(str(values["Part"])),
        results=[_result(state) for state in orjson.loads(_bytes(values["Results"]))],
        carried={mailbox: _carried(state) for mailbox, state in orjson.loads(_bytes(values["Carried"])).items()},
        spent=Spent(**orjson.loads(str(values["Spent"]))),
        look_after=optional_time(values.get("LookAfter")),
        etag=entity.etag,
    )


def _replica(state: dict[str, Any]) -> Replica:
    for name in ("look_after", "due", "gone_since", "owned_until"):
        if state[name] is not None:
            state[name] = datetime.fromisoformat(state[name])
    return Replica(**{**state, "state": ReplicaState(state["state"])})


def _result(state: dict[str, Any]) -> MailboxResult:
    return MailboxResult(**{**state, "counts": Counts(**state["counts"])})


def _carried(state: dict[str, Any]) -> Carried:
    return Carried(**{**state, "counts": Counts(**state["counts"])})


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
