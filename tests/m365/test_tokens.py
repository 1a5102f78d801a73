"""Client credentials, keys, and what a token is checked for."""

from __future__ import annotations

from datetime import timedelta

import jwt
import pytest
from jwt.types import Options

from tests.m365.conftest import APP, TENANT, World, refused

LOGIN = "https://login.microsoftonline.com"


async def test_a_token_is_signed_with_the_published_key_and_names_tenant_app_and_roles(world: World) -> None:
    token = (await world.ask_for_token()).json()
    assert token["token_type"] == "Bearer"
    keys = (await world.client.get(f"{LOGIN}/{TENANT}/discovery/v2.0/keys")).json()["keys"]
    key = next(key for key in keys if key["kid"] == jwt.get_unverified_header(token["access_token"])["kid"])
    options: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims = jwt.decode(
        token["access_token"], jwt.PyJWK(key).key, algorithms=["RS256"], audience="https://graph.microsoft.com", options=options
    )
    assert (claims["tid"], claims["appid"], claims["iss"]) == (TENANT, APP, f"https://sts.windows.net/{TENANT}/")
    assert "Contacts.ReadWrite" in claims["roles"]
    assert claims["exp"] - claims["iat"] == token["expires_in"]


async def test_the_metadata_tells_the_region(world: World) -> None:
    answer = (await world.client.get(f"{LOGIN}/{TENANT}/v2.0/.well-known/openid-configuration")).json()
    assert answer["tenant_region_scope"] == "EU"
    assert answer["issuer"] == f"{LOGIN}/{TENANT}/v2.0"


@pytest.mark.parametrize(
    ("changed", "error", "code"),
    [
        ({"client_secret": "wrong"}, "invalid_client", 7000215),
        ({"client_id": "33333333-3333-3333-3333-333333333333"}, "unauthorized_client", 700016),
        ({"scope": "https://graph.microsoft.com/User.Read"}, "invalid_scope", 1002012),
        ({"scope": "https://vault.azure.net/.default"}, "invalid_resource", 500011),
        ({"grant_type": "password"}, "unsupported_grant_type", 70003),
    ],
)
async def test_a_wrong_request_for_a_token_is_refused_with_its_code(
    world: World, changed: dict[str, str], error: str, code: int
) -> None:
    answer = await world.ask_for_token(**changed)
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error
    assert answer.json()["error_codes"] == [code]
    assert f"AADSTS{code}" in answer.json()["error_description"]


@pytest.mark.parametrize(("consent", "code"), [("revoked", 65001), ("disabled", 7000112)])
async def test_without_consent_there_is_no_token(world: World, consent: str, code: int) -> None:
    world.tenant.app.consent = consent
    assert (await world.ask_for_token()).json()["error_codes"] == [code]


async def test_an_unknown_tenant_is_refused(world: World) -> None:
    answer = await world.client.post(f"{LOGIN}/99999999-9999-9999-9999-999999999999/oauth2/v2.0/token", data={})
    assert answer.json()["error_codes"] == [90002]


async def test_a_call_without_token_or_with_a_forged_or_expired_one_is_refused(world: World) -> None:
    held = world.client.headers.pop("Authorization")
    refused(await world.client.get("/users"), 401, "InvalidAuthenticationToken")
    refused(await world.client.get("/users", headers={"Authorization": f"{held[:-6]}AAAAAA"}), 401, "InvalidAuthenticationToken")
    world.clock.advance(timedelta(seconds=3600))
    refused(await world.client.get("/users", headers={"Authorization": held}), 401, "InvalidAuthenticationToken")


async def test_permissions_are_those_of_the_token(world: World) -> None:
    world.tenant.app.permissions = frozenset({"Contacts.Read"})
    assert (await world.client.post(f"{world.me}/contacts", json={"givenName": "A"})).status_code == 201, (
        "the old token keeps its roles"
    )
    await world.sign_in()
    refused(await world.client.get("/users"), 403, "Authorization_RequestDenied")
    refused(await world.client.get("/contacts"), 403, "Authorization_RequestDenied")
    refused(await world.client.post(f"{world.me}/contacts", json={"givenName": "A"}), 403, "ErrorAccessDenied")
    assert (await world.client.get(f"{world.me}/contacts")).status_code == 200


async def test_scoped_permissions_work_without_being_in_the_token(world: World) -> None:
    world.tenant.app.permissions = frozenset({"User.Read.All"})
    world.tenant.app.scoped = frozenset({"Contacts.ReadWrite"})
    await world.sign_in()
    assert (await world.client.get(f"{world.me}/contacts")).status_code == 200
    world.tenant.set_mailbox_state(world.user, "outOfScope")
    refused(await world.client.get(f"{world.me}/contacts"), 403, "ErrorAccessDenied")
