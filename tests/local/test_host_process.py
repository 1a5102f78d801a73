"""The host as a process of its own: `python -m local.host`."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from local.azurite import Azurite
from local.processes import Child

ROOT = Path(__file__).parents[2]
FUNCTION_APP = """
import asyncio, os
import azure.functions as func
import cloud.clock

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

@app.route(route="setting/{name}")
async def setting(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(os.environ.get(req.route_params["name"], ""))

@app.route(route="day")
async def day(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(cloud.clock.SystemClock().now().date().isoformat())

@app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection="AzureWebJobsStorage")
async def work(message: func.QueueMessage) -> None:
    print("begun", message.dequeue_count, flush=True)
    await asyncio.sleep(float(message.get_body()) if message.dequeue_count == 1 else 0)
    print("done", message.dequeue_count, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path, azurite: Azurite, unique: Callable[[str], str]) -> Path:
    values = {
        "AzureWebJobsStorage": azurite.connection_string,
        "QUEUE": unique("work"),
        "ONE": "from the file",
        "TWO": "from the file",
    }
    (tmp_path / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    (tmp_path / "host.json").write_text((ROOT / "host.json").read_text())
    (tmp_path / "function_app.py").write_text(FUNCTION_APP)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(*arguments: str) -> Child:
        environment = {"PYTHONPATH": str(ROOT), "TWO": "from the environment"}
        command = [sys.executable, "-m", "local.host", "--port=0", "--key=k", *arguments]
        children.append(Child(command, cwd=folder, env=environment))
        return children[-1]

    yield start
    for child in children:
        child.kill()


@pytest.fixture
async def queue(folder: Path, azurite: Azurite) -> AsyncIterator[QueueClient]:
    name = json.loads((folder / "local.settings.json").read_text())["Values"]["QUEUE"]
    async with QueueClient.from_connection_string(azurite.connection_string, name) as client:
        yield client


def url(host: Child) -> str:
    return host.expect(r"listening on (http://\S+)")[1]


async def test_it_serves_the_app_of_the_folder_with_its_settings_and_at_its_time(run: Callable[..., Child]) -> None:
    async with ClientSession(url(run())) as client:
        for name, expected in (("ONE", "from the file"), ("TWO", "from the environment")):
            async with client.get(f"/api/setting/{name}?code=k") as answer:
                assert await answer.text() == expected
        async with client.post("/admin/advance", json={"seconds": 10 * 86400}) as answer:
            assert answer.status == 401
        days = []
        for _ in range(2):
            async with client.get("/api/day?code=k") as answer:
                days.append(date.fromisoformat(await answer.text()))
            async with client.post("/admin/advance?code=k", json={"seconds": 10 * 86400}) as answer:
                assert answer.status == 204
        assert days[1] - days[0] >= timedelta(days=10)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
async def test_told_to_end_it_lets_functions_end(run: Callable[..., Child], queue: QueueClient) -> None:
    host = run()
    url(host)
    await queue.send_message(TextBase64EncodePolicy().encode("0.5"))
    host.expect("begun 1")
    host.process.terminate()
    assert host.process.wait(10) == 0
    assert "done 1" in host.output()
    assert (await queue.get_queue_properties()).approximate_message_count == 0


async def test_after_a_kill_the_message_comes_again_when_its_lease_is_over(run: Callable[..., Child], queue: QueueClient) -> None:
    first = run("--lease=1")
    url(first)
    await queue.send_message(TextBase64EncodePolicy().encode("60"))
    first.expect("begun 1")
    first.kill()
    run().expect("done 2")


def test_what_is_wrong_is_told_in_one_line(run: Callable[..., Child], folder: Path) -> None:
    host = run("--settings=elsewhere.json")
    assert host.process.wait(30) == 1
    assert host.output().count("\n") == 1
    assert "elsewhere.json" in host.output()

    (folder / "function_app.py").write_text("import azure.functions as func\na = func.FunctionApp()\nb = func.FunctionApp()")
    host = run()
    assert host.process.wait(30) == 1
    assert host.output() == "function_app must hold exactly one FunctionApp, not 2\n"
