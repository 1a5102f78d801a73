"""An admin connects, checks and disconnects a tenant over HTTP, with Microsoft's consent page in between."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

import api.connection
from api.principal import Role
from gdpr import audit_trail
from local.m365.entra.apps import Redirects
from local.m365.wire import Request
from sync_core.definition import TenantSettings
from sync_core.engine import admin
from tenancy.features import Feature, permissions_for
from tests.api.client import OBJECT_ID, Answer, Client
from tests.engine.world import TENANT
from tests.tenancy.conftest import ADDRESS, Site

OTHER = "bbbbbbbb-2222-4333-8444-555555555555"


class Connected(Site):
    """A tenant with an administrator, and the API in front of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(tenants=frozenset({TENANT}))
        self.monkeypatch = monkeypatch
        monkeypatch.setattr(api.connection, "tenancy", lambda: self.tenancy)
        self.boss = self.world.hire("Berta Boss")
        self.clerk = self.world.hire("Carl Clerk")
        signs = self.tenant.app.sign_ins
        signs.redirects = Redirects(spa=(f"{ADDRESS}/connect",))
        signs.administrators = {self.boss}

    def ask(self, *roles: Role, **caller: Any) -> Client:
        return Client(self.monkeypatch, self.world.context, roles=roles, **caller)

    async def at_microsoft(self, url: str, *, who: str, action: str = "accept") -> dict[str, str]:
        """What somebody does on Microsoft's page, and what the browser comes back with; {} when it does not come back."""
        parts = urlsplit(url)
        path = f"{parts.path}?{parts.query}"
        page = await self.cloud.handle(Request("GET", path))
        assert page.status == 200, page.body
        form = f"who={quote(f'{TENANT}/{who}', safe='')}&action={action}".encode()
        sent = {"content-type": "application/x-www-form-urlencoded"}
        answer = await self.cloud.handle(Request("POST", path, sent, form))
        if answer.status != 302:
            return {}
        location = urlsplit(answer.headers["Location"])
        assert f"{location.scheme}://{location.netloc}{location.path}" == f"{ADDRESS}/connect"
        return dict(parse_qsl(location.query))

    async def consent(self, ask: Client, **choice: Any) -> Answer:
        """The whole way."""
        started = await ask("POST", "connection/consent", {})
        assert started.status == 200, started.raw
        back = await self.at_microsoft(started.json["url"], **{"who": self.boss, **choice})
        return await ask("POST", "connection/consent/answer", back)

    async def trail(self) -> list[str]:
        return [entry.action async for entry in audit_trail.entries(self.world.context, TENANT)]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Connected:
    return Connected(monkeypatch)


async def test_from_nothing_to_a_connected_and_checked_tenant(site: Connected) -> None:
    site.tenant.app.consent = "revoked"
    site.tenant.app.permissions = frozenset()
    site.tenant.app.requested = permissions_for(set(Feature) - {Feature.CALENDARS, Feature.PHOTOS})
    ask = site.ask()  # nobody has a role before the tenant is connected
    connected = await site.consent(ask)
    assert connected.status == 200, connected.raw
    shown = connected.json
    assert (shown["tenant"], shown["connected_by"], shown["region"], shown["stopped"]) == (TENANT, OBJECT_ID, "EU", None)
    granted = {one["feature"]: one["granted"] for one in shown["features"]}
    assert granted == {
        **dict.fromkeys(("directory", "contacts", "groups", "org_contacts", "shared_mailboxes", "photos"), True),
        "calendars": False,
    }
    assert (shown["consent_needed"], shown["last_check"]) == (False, None)

    boss = site.ask(Role.ADMIN)
    checked = await boss("POST", "connection/check", {"inside": site.boss})
    assert checked.status == 200
    states = {one["feature"]: one["code"] for one in checked.json["findings"] if one["state"] == "ok"}
    assert states["directory"] == states["contacts"] == states["groups"] == "works"
    kept = (await site.ask(Role.VIEWER)("GET", "connection")).json["last_check"]
    assert [one["code"] for one in kept["findings"]] == [one["code"] for one in checked.json["findings"]]
    assert site.boss not in str(kept)
    assert await site.trail() == ["connection.consent_started", "connection.consented", "connection.checked"]


async def test_a_consent_that_is_declined(site: Connected) -> None:
    answer = await site.consent(site.ask(), action="cancel")
    assert (answer.status, answer.code) == (409, "consent_declined")
    assert (await site.ask(Role.VIEWER)("GET", "connection")).status == 404


async def test_who_is_no_admin_does_not_get_past_microsoft(site: Connected) -> None:
    ask = site.ask()
    url = (await ask("POST", "connection/consent", {})).json["url"]
    assert await site.at_microsoft(url, who=site.clerk) == {}


async def test_the_answer_counts_only_from_whoever_got_the_link(site: Connected) -> None:
    url = (await site.ask()("POST", "connection/consent", {})).json["url"]
    back = await site.at_microsoft(url, who=site.boss)
    other = await site.ask(object_id=site.clerk)("POST", "connection/consent/answer", back)
    assert (other.status, other.code) == (400, "state_invalid")
    foreign = await site.ask(tenant=OTHER)("POST", "connection/consent/answer", back)
    assert (foreign.status, foreign.code) == (400, "state_invalid")
    assert await site.trail() == ["connection.consent_started"]
    mended = await site.ask()("POST", "connection/consent/answer", {**back, "tenant": OTHER})
    assert (mended.status, mended.code) == (409, "wrong_account")
    assert (await site.ask()("POST", "connection/consent/answer", back)).code == "state_used"


