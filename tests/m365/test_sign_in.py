"""Sign-in, consent and tokens for the app's API, as a browser and a client meet them."""

from __future__ import annotations

import asyncio
import html
import json
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from jwt.types import Options

from local.clock import SystemClock
from local.demo.cli import sign_ins
from local.m365 import people, tenant_file
from local.m365.control import switches
from local.m365.entra.apps import Automation, Redirects
from local.m365.entra.browser import SignInFailedError, challenge_of, sign_in
from local.m365.entra.errors import ERRORS, EntraError
from local.m365.server import Server
from local.m365.service import Microsoft365
from local.m365.tenant_install import install
from local.m365.wire import Request
from tests.m365.conftest import APP, TENANT, World

LOGIN = "https://login.microsoftonline.com"
SPA = "https://app.contoso.example/dashboard/"
CONSENT = "https://app.contoso.example/api/consent"
VERIFIER = "v" * 43
SCOPE = f"openid profile offline_access api://{APP}/access_as_user"
ROBOT = "44444444-4444-4444-4444-444444444444"
ANN = "p0@contoso.example"


@pytest.fixture
async def entra() -> AsyncIterator[World]:
    world = World()
    signs = world.tenant.app.sign_ins
    signs.redirects = Redirects(spa=(SPA,), native=("http://localhost",), web=(CONSENT,))
    signs.roles[world.user] = frozenset({"Rollcall.Admin"})
    signs.administrators = {world.user}
    robot = Automation(ROBOT, "robot-secret", "55555555-5555-5555-5555-555555555555", frozenset({"Rollcall.Push"}))
    signs.automation[ROBOT] = robot
    yield world
    await world.client.aclose()


