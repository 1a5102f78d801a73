"""Every trigger on Microsoft's own worker runtime: real indexing, real binding conversion, real storage."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio
from azure.storage.queue.aio import QueueServiceClient

import composition
from api import surface
from api.principal import Role
from api.signin.authentication import sign_in
from cloud.graph.directory import GraphDirectory
from local.azurite import Azurite
from local.clock import SystemClock
from local.connect import connect
from local.m365.entra.apps import Automation
from local.m365.entra.minting import mint
from local.m365.server import Server
from local.m365.service import Microsoft365
from local.m365.tenant import App, Tenant
from sync_core import messages
from sync_core.model import SourcePage
from tests.system.machine import CLIENT, CLIENT_SECRET, ROBOT, ROOT, TENANT, make_secrets, person, settings

if TYPE_CHECKING:
    from tests.system.worker import Worker

pytestmark = pytest.mark.skipif(sys.version_info < (3, 13), reason="azure-functions-runtime needs Python 3.13, as in the cloud")

QUEUE_FUNCTIONS = {name.replace("-", "_"): name for name in messages.QUEUES}
TIMERS = {"schedule_syncs": "0 */5 * * * *", "purge_expired": "0 17 2 * * *"}
DEFINITION = {"name": "People", "folder": "Colleagues", "schedule": {"kind": "manual"}}


@pytest.fixture(scope="module")
def storage() -> Iterator[Azurite]:
    """The app's tables and queues have fixed names: storage of our own."""
    with Azurite() as running:
        yield running


class Site:
    """A worker, the storage it uses and the Microsoft 365 it talks to."""

    def __init__(self, worker: Worker, tenant: Tenant, queues: QueueServiceClient) -> None:
        self.worker = worker
        self.tenant = tenant
        self._queues = queues

    async def received(self, queue: str) -> list[str]:
        """Take everything out of a queue, messages with a delay left in it, as the host hands it to a function."""
        found: list[str] = []
        async with self._queues.get_queue_client(queue) as client:
            async for message in client.receive_messages():
                found.append(b64decode(message.content, validate=True).decode())
                await client.delete_message(message)
        return found

    async def drain(self) -> None:
        """Deliver what waits in the queues, but for run-check, which comes with a delay."""
        for name in ("sync-start", "sync-chunk"):
            for body in await self.received(name):
                await self.worker.queue(name.replace("-", "_"), body)

    async def check(self, sync: str, run: str) -> None:
        """Deliver the look at whether a run is complete."""
        await self.worker.queue("run_check", json.dumps({"tenant": TENANT, "sync": sync, "run": run, "attempt": 0}))

    async def define(self, sync: str, definition: dict[str, Any] = DEFINITION) -> None:
        """Create a sync or replace it."""
        status, _, _ = await self.worker.http("create_sync", "POST", {"sync": sync, "definition": definition})
        if status == 409:
            status, _, _ = await self.worker.http("replace_sync", "PUT", definition, sync=sync)
        assert status in (200, 201)

    async def start(self, sync: str) -> str:
        """Define a sync and ask for a run of it."""
        worker = self.worker
        await self.define(sync)
        status, answer, headers = await worker.http("start_run", "POST", {}, sync=sync)
        assert (status, headers["location"]) == (202, f"/api/runs/{answer['run']}")
        return str(answer["run"])

    async def run(self, run: str) -> Any:
        """A run as the API shows it."""
        status, body, _ = await self.worker.http("read_run", run=run)
        assert status == 200
        return body

    async def graves(self) -> list[tuple[str, str, str]]:
        """The rows of messages that were given up: tenant, queue, detail."""
        rows = composition.context().tables.scan("poison")
        return [(row.partition, str(row.values["Queue"]), str(row.values["Detail"])) async for row in rows]


