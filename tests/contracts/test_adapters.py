"""What only the Azure adapters do: count requests, tell busy from broken."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from cloud.queues import AzureQueues
from cloud.tables import AzureTables
from local.azurite import Azurite
from sync_core.errors import ConflictError, TransientError
from sync_core.ports import Insert, Merge, Put, Remove, Replace, Write

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def connection_string(tables: str, queues: str = "http://127.0.0.1:9/devstoreaccount1") -> str:
    account = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY}"
    return f"{account};TableEndpoint={tables};QueueEndpoint={queues}"


@asynccontextmanager
async def serving(handler: Callable[[web.Request], object]) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = handler(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        assert isinstance(answer, web.StreamResponse)
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/devstoreaccount1"
    finally:
        await runner.cleanup()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(*_args: object, **_kwargs: object) -> None:
        return None

    monkeypatch.setattr("azure.data.tables.aio._policies_async.AsyncTablesRetryPolicy.sleep", at_once)
    monkeypatch.setattr("azure.storage.queue._shared.policies_async.AsyncStorageRetryPolicy.sleep", at_once)


async def test_every_request_is_one_transaction(azurite: Azurite, unique: Callable[[str], str]) -> None:
    table = unique("t")
    tables = AzureTables(connection_string=azurite.connection_string)
    [etag] = await tables.commit(table, "p", [Insert("a", {})])
    assert tables.transactions == {(table, "commit"): 2, (table, "create"): 1}
    tables.transactions.clear()
    await tables.commit(table, "p", [Replace("a", {}, etag)])
    await tables.commit(table, "p", [Put(f"{n}", {}) for n in range(100)])
    await tables.get(table, "p", "a")
    await tables.get(table, "p", "missing")
    assert len([entity async for entity in tables.query(table, "p", select=())]) == 101
    assert len([entity async for entity in tables.scan(table)]) == 101
    await tables.commit(table, "p", [Remove("a")])
    assert tables.transactions == Counter({(table, "commit"): 3, (table, "get"): 2, (table, "query"): 1, (table, "scan"): 1})
    await tables.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [500, 503, 504])
async def test_a_busy_service_is_transient_after_repeats_and_each_is_counted(status: int) -> None:
    served: list[str] = []

    def busy(request: web.Request) -> web.Response:
        served.append(request.method)
        return web.Response(status=status)

    async with serving(busy) as url:
        tables = AzureTables(connection_string=connection_string(url))
        with pytest.raises(TransientError):
            await tables.get("things", "p", "r")
        assert len(served) > 2
        assert tables.transactions == {("things", "get"): len(served)}
        for writes in ([Put("r", {})], [Put("r", {}), Put("s", {})]):
            with pytest.raises(TransientError):
                await tables.commit("things", "p", writes)
        with pytest.raises(TransientError):
            await anext(tables.query("things", "p"))
        assert tables.transactions.total() == len(served)
        await tables.close()


@pytest.mark.usefixtures("impatient")
async def test_a_service_out_of_reach_is_transient() -> None:
    nobody = "http://127.0.0.1:9/devstoreaccount1"
    tables, queues = (
        AzureTables(connection_string=connection_string(nobody)),
        AzureQueues(connection_string=connection_string(nobody)),
    )
    with pytest.raises(TransientError):
        await tables.get("things", "p", "r")
    with pytest.raises(TransientError):
        await tables.commit("things", "p", [Insert("r", {})])
    with pytest.raises(TransientError):
        await queues.send("things", {"n": 1})
    await tables.close()
    await queues.close()


@pytest.mark.usefixtures("impatient")
async def test_a_busy_queue_is_transient() -> None:
    async with serving(lambda _request: web.Response(status=503)) as url:
        queues = AzureQueues(connection_string=connection_string(url, url))
        with pytest.raises(TransientError):
            await queues.send("things", {"n": 1})
        await queues.close()


@asynccontextmanager
async def losing_the_first_answer(azurite: Azurite, *, reset: bool) -> AsyncIterator[AzureTables]:
    """The first request is carried out, but its answer is a 504 or a broken connection."""
    lost = False

    async def pass_on(request: web.Request) -> web.Response:
        nonlocal lost
        target = azurite.table_endpoint.removesuffix("/devstoreaccount1") + request.raw_path
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(request.method, target, headers=request.headers, data=await request.read()) as answer,
        ):
            body = await answer.read()
            kept = {name: answer.headers[name] for name in ("Content-Type", "ETag") if name in answer.headers}
        if not lost:
            lost = True
            if reset:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=504)
        return web.Response(status=answer.status, body=body, headers=kept)

    async with serving(pass_on) as url:
        tables = AzureTables(connection_string=connection_string(url))
        try:
            yield tables
        finally:
            await tables.close()
    assert lost


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("kind", ["insert", "replace"])
async def test_a_conditional_write_whose_answer_was_lost_does_not_conflict_with_itself(
    azurite: Azurite, unique: Callable[[str], str], kind: str, alone: bool, reset: bool
) -> None:
    table = unique("t")
    setup = AzureTables(connection_string=azurite.connection_string)
    [etag] = await setup.commit(table, "p", [Put("there", {})])
    row = "new" if kind == "insert" else "there"
    writes: list[Write] = [Insert(row, {"A": 1}) if kind == "insert" else Replace(row, {"A": 1}, etag)]
    if not alone:
        writes.append(Put("s", {}))
    async with losing_the_first_answer(azurite, reset=reset) as tables:
        with pytest.raises(TransientError, match="itself"):
            await tables.commit(table, "p", writes)
        entity = await setup.get(table, "p", row)
        assert entity is not None
        assert entity.values == {"A": 1}
        with pytest.raises(ConflictError):
            await tables.commit(table, "p", writes)
    await setup.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize(("rows", "kind"), [("r", Put), ("rs", Put), ("r", Merge)])
async def test_an_unconditional_write_is_repeated_when_its_answer_is_lost(
    azurite: Azurite, unique: Callable[[str], str], rows: str, kind: type[Put | Merge], reset: bool
) -> None:
    table = unique("t")
    setup = AzureTables(connection_string=azurite.connection_string)
    await setup.commit(table, "p", [Put("there", {})])
    async with losing_the_first_answer(azurite, reset=reset) as tables:
        etags = await tables.commit(table, "p", [kind(row, {"A": 1}) for row in rows])
    assert [entity.etag async for entity in setup.query(table, "p", end="t")] == etags
    await setup.close()