async def claims_of(world: World, token: str, audience: str = APP) -> dict[str, Any]:
    """The claims, checked with the key that the discovery document leads to."""
    configuration = (await world.client.get(f"{LOGIN}/organizations/v2.0/.well-known/openid-configuration")).json()
    assert configuration["issuer"] == f"{LOGIN}/{{tenantid}}/v2.0"
    keys = (await world.client.get(configuration["jwks_uri"])).json()["keys"]
    assert {key["issuer"] for key in keys} == {configuration["issuer"]}
    key = next((key for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"]), None)
    assert key is not None, "signed with a key that is not published"
    options: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    return jwt.decode(token, jwt.PyJWK({**key, "alg": "RS256"}).key, algorithms=["RS256"], audience=audience, options=options)


def question(**changed: str | None) -> dict[str, str]:
    asked: dict[str, str | None] = {
        "client_id": APP,
        "response_type": "code",
        "redirect_uri": SPA,
        "scope": SCOPE,
        "state": "the state",
        "nonce": "the nonce",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        **changed,
    }
    return {name: value for name, value in asked.items() if value is not None}


async def ask(world: World, form: dict[str, str] | None = None, *, tenant: Any = TENANT, **changed: Any) -> httpx.Response:
    url, params = f"{LOGIN}/{tenant}/oauth2/v2.0/authorize", question(**changed)
    return await (world.client.get(url, params=params) if form is None else world.client.post(url, params=params, data=form))


async def code_for(world: World, user: str = ANN, **changed: str | None) -> str:
    answer = sent_back(await ask(world, {"login": user}, **changed), changed.get("redirect_uri") or SPA)
    assert answer["state"] == "the state"
    return answer["code"]


async def redeem(world: World, code: str, *, origin: str = "https://app.contoso.example", **changed: str) -> httpx.Response:
    form = {
        "client_id": APP,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": SPA,
        "code_verifier": VERIFIER,
        **changed,
    }
    headers = {"Origin": origin} if origin else {}
    return await world.client.post(f"{LOGIN}/{TENANT}/oauth2/v2.0/token", data=form, headers=headers)


def sent_back(answer: httpx.Response, uri: str) -> dict[str, str]:
    assert answer.status_code == 302, answer.text
    target = answer.headers["Location"]
    assert target.startswith(uri)
    parts = urlsplit(target)
    return {name: values[0] for name, values in parse_qs(parts.query or parts.fragment).items()}


def refused(answer: httpx.Response, code: int) -> None:
    body = answer.json()
    assert answer.status_code == (401 if body["error"] == "invalid_client" else 400)
    assert (body["error"], body["error_codes"]) == (ERRORS[code][0], [code])
    assert body["error_description"].startswith(f"AADSTS{code}: ")


async def test_a_person_signs_in_through_the_page(entra: World) -> None:
    page = await ask(entra, login_hint="some<one")
    assert page.headers["content-type"].startswith("text/html")
    assert 'value="some&lt;one"' in page.text
    buttons = re.findall(r'name="who" value="([^"]+)"><button>([^<]+)<', page.text)
    who, label = buttons[0]
    assert html.unescape(label) == f"Person 0 <{ANN}> (Rollcall.Admin, directory administrator)"
    code = sent_back(await ask(entra, {"who": who}), SPA)["code"]
    answer = await redeem(entra, code)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    tokens = answer.json()
    claims = await claims_of(entra, tokens["access_token"])
    assert (claims["iss"], claims["tid"], claims["oid"]) == (f"{LOGIN}/{TENANT}/v2.0", TENANT, entra.user)
    assert (claims["roles"], claims["scp"], claims["ver"]) == (["Rollcall.Admin"], "access_as_user", "2.0")
    assert "idtyp" not in claims
    identity = await claims_of(entra, tokens["id_token"])
    assert (identity["nonce"], identity["preferred_username"]) == ("the nonce", ANN)
    assert "scp" not in identity


async def test_the_answer_may_come_in_the_fragment(entra: World) -> None:
    answer = await ask(entra, {"login": ANN}, response_mode="fragment", tenant="organizations")
    assert "?" not in answer.headers["Location"]
    assert "code" in sent_back(answer, SPA)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"client_id": "33333333-3333-3333-3333-333333333333"}, 700016),
        ({"client_id": None}, 90014),
        ({"redirect_uri": None}, 90014),
        ({"redirect_uri": f"{SPA}more"}, 50011),
        ({"redirect_uri": SPA.rstrip("/")}, 50011),
        ({"redirect_uri": f"{SPA}?x=1"}, 50011),
        ({"redirect_uri": SPA.replace("https", "http")}, 50011),
        ({"redirect_uri": "http://localhost/else"}, 50011),
        ({"redirect_uri": "http://localhost.evil.example"}, 50011),
        ({"redirect_uri": "http://evil@localhost"}, 50011),
        ({"redirect_uri": "https://localhost"}, 50011),
    ],
)
async def test_nobody_is_sent_to_an_address_that_is_not_registered(
    entra: World, changed: dict[str, str | None], code: int
) -> None:
    for form in (None, {"login": ANN}, {"action": "cancel"}):
        answer = await ask(entra, form, **changed)
        assert answer.status_code == 400
        assert f"AADSTS{code}" in answer.text


async def test_the_port_of_this_machine_is_not_compared(entra: World) -> None:
    code = await code_for(entra, redirect_uri="http://localhost:51234")
    assert (await redeem(entra, code, redirect_uri="http://localhost:51234", origin="")).status_code == 200


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"code_challenge": None}, 9002325),
        ({"code_challenge_method": "plain"}, 9002325),
        ({"code_challenge_method": None}, 9002325),
        ({"code_challenge": "short"}, 501491),
        ({"response_type": "token"}, 700051),
        ({"response_type": "code id_token"}, 700054),
        ({"response_type": None}, 700051),
        ({"response_mode": "carrier_pigeon"}, 9002313),
        ({"prompt": "none"}, 50058),
        ({"prompt": "maybe"}, 9002313),
        ({"scope": ""}, 28003),
        ({"scope": "openid nonsense"}, 70011),
        ({"scope": f"api://{APP}/else"}, 65005),
        ({"scope": "https://vault.azure.net/user_impersonation"}, 500011),
    ],
)
async def test_a_wrong_question_is_sent_back_with_its_code(entra: World, changed: dict[str, str | None], code: int) -> None:
    answer = sent_back(await ask(entra, {"login": ANN}, **changed), SPA)
    assert answer["error"] == ERRORS[code][0]
    assert answer["error_description"].startswith(f"AADSTS{code}: ")
    assert answer["state"] == "the state"
    assert "code" not in answer