@pytest_asyncio.fixture
async def site(storage: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    from tests.system.worker import Worker

    cloud = Microsoft365(SystemClock())
    tenant = cloud.add_tenant(TENANT, "Example", App(CLIENT, CLIENT_SECRET))
    tenant.app.sign_ins.automation[ROBOT] = Automation(ROBOT, "", ROBOT, frozenset({Role.ADMIN}))
    for number in range(3):
        values = person(number)
        tenant.add_user({key: value for key, value in values.items() if key != "mailbox"}, "ok")
    secrets = Path(storage_secrets(storage, tmp_path))
    if not secrets.exists():
        await make_secrets(secrets)
    async with Server(cloud) as server, QueueServiceClient.from_connection_string(storage.connection_string) as queues:
        for name, value in settings(server.url, storage.connection_string, secrets).items():
            monkeypatch.setenv(name, value)
        for cached in (composition.context, composition.identity, sign_in):
            cached.cache_clear()
        await connect(os.environ, TENANT, default_country="DE")
        worker = await Worker.start(ROOT)
        worker.token = mint(cloud.entra.keys, tenant, cloud.now(), client=ROBOT)
        yield Site(worker, tenant, queues)
        context = cast("Any", composition.context())
        composition.context.cache_clear()
        for adapter in (context.tables, context.queues, context.blobs, context.graph):
            await adapter.close()
        async for queue in queues.list_queues():
            await queues.get_queue_client(queue.name).clear_messages()


def storage_secrets(storage: Azurite, folder: Path) -> Path:
    """One key file for all tests that share the storage: keys in it are wrapped by that."""
    return folder.parent / f"secrets-{storage.pid}.json"


async def test_every_function_is_indexed_with_its_bindings(site: Site) -> None:
    worker = site.worker
    assert set(worker.functions) == {
        *(endpoint.name for endpoint in surface.endpoints()),
        *TIMERS,
        *QUEUE_FUNCTIONS,
        *(f"{name}_poison" for name in QUEUE_FUNCTIONS),
    }
    for endpoint in surface.endpoints():
        trigger, answer = sorted(worker.bindings(endpoint.name), key=lambda binding: binding["type"], reverse=True)
        assert (trigger["type"], trigger["methods"], trigger["route"]) == ("httpTrigger", [endpoint.method], endpoint.route)
        assert trigger["authLevel"].upper() == "ANONYMOUS"
        assert (answer["type"], answer["direction"].upper()) == ("http", "OUT")
    for name, schedule in TIMERS.items():
        (trigger,) = worker.bindings(name)
        assert (trigger["type"], trigger["schedule"], trigger["useMonitor"]) == ("timerTrigger", schedule, True)
        assert not trigger.get("runOnStartup")
    for name, queue in QUEUE_FUNCTIONS.items():
        for function, expected in ((name, queue), (f"{name}_poison", f"{queue}-poison")):
            (trigger,) = worker.bindings(function)
            assert (trigger["type"], trigger["queueName"], trigger["connection"]) == (
                "queueTrigger",
                expected,
                "AzureWebJobsStorage",
            )


async def test_a_sync_runs_from_request_to_report(site: Site) -> None:
    worker = site.worker
    assert (await worker.http("health"))[:2] == (200, {"status": "ok"})
    run = await site.start("people")
    assert (await site.run(run))["state"] == "queued"
    await site.drain()
    assert (await site.run(run))["state"] == "running"
    await site.check("people", run)

    report = await site.run(run)
    assert (report["state"], report["people"], report["counts"]["created"]) == ("succeeded", 3, 9)
    _, results, _ = await worker.http("list_results", run=run)
    assert {result["outcome"] for result in results["items"]} == {"done"}
    _, listed, _ = await worker.http("list_runs")
    assert run in [each["run"] for each in listed["items"]]
    _, sync, _ = await worker.http("read_sync", sync="people")
    assert (sync["people"], sync["active_run"]) == (3, None)
    for number in range(3):
        names = [contact.values["displayName"] for contact in site.tenant.contacts(person(number)["id"], "Colleagues")]
        assert sorted(str(name) for name in names) == [f"Person Number{each:03d}" for each in range(3)]

    status, body, _ = await worker.http("delete_sync", "DELETE", sync="people")
    assert status == 202
    await site.drain()
    await site.check("people", body["run"])
    assert (await worker.http("read_sync", sync="people"))[0] == 404
    assert not [contact for number in range(3) for contact in site.tenant.contacts(person(number)["id"])]


async def test_previews_show_what_a_run_would_do_and_change_nothing(site: Site) -> None:
    worker = site.worker
    await site.define("previewed")
    for answer in (
        await worker.http("preview_definition", "POST", {"definition": DEFINITION}),
        await worker.http("preview_sync", "POST", {}, sync="previewed"),
    ):
        status, shown, _ = answer
        assert (status, shown["people"], shown["targets"]) == (200, 3, 3)
        assert [mailbox["counts"]["created"] for mailbox in shown["mailboxes"]] == [3, 3, 3]
    assert not [contact for number in range(3) for contact in site.tenant.contacts(person(number)["id"])]


async def test_timers_start_syncs_and_purges(site: Site) -> None:
    worker = site.worker
    nightly = {**DEFINITION, "schedule": {"kind": "hourly", "hours": 24}}
    await site.define("nightly", nightly)
    await worker.timer("schedule_syncs")
    (start,) = await site.received("sync-start")
    assert json.loads(start).keys() == {"tenant", "sync", "run"}
    await worker.queue("sync_start", start)

    await worker.timer("purge_expired")
    purges = await site.received("purge-tenant")
    assert {"tenant": TENANT} in [json.loads(body) for body in purges]
    for body in purges:
        await worker.queue("purge_tenant", body)
    # so that the next test has no sync that is due
    await site.define("nightly")


async def test_caches_are_purged_on_request(site: Site) -> None:
    run = await site.start("purged")
    await site.drain()
    await site.check("purged", run)
    tables = composition.context().tables

    async def rows() -> int:
        return sum([1 async for table in _each("sources", "snapshots", "ledgers") async for _ in tables.scan(table)])

    assert await rows() > 0
    assert (await site.worker.http("purge_caches", "POST", {}))[:2] == (204, None)
    assert await rows() == 0


async def _each(*names: str) -> AsyncIterator[str]:
    for name in names:
        yield name


@pytest.mark.parametrize("name", QUEUE_FUNCTIONS)
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("not JSON", "body"),
        (b"\xff\xfe\x00", "body"),
        ("[]", "body"),
        ('{"tenant": "t", "surprise": 1}', "surprise"),
        ('{"tenant": "../../etc"}', "tenant"),
    ],
)
async def test_a_malformed_message_is_given_up_once(site: Site, name: str, body: str | bytes, detail: str) -> None:
    before = await site.graves()
    await site.worker.queue(name, body)  # returns: the host deletes the message, and does not try five times
    after = await site.graves()
    for row in before:
        after.remove(row)
    assert after == [("unreadable", QUEUE_FUNCTIONS[name], detail)]


