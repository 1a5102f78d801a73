"""The API over HTTP, as its own OpenAPI document describes it: schemathesis makes the requests and judges the answers.

ROLLCALL_FUZZ=200 makes that many requests for each operation instead of a few.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any

import azure.functions as func
import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import api.serving
import composition
from api import rates, surface
from api.openapi import document
from api.principal import Role
from api.signin import authentication
from cloud.documents import fetch
from composition import Identity
from local.host.host import FunctionsHost
from local.m365.entra.minting import mint
from local.m365.server import Server
from tests.api.bodies import BODIES, furnish, ids
from tests.engine.world import CLIENT, TENANT, World
from tests.system.machine import make_secrets, settings

EXAMPLES = int(os.environ.get("ROLLCALL_FUZZ", "4"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
ELSEWHERE = {"start_consent", "finish_consent", "disconnect_tenant", "read_departure"}
"""Reach success in tests/tenancy: they take a browser at Microsoft, or leave no tenant behind."""


class Site:
    """The app behind the local host, in a thread of its own, and a caller who may do everything."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.url = self.microsoft365 = ""
        self._up: Future[None] = Future()
        self._down = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.schema = schemathesis.openapi.from_dict(document(surface.endpoints()))
        self.succeeded: set[str] = set()

    def start(self) -> None:
        self._thread.start()
        self._up.result(60)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._down.set)
        self._thread.join(60)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._hold())
        self.loop.close()

    async def _hold(self) -> None:
        app = func.FunctionApp()
        for group in surface.GROUPS:
            app.register_functions(group.blueprint)
        async with Server(self.world.cloud) as server, FunctionsHost(app) as host:
            self.url, self.microsoft365 = host.url, server.url
            self._up.set_result(None)
            await self._down.wait()

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do something on the app's event loop."""

        async def doing() -> Any:
            return await work()

        return asyncio.run_coroutine_threadsafe(doing(), self.loop).result(60)

    def headers(self) -> dict[str, str]:
        cloud = self.world.cloud
        token = mint(cloud.entra.keys, cloud.tenant(TENANT), self.world.clock.now(), user=self.boss)
        return {"Authorization": f"Bearer {token}"}

    def judge(self, case: Any) -> Any:
        """Send a request and hold the answer to the description."""
        response = case.call(base_url=self.url, headers=self.headers())
        case.validate_response(response, checks=CHECKS)
        if response.status_code < 300:
            self.succeeded.add(case.operation.definition.raw["operationId"])
        return response

    def ask(self, name: str, body: Any = None, **parameters: str) -> Any:
        """A well-formed request that must succeed."""
        endpoint = next(endpoint for endpoint in surface.endpoints() if endpoint.name == name)
        operation = self.schema[f"/api/{endpoint.route}"][endpoint.method]
        more: dict[str, Any] = {}
        if endpoint.body is not None:
            more = {"body": BODIES.get(name, {}) if body is None else body, "media_type": endpoint.accepts[0]}
        known = ids("") | {"mailbox": self.boss, "person": self.boss} | parameters
        path = {key: known[key] for key in endpoint.path.model_fields} if endpoint.path else {}
        sent = {"If-Match": "*"} if endpoint.conditional else {}
        response = self.judge(operation.Case(path_parameters=path, headers=sent, **more))
        assert response.status_code in (endpoint.status, *endpoint.also), (name, response.status_code, response.text)
        return response.json() if "application/json" in response.headers.get("content-type", ()) else None

    boss: str = ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site()
    site.start()
    patch = pytest.MonkeyPatch()
    secrets = tmp_path_factory.mktemp("described") / "secrets.json"
    asyncio.run(make_secrets(secrets))
    for name, value in settings(site.microsoft365, "UseDevelopmentStorage=true", secrets).items():
        patch.setenv(name, value)
    patch.setattr(composition, "context", lambda: site.world.context)
    patch.setattr(api.serving, "context", lambda: site.world.context)
    patch.setattr(composition, "identity", lambda: Identity(CLIENT, site.microsoft365, fetch))
    patch.setattr(rates, "BURST", 1e9)
    authentication.sign_in.cache_clear()

    async def furnished() -> None:
        world = site.world
        site.boss = world.hire_many(60, mailboxes=2)[0]
        world.tenant.app.sign_ins.roles[site.boss] = frozenset(map(str, Role))
        await world.connect()
        await furnish(world.context)

    site.do(furnished)
    yield site
    site.stop()
    patch.undo()
    authentication.sign_in.cache_clear()


def test_each_operation_reaches_its_success(site: Site) -> None:
    world, ask = site.world, site.ask

    def settle() -> None:
        site.do(world.settle)

    # the life of runs
    world.tenant.set_mailbox_state(site.boss, "outOfScope")
    first = ask("start_run")["run"]
    settle()
    ask("list_results", run=first)
    world.tenant.set_mailbox_state(site.boss, "ok")
    ask("list_set_aside")
    ask("retry_set_aside")
    settle()
    ask("replay_run", run=first)
    settle()
    for person in list(world.tenant.directory.users.objects)[20:]:
        world.tenant.remove_user(person)
    held = ask("start_run")["run"]
    settle()
    assert ask("read_run", run=held)["state"] == "held"
    ask("drop_run", run=held)
    held = ask("start_run")["run"]
    settle()
    released = ask("release_run", run=held)["run"]
    settle()
    ask("undo_run", run=released)
    settle()
    ask("resume_sync")
    ask("cancel_run", run=ask("start_run")["run"])
    settle()

    # the life of privacy requests
    mail = next(str(user["mail"]) for user in world.tenant.directory.users.objects.values())

    def asked(kind: str) -> str:
        return str(ask("make_privacy_request", {"kind": kind, "emails": [mail]})["request"])

    def confirmed(request: str) -> None:
        keys = [match["key"] for match in ask("get_matches", request=request)["items"]]
        ask("confirm_privacy_request", {"keys": keys}, request=request)
        settle()

    export = asked("export")
    ask("extend_privacy_request", request=export)
    confirmed(export)
    ask("get_privacy_request", request=export)
    ask("get_export", request=export)
    ask("get_export_part", request=export)
    mine = str(ask("make_my_request")["request"])
    confirmed(mine)
    ask("get_my_export", request=mine)
    ask("get_my_export_part", request=mine)
    restriction = asked("restriction")
    confirmed(restriction)
    ask("lift_suppression", request=restriction)
    ask("refuse_privacy_request", request=asked("erasure"))
    rectification = asked("rectification")
    ask("finish_privacy_request", request=rectification)

    # everything else
    ask("create_sync")
    ask("replace_webhook", {"url": "https://hooks.example.com/rollcall"})
    done = {"create_sync", "replace_webhook", *site.succeeded}
    last = {"delete_sync", "remove_webhook"}
    for endpoint in surface.endpoints():
        if endpoint.name not in ELSEWHERE | done | last:
            ask(endpoint.name, run=first)
    ask("delete_sync", sync="new")
    ask("remove_webhook")
    assert {endpoint.name for endpoint in surface.endpoints()} - site.succeeded == ELSEWHERE


@pytest.mark.parametrize("name", [endpoint.name for endpoint in surface.endpoints() if endpoint.name != "disconnect_tenant"])
def test_every_answer_is_as_described(site: Site, name: str) -> None:
    endpoint = next(endpoint for endpoint in surface.endpoints() if endpoint.name == name)
    operation = site.schema[f"/api/{endpoint.route}"][endpoint.method]

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES < 50,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def judged(case: Any) -> None:
        site.judge(case)

    judged()
