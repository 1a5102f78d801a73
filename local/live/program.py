"""First sync, change, phone edit, purge, lost ledger and removal in a folder of its own, and nothing left behind."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from os import urandom
from secrets import token_hex
from typing import Any

import httpx
import orjson

from cloud.graph.credentials import Application, Certificate, ClientSecret
from cloud.graph.graph import Graph
from gdpr.encryption import TenantKeyring
from gdpr.retention import purge_caches
from local.live.transcript import Recorder, Transcript
from local.memory import MemoryBlobs, MemoryQueues, MemoryTables
from sync_core import messages
from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.engine import admin, chunk, closing, runs, start, uploads
from sync_core.engine.context import Context
from sync_core.engine.exit import Exit, Left, leave_mailbox
from sync_core.engine.folders import all_folders
from sync_core.marks import parse
from sync_core.model import Create, Delete, Folder, Operation, RunState, SeenItem, Update
from sync_core.ports import Clock, Mailboxes, Remove
from sync_core.state.names import LEDGERS, partition
from sync_core.state.runs import Check, Run, load_run

INSTALLATION = "rollcall-live-test"
SYNC = "live"
FOLDER = "Rollcall live test"
FOREIGN = "Rollcall Live Visitor"
"""A contact as the mailbox's owner would add it to our folder: it must be left alone, and goes at the very end."""

SETTLES = 20.0
"""Seconds that Exchange is given until its delta knows of a change."""

_STEPS = {
    messages.SYNC_START: (messages.SyncStart, start.start_run),
    messages.SYNC_CHUNK: (messages.SyncChunk, chunk.run_chunk),
    messages.RUN_CHECK: (messages.RunCheck, closing.check_run),
}


class FailedError(Exception):
    """Something was not as it should be. Says what, by counts and ids alone."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where to try it, and as whom. `proof` is a client secret, or a certificate with its key in PEM."""

    tenant: str
    client_id: str
    proof: bytes
    mailboxes: Sequence[str]
    graph: str
    authority: str


class _Secrets:
    """The proof, and a master key for one run."""

    def __init__(self, proof: bytes) -> None:
        self._proof = proof
        self._master = b64encode(urandom(32))

    async def get(self, name: str) -> bytes:
        return self._proof if name == "proof" else self._master

    async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:  # noqa: ARG002 - the port's
        return [await self.get(name)]


