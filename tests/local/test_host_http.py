from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import azure.functions as func
import pytest
from aiohttp import ClientSession

from local.host import FunctionsHost, HostSettings

KEY = "let-me-in"
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
blueprint = func.Blueprint()  # type: ignore[no-untyped-call]  # the library annotates nothing here
OPEN = func.AuthLevel.ANONYMOUS
main_thread = threading.current_thread()
fired: list[func.TimerRequest] = []


def told(value: Any) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(value), mimetype="application/json")


@blueprint.route(route="echo/{id}", methods=["POST"], auth_level=OPEN)
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return told(
        {
            "method": req.method,
            "url": req.url,
            "params": dict(req.params),
            "header": req.headers.get("X-MINE"),
            "route": dict(req.route_params),
            "body": req.get_json(),
        }
    )


@blueprint.route(route="things/{id:int}", auth_level=OPEN)
async def a_number(req: func.HttpRequest) -> func.HttpResponse:
    return told(["number", dict(req.route_params)])


@blueprint.route(route="things/{id}", auth_level=OPEN)
async def anything(req: func.HttpRequest) -> func.HttpResponse:
    return told(["anything", dict(req.route_params)])


@blueprint.route(route="things/special", auth_level=OPEN)
async def special(req: func.HttpRequest) -> func.HttpResponse:
    return told(["special", dict(req.route_params)])


@blueprint.route(route="{*path}", auth_level=OPEN, methods=["GET"])
async def the_rest(req: func.HttpRequest) -> func.HttpResponse:
    return told(["rest", dict(req.route_params)])


@blueprint.route(route="items", methods=[func.HttpMethod.GET], auth_level=OPEN)
async def read_items(req: func.HttpRequest) -> func.HttpResponse:
    return told("read")


@blueprint.route(route="items/{id?}", methods=[func.HttpMethod.PUT], auth_level=OPEN)
async def write_items(req: func.HttpRequest) -> func.HttpResponse:
    return told(["write", dict(req.route_params)])


@app.route(route="locked", methods=["DELETE"])
async def locked(req: func.HttpRequest) -> str:
    return "open"


@blueprint.route(route="plain", auth_level=OPEN)
def plain(req: func.HttpRequest) -> str:
    return "main thread" if threading.current_thread() is main_thread else "another thread"


@blueprint.route(route="broken", auth_level=OPEN)
async def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("a secret detail")


@blueprint.route(route="nothing", auth_level=OPEN)
async def nothing(req: func.HttpRequest) -> None:
    pass


@blueprint.route(route="headers", auth_level=OPEN)
async def headers(req: func.HttpRequest) -> func.HttpResponse:
    answer = func.HttpResponse("x", status_code=418, headers={"X-One": "1"})
    answer.headers.add_header("Set-Cookie", "a=1")
    answer.headers.add_header("Set-Cookie", "b=2")
    return answer


@blueprint.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
async def new_year(timer: func.TimerRequest) -> None:
    fired.append(timer)


app.register_functions(blueprint)


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with FunctionsHost(app, key=KEY) as host, ClientSession(host.url) as session:
        yield session


async def test_a_request_reaches_its_function_whole(client: ClientSession) -> None:
    async with client.post("/api/echo/a%2Fb%20c?x=1&x=2&y=%C3%A9", json={"n": [1]}, headers={"x-mine": "yes"}) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        seen = await answer.json()
    assert seen.pop("url").endswith("/api/echo/a%2Fb%20c?x=1&x=2&y=%C3%A9")
    assert seen == {
        "method": "POST",
        "params": {"x": "1,2", "y": "é"},
        "header": "yes",
        "route": {"id": "a/b c"},
        "body": {"n": [1]},
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("things/12", ["number", {"id": "12"}]),
        ("things/x12", ["anything", {"id": "x12"}]),
        ("things/special", ["special", {}]),
        ("THINGS/Special/", ["special", {}]),
        ("things/12/more", ["rest", {"path": "things/12/more"}]),
        ("items", "read"),
    ],
)
async def test_the_most_special_route_wins(client: ClientSession, path: str, expected: object) -> None:
    async with client.get(f"/api/{path}") as answer:
        assert await answer.json() == expected


async def test_one_route_with_two_methods_and_an_optional_part(client: ClientSession) -> None:
    async with client.put("/api/items") as answer:
        assert await answer.json() == ["write", {}]
    async with client.put("/api/items/7") as answer:
        assert await answer.json() == ["write", {"id": "7"}]