async def test_people_may_cancel_and_strangers_and_leavers_stay_out(entra: World) -> None:
    assert sent_back(await ask(entra, {"action": "cancel"}), SPA)["error"] == "access_denied"
    assert "AADSTS50034" in (await ask(entra, {"login": "nobody@contoso.example"})).text
    entra.tenant.enable_user(entra.user, enabled=False)
    assert "AADSTS50057" in (await ask(entra, {"login": ANN})).text
    assert ANN not in (await ask(entra)).text
    entra.tenant.app.consent = "disabled"
    assert sent_back(await ask(entra, {"login": "p1@contoso.example"}), SPA)["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"code": "made-up"}, 9002313),
        ({"code_verifier": "w" * 43}, 501481),
        ({"code_verifier": ""}, 501481),
        ({"redirect_uri": "http://localhost"}, 500112),
        ({"client_id": ROBOT}, 700016),
        ({"client_id": ""}, 900144),
        ({"client_secret": "s3cret"}, 700025),
        ({"origin": ""}, 9002327),
    ],
)
async def test_a_code_is_worth_nothing_without_all_that_belongs_to_it(entra: World, changed: dict[str, str], code: int) -> None:
    good = await code_for(entra)
    refused(await redeem(entra, **{"code": good, **changed}), code)
    assert (await redeem(entra, good)).status_code == 200


async def test_a_code_works_once_and_for_ten_minutes(entra: World) -> None:
    code = await code_for(entra)
    assert (await redeem(entra, code)).status_code == 200
    refused(await redeem(entra, code), 54005)
    late = await code_for(entra)
    entra.clock.advance(timedelta(minutes=10))
    refused(await redeem(entra, late), 70008)


async def test_only_single_page_apps_redeem_from_a_browser(entra: World) -> None:
    code = await code_for(entra, redirect_uri="http://localhost")
    refused(await redeem(entra, code, redirect_uri="http://localhost"), 9002326)


async def test_a_server_proves_itself_with_its_secret(entra: World) -> None:
    code = await code_for(entra, redirect_uri=CONSENT, code_challenge=None, code_challenge_method=None)
    refused(await redeem(entra, code, redirect_uri=CONSENT, origin=""), 7000216)
    assert (await redeem(entra, code, redirect_uri=CONSENT, origin="", client_secret="s3cret")).status_code == 200


async def test_refresh_tokens_follow_the_person_until_they_end(entra: World) -> None:
    async def renew(token: str, **changed: str) -> httpx.Response:
        form = {"client_id": APP, "grant_type": "refresh_token", "refresh_token": token, "scope": SCOPE, **changed}
        url = f"{LOGIN}/{TENANT}/oauth2/v2.0/token"
        return await entra.client.post(url, data=form, headers={"Origin": "https://app.contoso.example"})

    first = (await redeem(entra, await code_for(entra))).json()["refresh_token"]
    entra.tenant.app.sign_ins.roles.clear()
    entra.clock.advance(timedelta(hours=23))
    second = (await renew(first)).json()
    assert "roles" not in await claims_of(entra, second["access_token"])
    refused(await renew("made-up"), 9002313)
    refused(await renew(first, scope="https://vault.azure.net/x"), 500011)
    entra.tenant.enable_user(entra.user, enabled=False)
    refused(await renew(second["refresh_token"]), 50057)
    entra.tenant.enable_user(entra.user)
    entra.clock.advance(timedelta(hours=1))
    refused(await renew(second["refresh_token"]), 700084)


