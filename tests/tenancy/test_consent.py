"""An admin connects a tenant: what Microsoft's answer must be, and what becomes of any other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gdpr.retention import purge_expired
from sync_core.definition import TenantSettings
from sync_core.engine import admin
from sync_core.errors import InputError, NotFoundError, Reason
from sync_core.state.tenants import load_tenant, save_tenant
from tenancy import connection, states
from tenancy.connection import Answer
from tenancy.refusals import WORDS, ConnectionRefusedError, explained
from tests.engine.world import CLIENT, TENANT
from tests.tenancy.conftest import ADDRESS, ADMIN, Site

OTHER = "bbbbbbbb-2222-4333-8444-555555555555"
DOCS = Path(__file__).parents[2] / "docs" / "connect.md"


async def begun(site: Site, who: str = ADMIN) -> str:
    """The state of a consent that was started."""
    return parse_qs(urlsplit(await connection.start(site.tenancy, TENANT, who)).query)["state"][0]


def granted(state: str, tenant: str = TENANT) -> Answer:
    return Answer(state, tenant, "True")


async def refused(site: Site, answer: Answer, who: str = ADMIN) -> str:
    """The code under which an answer is refused; nothing is connected by it."""
    with pytest.raises(ConnectionRefusedError) as caught:
        await connection.finish(site.tenancy, TENANT, who, answer)
    with pytest.raises(NotFoundError):
        await load_tenant(site.world.tables, TENANT)
    assert await connection.load_connection(site.tenancy, TENANT) is None
    return caught.value.code


async def test_the_link_asks_microsoft_for_what_the_registration_lists(site: Site) -> None:
    url = urlsplit(await connection.start(site.tenancy, TENANT, ADMIN))
    assert url.path == f"/{TENANT}/v2.0/adminconsent"
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert asked.pop("state")
    assert asked == {
        "client_id": CLIENT,
        "scope": "https://graph.microsoft.com/.default",
        "redirect_uri": f"{ADDRESS}/connect",
    }


async def test_a_granted_consent_connects_the_tenant(site: Site) -> None:
    made = await connection.finish(site.tenancy, TENANT, ADMIN, granted(await begun(site)))
    assert (made.by, made.region, made.roles) == (ADMIN, "EU", site.tenant.app.permissions)
    assert await connection.load_connection(site.tenancy, TENANT) == made
    assert (await load_tenant(site.world.tables, TENANT)).settings == TenantSettings()
    assert await site.world.tables.get("tenants", TENANT, "keys") is not None


async def test_to_consent_again_keeps_settings_and_cures_a_stopped_tenant(site: Site) -> None:
    await admin.connect_tenant(site.world.context, TENANT, TenantSettings(default_country="DE"))
    tenant = await load_tenant(site.world.tables, TENANT)
    tenant.stopped = Reason.CONSENT_MISSING
    await save_tenant(site.world.tables, tenant)
    await connection.finish(site.tenancy, TENANT, ADMIN, granted(await begun(site)))
    tenant = await load_tenant(site.world.tables, TENANT)
    assert (tenant.settings.default_country, tenant.stopped) == ("DE", "")


async def test_a_state_is_good_once(site: Site) -> None:
    state = await begun(site)
    await connection.finish(site.tenancy, TENANT, ADMIN, granted(state))
    with pytest.raises(ConnectionRefusedError) as caught:
        await connection.finish(site.tenancy, TENANT, ADMIN, granted(state))
    assert caught.value.code == "state_used"


async def test_a_state_expires(site: Site) -> None:
    state = await begun(site)
    site.world.clock.advance(states.LIFE - timedelta(seconds=1))
    other = await begun(site)
    site.world.clock.advance(timedelta(seconds=1))
    assert await refused(site, granted(state)) == "state_expired"
    await connection.finish(site.tenancy, TENANT, ADMIN, granted(other))


async def test_expired_states_are_cleaned_up(site: Site) -> None:
    for _ in range(3):
        await begun(site)
    site.world.clock.advance(states.LIFE)
    await begun(site)
    rows = [row async for row in site.world.tables.query("tenants", TENANT, start="consent:", end="consent;")]
    assert len(rows) == 1


async def test_the_daily_purge_cleans_up_after_tenants_that_never_came_back(site: Site) -> None:
    await begun(site)
    now = site.world.clock.now()
    await purge_expired(site.world.tables, TENANT, now)
    assert [row async for row in site.world.tables.query("tenants", TENANT, start="consent:", end="consent;")]
    await purge_expired(site.world.tables, TENANT, now + states.LIFE)
    assert [row async for row in site.world.tables.scan("tenants")] == []


async def test_a_forged_state_is_refused(site: Site) -> None:
    state = await begun(site)
    body, _, signature = state.partition(".")
    other, _, _ = (await begun(site, who="eeeeeeee-0000-4000-8000-000000000002")).partition(".")
    forged = [
        "",
        ".",
        "x",
        "ä.ä",
        body,
        f"{body}.",
        f"{other}.{signature}",
        f"{body}x.{signature}",
        f"{body}.{signature[:-2]}",
        f".{signature}",
        state + ".",
    ]
    for each in forged:
        assert await refused(site, granted(each)) == "state_invalid", each


async def test_a_state_is_for_the_admin_who_started(site: Site) -> None:
    state = await begun(site)
    assert await refused(site, granted(state), who="eeeeeeee-0000-4000-8000-000000000002") == "state_invalid"
    with pytest.raises(ConnectionRefusedError) as caught:
        await connection.finish(site.tenancy, OTHER, ADMIN, granted(state, OTHER))
    assert caught.value.code == "state_invalid"


async def test_a_state_signed_by_another_key_is_refused(site: Site) -> None:
    class OtherSecret:
        async def get(self, name: str) -> bytes:
            return b"o" * 32

        async def versions(self, name: str, *, fresh: bool = False) -> list[bytes]:
            return [b"n" * 32, *self.older]

        older: tuple[bytes, ...] = ()

    secrets = OtherSecret()
    state = await begun(site)
    site.tenancy = replace(site.tenancy, secrets=secrets)
    assert await refused(site, granted(state)) == "state_invalid"
    state = await begun(site)
    secrets.older = (b"n" * 32,)  # rotated meanwhile
    await connection.finish(site.tenancy, TENANT, ADMIN, granted(state))


@pytest.mark.parametrize("tenant", ["", OTHER, f"{TENANT}x"])
async def test_a_consent_of_another_tenant_is_refused(site: Site, tenant: str) -> None:
    assert await refused(site, granted(await begun(site), tenant)) == "wrong_account"


async def test_the_tenant_may_come_back_in_capitals(site: Site) -> None:
    await connection.finish(site.tenancy, TENANT, ADMIN, granted(await begun(site), TENANT.upper()))


@pytest.mark.parametrize("said", ["", "False", "yes"])
async def test_an_answer_that_grants_nothing(site: Site, said: str) -> None:
    assert await refused(site, Answer(await begun(site), TENANT, said)) == "consent_declined"


@pytest.mark.parametrize(
    ("error", "description", "code"),
    [
        ("access_denied", "", "consent_declined"),
        ("consent_required", "AADSTS65004: The resource owner or authorization server denied the request.", "consent_declined"),
        ("access_denied", "AADSTS90094: An administrator must consent.", "not_an_admin"),
        ("invalid_request", "AADSTS50020: User account 'anna@contoso.example' does not exist in tenant.", "wrong_account"),
        ("access_denied", "AADSTS53003: Access has been blocked by Conditional Access policies.", "blocked_by_policy"),
        ("access_denied", "AADSTS50105: The signed in user is not assigned to a role.", "blocked_by_policy"),
        ("unauthorized_client", "AADSTS7000112: The application is disabled.", "blocked_by_policy"),
        ("invalid_client", "AADSTS650052: The app needs access to a service.", "app_misconfigured"),
        ("temporarily_unavailable", "", "try_again"),
        ("access_denied", "AADSTS99999999: Something new.", "consent_failed"),
        ("something_new", "", "consent_failed"),
    ],
)
async def test_what_microsoft_refuses_is_explained(site: Site, error: str, description: str, code: str) -> None:
    state = await begun(site)
    assert await refused(site, Answer(state, TENANT, "True", error, description)) == code
    words = explained(error, description).words
    assert words.startswith(WORDS[code])
    assert "anna" not in words
    assert await refused(site, granted(state)) == "state_used"


async def test_a_consent_that_microsoft_does_not_know_of(site: Site) -> None:
    site.tenant.app.consent = "revoked"
    state = await begun(site)
    assert await refused(site, granted(state)) == "consent_not_visible"
    site.tenant.app.consent = "granted"  # the news has reached every server: the same page, loaded again
    await connection.finish(site.tenancy, TENANT, ADMIN, granted(state))


async def test_a_registration_that_microsoft_does_not_take(site: Site) -> None:
    site.tenant.app.secret = "another"
    assert await refused(site, granted(await begun(site))) == "app_misconfigured"


async def test_only_tenants_of_the_allow_list_are_connected(site: Site) -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        await connection.start(site.tenancy, OTHER, ADMIN)
    assert caught.value.code == "tenant_not_allowed"
    nobody = Site(tenants=frozenset())
    with pytest.raises(ConnectionRefusedError):
        await connection.start(nobody.tenancy, TENANT, ADMIN)
    with pytest.raises(ConnectionRefusedError):
        await connection.connect(nobody.tenancy, TENANT, ADMIN)
    await connection.start(Site(tenants=None).tenancy, TENANT, ADMIN)


async def test_a_service_takes_no_tenant_ids_that_are_none() -> None:
    for wrong in ("common", "organizations", OTHER.upper(), f"{TENANT}/..", ""):
        with pytest.raises(ConnectionRefusedError) as caught:
            await connection.start(Site(tenants=None).tenancy, wrong, ADMIN)
        assert caught.value.code == "tenant_not_allowed"


async def test_a_tenant_of_the_eu_is_sent_to_where_it_may_go() -> None:
    site = Site(region="eastus", eu_address="https://eu.rollcall.example")
    for attempt in (connection.start, connection.connect):
        with pytest.raises(ConnectionRefusedError) as caught:
            await attempt(site.tenancy, TENANT, ADMIN)
        assert caught.value.code == "region_refused"
        assert "https://eu.rollcall.example" in caught.value.words
    assert [row async for row in site.world.tables.scan("tenants")] == []


async def test_without_an_address_nobody_can_be_sent_back_here(site: Site) -> None:
    site.tenancy = replace(site.tenancy, installation=replace(site.tenancy.installation, address=""))
    with pytest.raises(InputError, match="ROLLCALL_ADDRESS"):
        await connection.start(site.tenancy, TENANT, ADMIN)


async def test_a_death_anywhere_leaves_what_a_second_consent_completes() -> None:
    """Storage fails at each write in turn, before or after it is carried out."""
    moments = 0
    for moment in range(1, 40):
        site = Site()
        state = await begun(site)
        countdown = [moment]

        async def die(when: str, operation: str, table: str, left: list[int] = countdown) -> None:
            if operation == "commit":
                left[0] -= 1
                if left[0] == 0:
                    raise DeathError

        site.world.tables.hook = die
        try:
            await connection.finish(site.tenancy, TENANT, ADMIN, granted(state))
        except DeathError:
            moments += 1
        if countdown[0] > 0:
            break
        countdown[0] = 0
        made = await connection.finish(site.tenancy, TENANT, ADMIN, granted(await begun(site)))
        assert await connection.load_connection(site.tenancy, TENANT) == made
        await load_tenant(site.world.tables, TENANT)
    assert moments >= 8


class DeathError(Exception):
    """The worker is gone."""


def test_every_code_is_documented() -> None:
    _, _, section = DOCS.read_text(encoding="utf-8").partition("### When it does not work")
    rows = [line.split("|")[1].strip(" `") for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(WORDS)