class Trial:
    """One trial on one tenant. `say` is told of each step; `transcript` collects what was asked and answered."""

    def __init__(self, account: Account, clock: Clock, transport: httpx.AsyncBaseTransport, say: Callable[[str], None]) -> None:
        self.transcript = Transcript()
        self._account = account
        self._clock = clock
        self._say = say
        self._queues = MemoryQueues(clock)
        tables, secrets = MemoryTables(), _Secrets(account.proof)

        async def purge(tenant: str, sync: str | None) -> None:
            await purge_caches(tables, tenant, sync)

        proof = Certificate("proof") if b"-----BEGIN" in account.proof else ClientSecret("proof")
        self._graph = Graph(
            Application(account.client_id, proof),
            secrets,
            clock,
            base_url=account.graph,
            authority=account.authority,
            transport=Recorder(transport, self.transcript),
        )
        self._context = Context(
            tables=tables,
            queues=self._queues,
            blobs=MemoryBlobs(),
            graph=self._graph,
            keyring=TenantKeyring(tables, secrets),
            clock=clock,
            installation=INSTALLATION,
            lease=timedelta(minutes=10),
            owner=token_hex(8),
            purge=purge,
        )

    async def run(self) -> None:
        """Take all steps, and clean up however they end. Raises FailedError, and what Microsoft 365 or the engine raise."""
        steps: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("before", self.clean),
            ("first sync", self._first_sync),
            ("change", self._change),
            ("phone edit", self._phone_edit),
            ("purge", self._purge),
            ("lost ledger", self._lost_ledger),
            ("removal", self._removal),
        ]
        try:
            for name, step in steps:
                self._say(name)
                self.transcript.step = name
                await step()
        finally:
            self._say("clean up")
            self.transcript.step = "clean up"
            await self.clean()

    async def clean(self) -> None:
        """Take out whatever a trial has left in the mailboxes, by its marks."""
        for mailbox in self._account.mailboxes:
            async for folder in self._ours(mailbox):
                await self._remove_visitor(mailbox, folder)
            await leave_mailbox(self._mailboxes, mailbox, installation=INSTALLATION, action=Exit.REMOVE)
            left = await leave_mailbox(self._mailboxes, mailbox, installation=INSTALLATION, action=Exit.REPORT)
            _expect(left == Left(), f"mailbox {mailbox} still holds {left}")

    async def close(self) -> None:
        """Close every connection."""
        await self._graph.close()

    # --- steps -----------------------------------------------------------------------------------------------------------

    async def _first_sync(self) -> None:
        await admin.connect_tenant(self._context, self._account.tenant, TenantSettings(default_country="DE"))
        await self._upload(_people(12))
        definition = {
            "name": "Live test",
            "folder": FOLDER,
            "sources": [{"kind": "file", "id": "invented"}],
            "targets": {"include": list(self._account.mailboxes)},
            "schedule": {"kind": "manual"},
            "brakes": {"percent": 100, "at_least": 1000},
        }
        await admin.define_sync(self._context, self._account.tenant, SYNC, SyncDefinition.model_validate(definition))
        run = await self._sync()
        _expect(run.counts.created == 12 * len(self._account.mailboxes), f"{run.counts.created} contacts were created")
        await self._expect_contacts(12)

    async def _change(self) -> None:
        people = _people(13)
        people[1] = people[1].replace("Sales", "Purchasing")
        await self._upload([*people[:11], people[12]])
        run = await self._sync()
        mailboxes = len(self._account.mailboxes)
        counts = (run.counts.created, run.counts.updated, run.counts.deleted)
        _expect(counts == (mailboxes, mailboxes, mailboxes), f"created, updated, deleted: {counts}")
        await self._expect_contacts(12)

    async def _phone_edit(self) -> None:
        for mailbox in self._account.mailboxes:
            async for folder in self._ours(mailbox):
                edited, deleted, *_ = await self._items(mailbox, folder)
                title = orjson.dumps({"jobTitle": "Edited on a phone"})
                visitor = orjson.dumps({"displayName": FOREIGN, "givenName": "Rollcall", "surname": "Live Visitor"})
                acts: list[Operation] = [Update("", edited.item_id, title), Delete("", deleted.item_id), Create("", visitor)]
                for outcome in await self._mailboxes.write(mailbox, folder.folder_id, acts):
                    if outcome.error is not None:
                        raise outcome.error
        await self._clock.sleep(SETTLES)
        run = await self._sync(Check.CHANGES)
        mailboxes = len(self._account.mailboxes)
        counts = (run.counts.created, run.counts.updated, run.counts.deleted)
        _expect(counts == (mailboxes, mailboxes, 0), f"created, updated, deleted: {counts}")
        await self._expect_contacts(12, visitors=1)

    async def _purge(self) -> None:
        await self._context.purge(self._account.tenant, None)
        await self._upload([*_people(13)[:11], _people(13)[12]])
        run = await self._sync()
        _expect(run.counts.created == 0, f"{run.counts.created} contacts were created anew")
        await self._expect_contacts(12, visitors=1)

    async def _lost_ledger(self) -> None:
        where = partition(self._account.tenant, SYNC)
        tables = self._context.tables
        async for row in tables.query(LEDGERS, where, select=()):
            await tables.commit(LEDGERS, where, [Remove(row.row)])
        run = await self._sync(Check.EVERYTHING)
        counts = (run.counts.created, run.counts.updated, run.counts.deleted)
        _expect(counts == (0, 0, 0), f"created, updated, deleted: {counts}")

    async def _removal(self) -> None:
        for mailbox in self._account.mailboxes:
            async for folder in self._ours(mailbox):
                await self._remove_visitor(mailbox, folder)
        await admin.delete_sync(self._context, self._account.tenant, SYNC)
        await self._settle()
        for mailbox in self._account.mailboxes:
            left = await leave_mailbox(self._mailboxes, mailbox, installation=INSTALLATION, action=Exit.REPORT)
            _expect(left == Left(), f"mailbox {mailbox} still holds {left}")

    # --- helpers -----------------------------------------------------------------------------------------------------------

    @property
    def _mailboxes(self) -> Mailboxes:
        return self._graph.mailboxes(self._account.tenant)

    async def _upload(self, people: list[str]) -> None:
        body = "\n".join(["Id,First Name,Last Name,E-mail Address,Department,Mobile Phone", *people]).encode()
        await uploads.upload_file(self._context, self._account.tenant, "invented", body, "text/csv")

    async def _sync(self, check: Check = Check.DUE) -> Run:
        run = await runs.request_run(self._context, self._account.tenant, SYNC, check=check, by_hand=True)
        await self._settle()
        ended = await load_run(self._context.tables, self._account.tenant, run)
        _expect(ended.state is RunState.SUCCEEDED, f"the run ended {ended.state} {ended.reason} {ended.detail} {ended.reasons}")
        return ended

    async def _settle(self) -> None:
        """Deliver every message when its time has come."""
        while (upcoming := self._queues.next_at()) is not None:
            await self._clock.sleep(max(0.0, (upcoming - self._clock.now()).total_seconds()))
            delivery = self._queues.receive()
            if delivery is not None:
                kind, step = _STEPS[delivery.queue]
                act: Any = step
                await act(self._context, messages.parse(kind, delivery.body))

    async def _ours(self, mailbox: str) -> AsyncIterator[Folder]:
        async for folder in all_folders(self._mailboxes, mailbox):
            mark = parse(folder.mark) if folder.mark else None
            if mark is not None and mark.installation == INSTALLATION:
                yield folder

    async def _items(self, mailbox: str, folder: Folder) -> list[SeenItem]:
        pages = self._mailboxes.items(mailbox, folder.folder_id, fields=("displayName",))
        return [item async for page in pages for item in page]

    async def _expect_contacts(self, count: int, *, visitors: int = 0) -> None:
        for mailbox in self._account.mailboxes:
            items = [item async for folder in self._ours(mailbox) for item in await self._items(mailbox, folder)]
            marked = sum(item.mark is not None for item in items)
            _expect((marked, len(items) - marked) == (count, visitors), f"mailbox {mailbox} holds {marked} of {len(items)}")

    async def _remove_visitor(self, mailbox: str, folder: Folder) -> None:
        for item in await self._items(mailbox, folder):
            if item.mark is None and (item.fields or {}).get("displayName") == FOREIGN:
                await self._mailboxes.write(mailbox, folder.folder_id, [Delete("", item.item_id)])


def _people(count: int) -> list[str]:
    """Invented people, as lines of a CSV file; the numbers are of those kept for fiction."""
    return [
        f"{number:03},Test{number:03},Rollcall,test{number:03}@rollcall.invalid,Sales,+49 30 23125{number:03}"
        for number in range(count)
    ]


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise FailedError(otherwise)