async def test_a_client_gets_a_token_with_its_roles(entra: World) -> None:
    robot = {"client_id": ROBOT, "client_secret": "robot-secret", "scope": f"api://{APP}/.default"}
    token = (await entra.ask_for_token(**robot)).json()["access_token"]
    claims = await claims_of(entra, token)
    assert (claims["idtyp"], claims["roles"], claims["azp"], claims["azpacr"]) == ("app", ["Rollcall.Push"], ROBOT, "1")
    assert claims["oid"] == claims["oid"].lower() == "55555555-5555-5555-5555-555555555555"
    assert "scp" not in claims
    for changed, code in (
        ({"client_secret": "s3cret"}, 7000215),
        ({"scope": f"api://{APP}/access_as_user"}, 1002012),
        ({"scope": "https://graph.microsoft.com/.default"}, 500011),
    ):
        refused(await entra.ask_for_token(**robot | changed), code)
    entra.tenant.app.sign_ins.automation[ROBOT].roles = frozenset()
    assert "roles" not in await claims_of(entra, (await entra.ask_for_token(**robot)).json()["access_token"])


async def test_tokens_for_the_app_open_nothing_at_graph(entra: World) -> None:
    token = (await sign_in(entra.client, LOGIN, TENANT, APP, ANN))["access_token"]
    assert (await entra.client.get("/users", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_keys_can_be_changed_under_way(entra: World) -> None:
    before = (await entra.ask_for_token()).json()["access_token"]
    entra.service.entra.keys.rotate()
    after = (await entra.ask_for_token()).json()["access_token"]
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    for token in (before, after):
        await claims_of(entra, token, "https://graph.microsoft.com")
        assert (await entra.client.get("/users", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    entra.service.entra.keys.rotate(keep=False)
    with pytest.raises(AssertionError, match="not published"):
        await claims_of(entra, after, "https://graph.microsoft.com")


# --- consent -----------------------------------------------------------------------------------------------------------


async def consent(
    world: World, form: dict[str, str] | None, *, path: str = "v2.0/adminconsent", **changed: str
) -> httpx.Response:
    asked = {"client_id": APP, "redirect_uri": CONSENT, "state": "s", **changed}
    if path.startswith("v2.0"):
        asked = {"scope": "https://graph.microsoft.com/.default", **asked}
    url = f"{LOGIN}/{changed.pop('tenant', 'organizations')}/{path}"
    return await (world.client.get(url, params=asked) if form is None else world.client.post(url, params=asked, data=form))


@pytest.mark.parametrize("path", ["adminconsent", "v2.0/adminconsent"])
async def test_an_admin_consents_for_the_tenant(entra: World, path: str) -> None:
    entra.tenant.app.consent = "revoked"
    entra.tenant.app.permissions = frozenset()
    page = await consent(entra, None, path=path)
    assert "Contacts.ReadWrite" in page.text
    who = re.findall(r'name="who" value="([^"]+)"', page.text)[0]
    answer = sent_back(await consent(entra, {"who": who, "action": "accept"}, path=path), CONSENT)
    assert (answer["admin_consent"], answer["tenant"], answer["state"]) == ("True", TENANT, "s")
    assert (answer.get("scope") is None) is (path == "adminconsent")
    assert (await entra.ask_for_token()).status_code == 200
    assert "Contacts.ReadWrite" in entra.tenant.app.permissions


async def test_consent_may_be_declined_and_needs_an_admin(entra: World) -> None:
    entra.tenant.app.consent = "revoked"
    answer = sent_back(await consent(entra, {"action": "cancel"}), CONSENT)
    assert (answer["error"], answer["admin_consent"], answer["state"]) == ("access_denied", "True", "s")
    assert "tenant" not in answer
    employee = {"who": f"{TENANT}/{entra.people[1]}", "action": "accept"}
    assert "AADSTS90094" in (await consent(entra, employee)).text
    for changed, code in (
        ({"redirect_uri": "https://evil.example"}, 50011),
        ({"redirect_uri": "http://localhost"}, 50011),
        ({"client_id": ROBOT}, 700016),
        ({"scope": "https://graph.microsoft.com/User.Read.All"}, 70011),
        ({"scope": ""}, 900144),
    ):
        assert f"AADSTS{code}" in (await consent(entra, employee, **changed)).text
    assert entra.tenant.app.consent == "revoked"


# --- the sign-in of tests and demos ------------------------------------------------------------------------------------------


async def test_the_headless_browser_signs_in_or_says_why_not(entra: World) -> None:
    tokens = await sign_in(entra.client, LOGIN, "organizations", APP, ANN)
    assert (await claims_of(entra, tokens["access_token"]))["oid"] == entra.user
    with pytest.raises(SignInFailedError, match="AADSTS50034"):
        await sign_in(entra.client, LOGIN, TENANT, APP, "nobody@contoso.example")
    with pytest.raises(SignInFailedError, match="AADSTS50011"):
        await sign_in(entra.client, LOGIN, TENANT, APP, ANN, redirect_uri="https://evil.example")


def test_every_error_has_its_shape() -> None:
    assert all(EntraError(code).description == f"AADSTS{code}: {text}" for code, (_, text) in ERRORS.items())


async def test_the_commands_that_the_demo_prints_bring_tokens() -> None:
    service = Microsoft365(SystemClock())
    file = people.demo_tenant(8, 3)
    tenant = install(service, file)
    async with Server(service) as server:
        commands = dict(sign_ins(file, server.url))
        signing_in = f"""{commands["sign in as an administrator"]} && echo "$TOKEN\""""
        command = await asyncio.create_subprocess_shell(signing_in, stdout=PIPE)
        printed, _ = await command.communicate()
        assert command.returncode == 0
        form = dict(part.split("=", 1) for part in re.findall(r"-d (\S+)", commands["a token for the API as a script"]))
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{server.url}/{tenant.id}/oauth2/v2.0/token", data=form)
    unchecked: Options = {"verify_signature": False}
    for token in (printed.decode().strip(), answer.json()["access_token"]):
        claims = jwt.decode(token, options=unchecked)
        assert (claims["aud"], claims["tid"], claims["roles"]) == (tenant.app.client_id, tenant.id, ["Rollcall.Admin"])


def test_a_tenant_file_says_who_has_roles() -> None:
    values = {
        "id": TENANT,
        "displayName": "Contoso",
        "app": {"roles": {"Rollcall.Viewer": [ANN]}, "redirectUris": {"web": [CONSENT]}},
        "administrators": [ANN],
        "users": [{"userPrincipalName": ANN}],
    }
    tenant = install(Microsoft365(SystemClock()), tenant_file.parse(values))
    user = tenant.directory.user(ANN)
    assert user is not None
    signs = tenant.app.sign_ins
    assert (signs.roles, signs.administrators) == ({user["id"]: frozenset({"Rollcall.Viewer"})}, {user["id"]})
    assert signs.redirects == Redirects(native=("http://localhost",), web=(CONSENT,))
    for place, changed in (
        ("administrators.0", {"administrators": ["nobody"]}),
        ("app.roles.R.0", {"app": {"roles": {"R": ["nobody"]}}}),
    ):
        with pytest.raises(tenant_file.TenantFileError, match=place):
            install(Microsoft365(SystemClock()), tenant_file.parse(values | changed))


async def test_other_processes_get_tokens_and_new_keys_over_the_switches(entra: World) -> None:
    def order(what: str, **body: object) -> Any:
        reply = switches.handle(entra.service, Request("POST", f"/control/{what}", body=json.dumps(body).encode()))
        return reply.status, reply.content

    status, content = order("token", tenant=TENANT, user=ANN, defect="expired")
    claims = await claims_of(entra, content["token"])
    assert (status, claims["exp"] < entra.clock.now().timestamp()) == (200, True)
    assert order("keys") == (204, None)
    assert (await claims_of(entra, order("token", tenant=TENANT, client=ROBOT)[1]["token"]))["idtyp"] == "app"
    assert [order("token", tenant=TENANT, **wrong)[0] for wrong in ({"user": "x"}, {"client": "x"})] == [404, 404]
    assert order("token", tenant=TENANT, user=ANN, defect="x")[0] == 400