async def test_a_tenant_that_is_not_on_the_list_leaves_no_trace(site: Connected) -> None:
    refused = await site.ask(tenant=OTHER)("POST", "connection/consent", {})
    assert (refused.status, refused.code) == (403, "tenant_not_allowed")
    assert [row async for row in site.world.tables.scan("tenants")] == []
    assert [row async for row in site.world.tables.scan("audit")] == []


async def test_once_connected_it_takes_an_admin_to_consent_anew(site: Connected) -> None:
    assert (await site.consent(site.ask())).status == 200
    for roles in ((), (Role.VIEWER, Role.COMPLIANCE)):
        assert (await site.ask(*roles)("POST", "connection/consent", {})).code == "missing_role"
    await admin.connect_tenant(site.world.context, TENANT, TenantSettings(default_country="DE"))
    await site.world.define({"sources": [{"kind": "group", "id": TENANT}]})
    site.tenant.app.requested = site.tenant.app.permissions = frozenset({"User.Read.All", "Contacts.ReadWrite"})
    boss = site.ask(Role.ADMIN)
    shown = (await site.consent(boss)).json
    assert shown["consent_needed"]
    assert [one["feature"] for one in shown["features"] if one["needed"] and not one["granted"]] == ["groups"]
    site.tenant.app.requested |= {"GroupMember.Read.All"}
    assert not (await site.consent(boss)).json["consent_needed"]


async def test_a_tenant_is_disconnected_by_its_own_admin(site: Connected) -> None:
    assert (await site.consent(site.ask())).status == 200
    boss = site.ask(Role.ADMIN)
    assert (await boss("GET", "connection/departure")).status == 404
    partner = await site.ask(Role.ADMIN, home=OTHER)("POST", "connection/disconnect", {"remove": False})
    assert partner.status == 403
    started = await boss("POST", "connection/disconnect", {"remove": True})
    assert (started.status, started.headers["location"]) == (202, "/api/connection/departure")
    assert started.json["requested_by"] == OBJECT_ID
    assert (await boss("GET", "connection/departure")).json["step"] == "erasing"
    await site.settle()
    assert site.erased == [TENANT]
    assert (await boss("GET", "connection/departure")).status == 404


async def test_partners_are_let_in_by_the_tenants_own_admin(site: Connected) -> None:
    await site.consent(site.ask())
    boss = site.ask(Role.ADMIN)
    granted = await boss("PUT", f"partners/{OTHER}", {"roles": ["Rollcall.Viewer"]})
    assert (granted.status, granted.json["roles"], granted.json["granted_by"]) == (200, ["Rollcall.Viewer"], OBJECT_ID)
    assert [one["partner"] for one in (await boss("GET", "partners")).json["items"]] == [OTHER]
    seen = await site.ask(Role.ADMIN, tenant=OTHER)("GET", "customers")
    assert [(one["customer"], one["roles"]) for one in seen.json["items"]] == [(TENANT, ["Rollcall.Viewer"])]
    assert (await boss("GET", "customers")).json["items"] == []
    for method, body in (("PUT", {"roles": ["Rollcall.Admin"]}), ("DELETE", None)):
        refused = await site.ask(Role.ADMIN, home=OTHER)(method, f"partners/{OTHER}", body)
        assert refused.status == 403, "a partner must not widen its own grant"
    assert (await boss("PUT", f"partners/{TENANT}", {"roles": ["Rollcall.Viewer"]})).status == 400
    assert (await boss("DELETE", f"partners/{OTHER}")).status == 204
    assert (await boss("DELETE", f"partners/{OTHER}")).status == 404


async def test_the_webhook_is_set_shown_and_removed_and_its_key_is_shown_once(site: Connected) -> None:
    await site.consent(site.ask())
    boss = site.ask(Role.ADMIN)
    assert (await boss("GET", "webhook")).status == 404
    wrong = await boss("PUT", "webhook", {"url": "https://10.0.0.1/"})
    assert (wrong.status, wrong.json["errors"][0]["field"]) == (400, "url")
    made = await boss("PUT", "webhook", {"url": "https://hooks.example/secret-7f", "types": ["run.held"]})
    assert (made.status, made.json["types"], made.json["given_up"]) == (200, ["run.held"], 0)
    first = made.json["key"]
    assert len(first) == 44
    assert (await boss("GET", "webhook")).json["key"] is None
    assert (await boss("PUT", "webhook", {"url": "https://hooks.example/secret-7f"})).json["key"] is None
    assert (await boss("POST", "webhook/key", {})).json["key"] not in (None, first)
    assert (await site.ask(Role.VIEWER)("GET", "webhook")).status == 403
    assert (await boss("DELETE", "webhook")).status == 204
    assert (await boss("GET", "webhook")).status == 404
    entries = [entry async for entry in audit_trail.entries(site.world.context, TENANT)]
    assert "webhook.replaced" in [entry.action for entry in entries]
    assert "secret-7f" not in str(entries)
