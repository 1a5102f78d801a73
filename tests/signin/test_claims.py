"""The token matrix on the verifier."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from api.principal import Principal, Role
from api.signin.authentication import require, require_person
from api.signin.claims import bearer, key_id
from api.signin.errors import AuthenticationError, ForbiddenError, SignInError
from tests.signin.minting import CLIENT, ISSUER, OTHER, PARTNER, PERSON, PERSONAL, TENANT, Entra, private_key, sign


@pytest.fixture
async def entra() -> Entra:
    entra = Entra()
    await entra.connect(TENANT)
    return entra


async def turned_away(entra: Entra, token: str, **asked: Any) -> tuple[int, str, str]:
    """Status, code and challenge of a refusal."""
    with pytest.raises(SignInError) as caught:
        await entra.sign_in.authenticate(f"Bearer {token}", **asked)
    shown = f"{caught.value} {caught.value.detail} {caught.value.challenge} {caught.value.__cause__}"
    assert token not in shown
    assert PERSON not in shown
    return caught.value.status, caught.value.code, caught.value.challenge


INVALID = (401, "invalid_token", 'Bearer error="invalid_token"')


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


async def test_people_and_service_principals_are_let_in_with_their_roles(entra: Entra) -> None:
    let_in = entra.sign_in.authenticate
    assert await let_in(f"Bearer {entra.token()}") == Principal(TENANT, TENANT, PERSON, frozenset())
    person = await let_in(f"bearer  {entra.token(roles=['Rollcall.Viewer', 'Else.Thing'], scp='other access_as_user')} ")
    assert person == Principal(TENANT, TENANT, PERSON, frozenset({Role.VIEWER}))
    app = await let_in(f"Bearer {sign(entra.app_claims(roles=['Rollcall.Push']))}")
    assert app == Principal(TENANT, TENANT, PERSON, frozenset({Role.PUSH}), is_app=True)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dTpw", "Token x.y.z"])
async def test_without_a_token_one_is_asked_for(entra: Entra, header: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await entra.sign_in.authenticate(header)
    assert (caught.value.status, caught.value.code, caught.value.challenge) == (401, "not_signed_in", "Bearer")


async def test_a_token_of_another_signature_is_refused(entra: Entra) -> None:
    assert await turned_away(entra, entra.token(key=3)) == INVALID
    head, body, _ = entra.token().split(".")
    assert await turned_away(entra, f"{head}.{body}.{'A' * 342}") == INVALID
    forged = encoded({**entra.claims(), "roles": ["Rollcall.Admin"]})
    assert await turned_away(entra, f"{head}.{forged}.{entra.token().split('.')[2]}") == INVALID
    assert await turned_away(entra, entra.token()[:-4]) == INVALID


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS512", "PS256", "rs256", "", None])
async def test_only_rs256_counts(entra: Entra, alg: str | None) -> None:
    head = encoded({"alg": alg, "typ": "JWT", "kid": "one"})
    body = encoded(entra.claims())
    public = private_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = base64.urlsafe_b64encode(hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest())
    for end in ("", "AA", signature.rstrip(b"=").decode()):
        assert await turned_away(entra, f"{head}.{body}.{end}") == INVALID


async def test_another_algorithm_is_refused_even_with_the_right_key(entra: Entra) -> None:
    token = jwt.encode(entra.claims(), private_key(), algorithm="RS512", headers={"kid": "one"})
    assert await turned_away(entra, token) == INVALID


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": OTHER},
        {"aud": [CLIENT]},
        {"aud": f"api://{CLIENT}"},
        {"aud": "https://graph.microsoft.com"},
        {"iss": ISSUER.replace("{tenantid}", OTHER)},
        {"iss": ISSUER},
        {"iss": f"https://evil.example/{TENANT}/v2.0"},
        {"iss": f"https://sts.windows.net/{TENANT}/"},
        {"iss": f"https://sts.windows.net/{TENANT}/", "ver": "1.0"},
        {"ver": "1.0"},
        {"tid": OTHER, "iss": ISSUER.replace("{tenantid}", TENANT)},
        {"tid": "organizations", "iss": ISSUER.replace("{tenantid}", "organizations")},
        {"tid": TENANT.upper().replace("1", "A")},
        {"tid": 7},
        {"tid": PERSONAL, "iss": ISSUER.replace("{tenantid}", PERSONAL)},
        {"oid": "me"},
        {"oid": f"{PERSON} "},
        {"oid": [PERSON]},
        {"idtyp": "device"},
        {"idtyp": "app"},
        {"scp": ["access_as_user"]},
        {"roles": "Rollcall.Admin"},
        *({name: None} for name in ("aud", "iss", "exp", "nbf", "iat", "tid", "oid", "ver")),
        *({name: "soon"} for name in ("exp", "nbf", "iat")),
        {"exp": 4e9},
        {"exp": True},
    ],
)
async def test_a_token_that_claims_anything_else_is_refused(entra: Entra, changed: dict[str, Any]) -> None:
    assert await turned_away(entra, entra.token(**changed)) == INVALID


async def test_a_token_counts_from_its_beginning_to_its_end_give_or_take_a_minute(entra: Entra) -> None:
    let_in, at = entra.sign_in.authenticate, entra.at
    await let_in(f"Bearer {entra.token()}")  # fetches the keys, which takes time here
    for changed in ({"exp": at(-59)}, {"nbf": at(59)}, {"iat": at(59)}):
        await let_in(f"Bearer {entra.token(**changed)}")
    for changed in ({"exp": at(-60)}, {"nbf": at(62)}, {"iat": at(62)}):
        assert await turned_away(entra, entra.token(**changed)) == INVALID


async def test_headers_that_would_lead_elsewhere_are_not_heeded(entra: Entra) -> None:
    key = {"kty": "RSA", "n": "AQAB", "e": "AQAB"}
    elsewhere = {"jku": "https://evil.example/keys", "x5u": "https://evil.example/x", "jwk": key}
    await entra.sign_in.authenticate(f"Bearer {entra.token(header=elsewhere)}")
    assert all("evil" not in url for url in entra.fetched)
    assert await turned_away(entra, entra.token(key=3, header=elsewhere)) == INVALID
    for header in ({"kid": ""}, {"kid": "one", "crit": ["exp"]}):
        assert await turned_away(entra, sign(entra.claims(), header=header)) == INVALID
    assert await turned_away(entra, sign(entra.claims(), header={})) == INVALID


async def test_keys_sign_only_for_their_own_tenants(entra: Entra) -> None:
    assert await turned_away(entra, entra.token(key=2, kid="personal")) == INVALID
    personal = {"tid": PERSONAL, "iss": ISSUER.replace("{tenantid}", PERSONAL)}
    assert await turned_away(entra, entra.token(key=2, kid="personal", **personal)) == INVALID


async def test_people_need_our_scope(entra: Entra) -> None:
    lacking = (403, "missing_scope", 'Bearer error="insufficient_scope"')
    for scopes in (None, "", "User.Read", "access_as_user2"):
        assert await turned_away(entra, entra.token(scp=scopes, roles=["Rollcall.Admin"])) == lacking


async def test_service_principals_need_a_role_and_have_no_scope(entra: Entra) -> None:
    lacking = (403, "missing_role", 'Bearer error="insufficient_scope"')
    for roles in (None, [], ["Else.Role"], [7]):
        assert await turned_away(entra, sign(entra.app_claims(roles=roles))) == lacking
    assert await turned_away(entra, sign(entra.app_claims(scp="access_as_user"))) == INVALID


async def test_guests_need_a_role(entra: Entra) -> None:
    elsewhere = f"https://sts.windows.net/{OTHER}/"
    for mark in ({"idp": elsewhere}, {"idp": "live.com"}, {"acct": 1}, {"acct": "1"}):
        assert await turned_away(entra, entra.token(**mark)) == (403, "guest_account", "")
        guest = await entra.sign_in.authenticate(f"Bearer {entra.token(roles=['Rollcall.Viewer'], **mark)}")
        assert guest.roles == {Role.VIEWER}
    for home in (ISSUER.replace("{tenantid}", TENANT), f"https://sts.windows.net/{TENANT}/"):
        await entra.sign_in.authenticate(f"Bearer {entra.token(acct=0, idp=home)}")


async def test_a_tenant_must_be_connected_except_to_connect_it(entra: Entra) -> None:
    stranger = {"tid": OTHER}
    assert await turned_away(entra, entra.token(**stranger)) == (403, "tenant_not_connected", "")
    person = await entra.sign_in.authenticate(f"Bearer {entra.token(**stranger)}", connected=False)
    assert person == Principal(OTHER, OTHER, PERSON, frozenset())
    app = sign(entra.app_claims(**stranger))
    assert await turned_away(entra, app, connected=False) == (403, "tenant_not_connected", "")


async def test_partners_act_on_the_tenants_that_let_them_in_and_on_no_others(entra: Entra) -> None:
    refused = (403, "tenant_not_granted", "")
    partner = entra.token(tid=PARTNER, roles=["Rollcall.Admin"])
    for customer in (TENANT, OTHER, "contoso", f"{TENANT}:x"):
        assert await turned_away(entra, partner, customer=customer) == refused
    entra.granted |= {(TENANT, PARTNER), (OTHER, PARTNER)}
    acting = await entra.sign_in.authenticate(f"Bearer {partner}", customer=f" {TENANT.upper()} ")
    assert acting == Principal(TENANT, PARTNER, PERSON, frozenset({Role.ADMIN}))
    with pytest.raises(ForbiddenError, match="person_required"):
        require_person(acting)
    assert await turned_away(entra, partner, customer=OTHER) == refused, "granted, but no longer connected"
    assert await turned_away(entra, partner, customer=OTHER, connected=False) == refused
    assert await turned_away(entra, entra.token(tid=PARTNER), customer=TENANT) == refused, "without a role at the partner"
    guest = entra.token(tid=PARTNER, roles=["Rollcall.Admin"], idp="live.com")
    assert await turned_away(entra, guest, customer=TENANT) == refused
    assert (await entra.sign_in.authenticate(f"Bearer {entra.token()}", customer=TENANT)).home == TENANT


async def test_a_partner_has_the_roles_that_both_sides_give(entra: Entra) -> None:
    entra.granted |= {(TENANT, PARTNER)}
    entra.granted_roles = frozenset({"Rollcall.Viewer", "Rollcall.Compliance"})
    both = entra.token(tid=PARTNER, roles=["Rollcall.Admin", "Rollcall.Viewer"])
    acting = await entra.sign_in.authenticate(f"Bearer {both}", customer=TENANT)
    assert acting.roles == {Role.VIEWER}
    admin = entra.token(tid=PARTNER, roles=["Rollcall.Admin"])
    assert await turned_away(entra, admin, customer=TENANT) == (403, "tenant_not_granted", "")


def test_endpoints_ask_for_roles() -> None:
    person = Principal(TENANT, TENANT, PERSON, frozenset({Role.VIEWER}))
    require(person, Role.ADMIN, Role.VIEWER)
    require_person(person)
    with pytest.raises(ForbiddenError) as caught:
        require(person, Role.ADMIN, Role.COMPLIANCE)
    assert (caught.value.code, caught.value.challenge) == ("missing_role", 'Bearer error="insufficient_scope"')
    with pytest.raises(ForbiddenError, match="person_required"):
        require_person(Principal(TENANT, TENANT, PERSON, frozenset({Role.ADMIN}), is_app=True))


TEXT = st.text(max_size=200) | st.text(alphabet="abcXYZ019-_.=", max_size=200)
PARTS = st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode() or "A")


@settings(max_examples=150, deadline=None)
@given(TEXT | st.tuples(PARTS, PARTS, PARTS).map(".".join))
def test_whatever_comes_as_a_token_is_read_or_refused(token: str) -> None:
    with contextlib.suppress(AuthenticationError):
        key_id(bearer(f"Bearer {token}"))


@pytest.mark.parametrize(
    "part", [b"[" * 9000, b'{"a":' * 2000, b"9" * 9000, b"\xff" * 9, b'"x"', b"[]", b'{"kid":"one","alg":"RS256"']
)
async def test_a_header_that_is_no_object_is_refused(entra: Entra, part: bytes) -> None:
    head = base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    assert await turned_away(entra, f"{head}.{encoded(entra.claims())}.AAAA") == INVALID
    assert await turned_away(entra, "a" * 17_000) == INVALID