async def test_poisoned_messages_end_what_waited_for_them(site: Site) -> None:
    worker = site.worker
    run = await site.start("poisoned")
    (start,) = await site.received("sync-start")
    await worker.queue("sync_start_poison", start, attempt=1)
    ended = await site.run(run)
    assert (ended["state"], ended["reason"]) == ("failed", "internal_error")
    assert (TENANT, "sync-start", run) in await site.graves()

    run = await site.start("poisoned")
    await worker.queue("sync_start", (await site.received("sync-start"))[0])
    (chunk,) = await site.received("sync-chunk")
    await worker.queue("sync_chunk_poison", chunk)
    await worker.queue("run_check_poison", json.dumps({"tenant": TENANT, "sync": "poisoned", "run": run, "attempt": 3}))
    await site.check("poisoned", run)
    ended = await site.run(run)
    assert (ended["state"], ended["mailboxes"]) == ("held", {"failed": 3})
    assert {(TENANT, "sync-chunk", f"{run}/0"), (TENANT, "run-check", run)} <= set(await site.graves())

    await worker.queue("purge_tenant_poison", json.dumps({"tenant": TENANT}))
    assert (TENANT, "purge-tenant", "") in await site.graves()


async def test_a_held_run_can_be_released_or_dropped(site: Site) -> None:
    worker = site.worker
    run = await site.start("brakes")
    await site.drain()
    await site.check("brakes", run)
    for number in range(3):
        site.tenant.remove_user(person(number)["id"])
    held = await site.start("brakes")
    await site.drain()
    assert (await site.run(held))["state"] == "held"
    assert (await worker.http("drop_run", "POST", run=held))[1]["state"] == "dropped"
    status, body, _ = await worker.http("drop_run", "POST", run=held)
    assert (status, body["errors"][0]["field"]) == (400, "run")

    held = await site.start("brakes")
    await site.drain()
    status, body, _ = await worker.http("release_run", "POST", run=held)
    assert status == 202
    assert body["run"] != held


@pytest.mark.parametrize(
    ("call", "status", "code", "field"),
    [
        (("read_run", "GET", None, {"run": "0000000000000-00000000"}), 404, "not_found", None),
        (("read_sync", "GET", None, {"sync": "nobody"}), 404, "not_found", None),
        (("read_run", "GET", None, {"run": "a/b"}), 400, "invalid_input", "run"),
        (("replace_settings", "PUT", {"default_country": "Germany"}, {}), 400, "invalid_input", "default_country"),
        (("replace_sync", "PUT", {"name": "x"}, {"sync": "x"}), 400, "invalid_input", "folder"),
        (("start_run", "POST", {"check": "twice"}, {"sync": "x"}), 400, "invalid_input", "check"),
        (("purge_caches", "POST", {"all": True}, {}), 400, "invalid_input", "all"),
        (("purge_caches", "POST", b'{"a": ', {}), 400, "invalid_input", "body"),
    ],
)
async def test_errors_are_problem_details(
    site: Site, call: tuple[str, str, Any, dict[str, str]], status: int, code: str, field: str | None
) -> None:
    name, method, body, route = call
    answered, problem, headers = await site.worker.http(name, method, body, **route)
    assert (answered, problem["status"], problem["code"]) == (status, status, code)
    assert [error["field"] for error in problem["errors"]] == ([field] if field else [])
    assert headers["content-type"].startswith("application/problem+json")
    assert headers["cache-control"] == "no-store"


async def test_a_failing_step_fails_the_invocation(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host must learn of it, or it would delete the message; and it must not learn anything personal."""

    from tests.system.worker import InvocationError

    def broken(*_: object) -> AsyncIterator[SourcePage]:
        raise ValueError("Erika Mustermann")

    run = await site.start("broken")
    (start,) = await site.received("sync-start")
    with monkeypatch.context() as patch:
        patch.setattr(GraphDirectory, "users", broken)
        with pytest.raises(InvocationError) as failed:
            await site.worker.queue("sync_start", start)
    assert "ValueError" in str(failed.value)
    assert "Mustermann" not in str(failed.value)
    assert (await site.run(run))["state"] == "queued"