async def test_no_route_or_another_method_is_not_found(client: ClientSession) -> None:
    for method, path in (("GET", "/elsewhere"), ("POST", "/api/locked"), ("PATCH", "/api/items/7")):
        async with client.request(method, path, headers={"x-functions-key": KEY}) as answer:
            assert answer.status == 404, path


async def test_a_function_behind_a_key_opens_by_header_or_query(client: ClientSession) -> None:
    for query, header, status in (
        ("", "", 401),
        ("?code=wrong", "", 401),
        ("", "wröng", 401),
        (f"?code={KEY}", "", 200),
        ("", KEY, 200),
    ):
        async with client.delete(f"/api/locked{query}", headers={"x-functions-key": header} if header else {}) as answer:
            assert (answer.status, await answer.text()) == (status, "open" if status == 200 else "")


async def test_a_plain_function_runs_beside_the_event_loop(client: ClientSession) -> None:
    async with client.get("/api/plain") as answer:
        assert await answer.text() == "another thread"


@pytest.mark.parametrize("path", ["broken", "nothing"])
async def test_a_failure_is_answered_without_detail(client: ClientSession, path: str, caplog: pytest.LogCaptureFixture) -> None:
    async with client.get(f"/api/{path}") as answer:
        assert (answer.status, await answer.read()) == (500, b"")
    assert f"{path} failed" in caplog.text


async def test_status_and_headers_come_back(client: ClientSession) -> None:
    async with client.get("/api/headers") as answer:
        assert answer.status == 418
        assert answer.headers["X-One"] == "1"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_the_admin_endpoint_fires_a_timer(client: ClientSession) -> None:
    fired.clear()
    for path, header, status in (("new_year", "wrong", 401), ("echo", KEY, 404), ("new_year", KEY, 202)):
        async with client.post(f"/admin/functions/{path}", headers={"x-functions-key": header}, json={}) as answer:
            assert answer.status == status
    for _ in range(100):
        if fired:
            break
        await asyncio.sleep(0.01)
    assert [timer.past_due for timer in fired] == [False]


async def test_the_prefix_may_be_empty() -> None:
    host = FunctionsHost(app, HostSettings(route_prefix=""))
    async with host, ClientSession(host.url) as session, session.get("/items") as answer:
        assert await answer.json() == "read"


async def test_a_function_that_takes_longer_than_allowed_fails() -> None:
    slow = func.FunctionApp(http_auth_level=OPEN)

    @slow.route()
    async def endless(req: func.HttpRequest) -> str:
        await asyncio.sleep(60)
        return ""

    host = FunctionsHost(slow, HostSettings(function_timeout=0.05))
    async with host, ClientSession(host.url) as session, session.get("/api/endless") as answer:
        assert answer.status == 500


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with FunctionsHost(app) as host:
        with pytest.raises(OSError, match="address already in use"):
            await FunctionsHost(app, port=int(host.url.rpartition(":")[2])).start()


def test_what_the_host_would_not_run_is_refused() -> None:
    def refusal(decorate: Any, function: Any) -> str:
        wrong = func.FunctionApp()
        decorate(wrong)(function)
        with pytest.raises(ValueError, match=r"\w") as refused:
            FunctionsHost(wrong)
        return str(refused.value)

    async def wanted(req: func.HttpRequest) -> None: ...
    async def more(req: func.HttpRequest, extra: str) -> None: ...

    assert (
        refusal(lambda a: a.blob_trigger(arg_name="req", path="x", connection="C"), wanted)
        == "wanted: this host has no blobTrigger binding"
    )
    assert refusal(lambda a: a.route(route="x"), more) == "more must take exactly one parameter, req"
    assert refusal(lambda a: a.route(route="x/{id:weird}"), wanted) == "wanted: this host has no route constraint weird"
    assert refusal(lambda a: a.route(route="x/a{id}"), wanted) == "wanted: this host cannot route a{id}"
    for schedule in ("*/5 * * * *", "0 0 0 L * *", "0 99 * * * *", "00:05:00", "0 0 0 * * MON#1"):
        message = refusal(lambda a, s=schedule: a.timer_trigger(arg_name="req", schedule=s), wanted)
        assert message == f"not an NCRONTAB expression of six fields: {schedule}"
