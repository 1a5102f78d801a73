"""The token matrix over HTTP: the stand-in's tokens, the real fetching of its keys, the local host, the real endpoints."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import azure.functions as func
import httpx
import pytest
from pydantic import BaseModel

import api.serving
import composition
from api import me
from api.endpoint import ADMINS, Call, Endpoints
from api.signin import authentication
from api.signin.keys import PAUSE
from cloud.documents import fetch
from composition import Identity
from local.host.host import FunctionsHost
from local.m365.entra.apps import Automation, Redirects
from local.m365.entra.browser import sign_in
from local.m365.entra.minting import CLAIMS, DEFECTS, mint
from local.m365.server import Server
from local.m365.tenant import App
from tenancy import partners
from tests.engine.world import CLIENT, TENANT, World

ROBOT = "44444444-4444-4444-8444-444444444444"
IDLE = "44444444-4444-4444-8444-444444444445"
STRANGER = "11111111-2222-4333-8444-000000000000"
PARTNER_HEADER = authentication.PARTNER_HEADER

guarded = Endpoints("Guarded")


class Nothing(BaseModel):
    """An empty answer."""


@guarded.get("guarded", roles=ADMINS)
async def only_for_admins(call: Call) -> Nothing:
    """For administrators."""
    assert call.tenant
    return Nothing()


@dataclass
class Site:
    """The app behind the local host."""

    world: World
    host: str
    microsoft365: str
    http: httpx.AsyncClient
    people: list[str]

    def token(self, *, tenant: str = TENANT, **what: str) -> str:
        keys, cloud = self.world.cloud.entra.keys, self.world.cloud
        return mint(keys, cloud.tenant(tenant), self.world.clock.now(), **what)

    async def ask(self, path: str, token: str | None, **headers: str) -> httpx.Response:
        sent = headers if token is None else {"Authorization": f"Bearer {token}", **headers}
        return await self.http.get(f"{self.host}/api/{path}", headers=sent)

    async def answer(self, path: str, token: str | None, **headers: str) -> tuple[int, str, str]:
        """Status, code and challenge."""
        answer = await self.ask(path, token, **headers)
        if token is not None:
            assert token not in answer.text
        return answer.status_code, answer.json().get("code", ""), answer.headers.get("WWW-Authenticate", "")


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    world = World()
    people = world.hire_many(2)
    await world.connect()
    signs = world.tenant.app.sign_ins
    signs.redirects = Redirects(native=("http://localhost",))
    signs.roles[people[0]] = frozenset({"Rollcall.Admin"})
    signs.automation[ROBOT] = Automation(ROBOT, "secret", "55555555-5555-4555-8555-555555555555", frozenset({"Rollcall.Admin"}))
    signs.automation[IDLE] = Automation(IDLE, "secret", "55555555-5555-4555-8555-555555555556")
    elsewhere = world.cloud.add_tenant(STRANGER, "Elsewhere", App(CLIENT, "s"))
    elsewhere.add_user({"userPrincipalName": "eve@elsewhere.example"})
    app = func.FunctionApp()
    for group in (me.endpoints, guarded):
        app.register_functions(group.blueprint)
    host = FunctionsHost(app)
    async with Server(world.cloud) as server, host, httpx.AsyncClient(trust_env=False) as http:
        monkeypatch.setattr(composition, "context", lambda: world.context)
        monkeypatch.setattr(api.serving, "context", lambda: world.context)
        monkeypatch.setattr(composition, "identity", lambda: Identity(CLIENT, server.url, fetch))
        authentication.sign_in.cache_clear()
        yield Site(world, host.url, server.url, http, people)
        authentication.sign_in.cache_clear()


def asked_for_keys(site: Site) -> int:
    return site.world.cloud.counters.token_calls


async def test_people_and_scripts_with_good_tokens_get_in(site: Site) -> None:
    user = site.world.tenant.directory.user(site.people[0])
    assert user is not None
    signed_in = await sign_in(site.http, site.microsoft365, TENANT, CLIENT, user["userPrincipalName"])
    mine = (await site.ask("me", signed_in["access_token"])).json()
    assert mine == {"tenant": TENANT, "person": site.people[0], "roles": ["Rollcall.Admin"]}
    form = {
        "grant_type": "client_credentials",
        "client_id": ROBOT,
        "client_secret": "secret",
        "scope": f"api://{CLIENT}/.default",
    }
    robot = (await site.http.post(f"{site.microsoft365}/{TENANT}/oauth2/v2.0/token", data=form)).json()["access_token"]
    assert await site.answer("guarded", robot) == (200, "", "")
    assert (await site.answer("me", robot))[:2] == (403, "person_required")


async def test_without_a_token_nobody_gets_in(site: Site) -> None:
    assert await site.answer("me", None) == (401, "not_signed_in", "Bearer")
    assert await site.answer("me", signed_in := site.token(user=site.people[0])) == (200, "", "")
    assert await site.answer("me", None, Authorization=f"Basic {signed_in}") == (401, "not_signed_in", "Bearer")
    assert (await site.http.get(f"{site.host}/api/me?access_token={signed_in}")).status_code == 401


EXPECTED = {
    "no_scope": (403, "missing_scope", 'Bearer error="insufficient_scope"'),
    "other_scope": (403, "missing_scope", 'Bearer error="insufficient_scope"'),
    "no_role": (403, "missing_role", 'Bearer error="insufficient_scope"'),
    "guest": (403, "guest_account", ""),
}


@pytest.mark.parametrize("defect", DEFECTS)
async def test_a_wrong_token_is_refused(site: Site, defect: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    invalid = (401, "invalid_token", 'Bearer error="invalid_token"')
    assert await site.answer("guarded", site.token(user=site.people[0])) == (200, "", "")
    token = site.token(user=site.people[0], defect=defect)
    assert await site.answer("guarded", token) == EXPECTED.get(defect, invalid)
    assert all(token.split(".")[1] not in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("defect", ["", *(name for name in CLAIMS if name not in EXPECTED)])
async def test_a_script_without_a_role_or_with_a_wrong_token_is_refused(site: Site, defect: str) -> None:
    expected = (403, "missing_role") if not defect else (401, "invalid_token")
    assert (await site.answer("guarded", site.token(client=IDLE, defect=defect)))[:2] == expected


async def test_tokens_for_graph_are_no_tokens_for_us(site: Site) -> None:
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": site.world.tenant.app.secret}
    form["scope"] = "https://graph.microsoft.com/.default"
    graph = (await site.http.post(f"{site.microsoft365}/{TENANT}/oauth2/v2.0/token", data=form)).json()["access_token"]
    assert (await site.answer("guarded", graph))[:2] == (401, "invalid_token")


async def test_a_tenant_that_is_not_connected_and_a_partner_without_a_grant_are_refused(site: Site) -> None:
    eve = "eve@elsewhere.example"
    assert (await site.answer("me", site.token(tenant=STRANGER, user=eve)))[:2] == (403, "tenant_not_connected")
    user = site.world.cloud.tenant(STRANGER).directory.user(eve)
    assert user is not None
    site.world.cloud.tenant(STRANGER).app.sign_ins.roles[user["id"]] = frozenset({"Rollcall.Admin"})
    partner, acting = site.token(tenant=STRANGER, user=eve), {PARTNER_HEADER: TENANT}
    assert (await site.answer("guarded", partner, **acting))[:2] == (403, "tenant_not_granted")
    await partners.grant(site.world.context, TENANT, STRANGER, ["Rollcall.Admin"], by=site.people[0])
    assert await site.answer("guarded", partner, **acting) == (200, "", "")
    assert (await site.answer("me", partner, **acting))[:2] == (403, "person_required")
    await partners.revoke(site.world.context, TENANT, STRANGER)
    assert (await site.answer("guarded", partner, **acting))[:2] == (403, "tenant_not_granted")


async def test_a_flood_of_made_up_keys_asks_entra_once(site: Site) -> None:
    good, made_up = site.token(user=site.people[0]), site.token(user=site.people[0], defect="unknown_kid")
    assert await site.answer("me", good) == (200, "", "")
    site.world.clock.advance(PAUSE)
    before = asked_for_keys(site)
    for _ in range(20):
        assert (await site.answer("me", made_up))[0] == 401
    assert asked_for_keys(site) - before == 2, "the configuration and the keys"
    assert await site.answer("me", good) == (200, "", "")


async def test_new_keys_count_without_a_restart_and_stolen_ones_no_more(site: Site) -> None:
    old = site.token(user=site.people[0])
    assert await site.answer("me", old) == (200, "", "")
    site.world.cloud.entra.keys.rotate(keep=False)
    site.world.clock.advance(PAUSE)
    assert await site.answer("me", site.token(user=site.people[0])) == (200, "", "")
    assert (await site.answer("me", old))[:2] == (401, "invalid_token")


async def test_when_entra_cannot_be_asked_nobody_gets_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition, "identity", lambda: Identity(CLIENT, "http://127.0.0.1:9", fetch))
    authentication.sign_in.cache_clear()
    answer = await site.ask("me", site.token(user=site.people[0]))
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


async def test_tokens_end(site: Site) -> None:
    token = site.token(user=site.people[0])
    assert await site.answer("me", token) == (200, "", "")
    site.world.clock.advance(timedelta(hours=2))
    assert (await site.answer("me", token))[:2] == (401, "invalid_token")
