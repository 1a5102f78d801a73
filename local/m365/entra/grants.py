"""The token endpoint.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow,
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
https://learn.microsoft.com/entra/identity-platform/refresh-tokens
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qsl

from local.m365.entra.apps import SCOPE, Automation, person, wants_api
from local.m365.entra.authorization import Codes
from local.m365.entra.claims import LIFE, app_claims, graph_claims, id_claims, person_claims
from local.m365.entra.errors import EntraError
from local.m365.entra.keys import SigningKeys
from local.m365.tenant import App, Tenant
from local.m365.wire import GRAPH, Request

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REFRESH_LIFE = {"spa": timedelta(hours=24), "native": timedelta(days=90), "web": timedelta(days=90)}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token: who signed in, from what kind of client, and for what."""

    tenant: str
    user: str
    platform: str
    scope: str
    until: datetime


class Grants:
    """Redeems what proves a client or a person for tokens."""

    def __init__(self, keys: SigningKeys) -> None:
        self.codes: Codes = {}
        self._keys = keys
        self._refreshes: dict[str, Refresh] = {}

    def answer(self, tenants: list[Tenant], request: Request, now: datetime) -> Json:
        """The tokens that a request is entitled to. `tenants` are those that its path names. Raises EntraError."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        origin = request.headers.get("origin", "")
        match form.get("grant_type"):
            case "client_credentials":
                if len(tenants) != 1:
                    raise EntraError(90009)
                return self._by_credentials(tenants[0], form, now)
            case "authorization_code":
                return self._by_code(tenants, form, origin, now)
            case "refresh_token":
                return self._by_refresh(tenants, form, origin, now)
        raise EntraError(70003)

    # --- applications ------------------------------------------------------------------------------------------------

    def _by_credentials(self, tenant: Tenant, form: Mapping[str, str], now: datetime) -> Json:
        app = tenant.app
        caller = self._caller(tenant, form)
        if app.consent == "disabled":
            raise EntraError(7000112)
        _check_proof(form, caller.secret)
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            raise EntraError(1002012)
        if scope == f"{GRAPH}/.default" and isinstance(caller, App):
            if app.consent == "revoked":
                raise EntraError(65001)
            return self._bearer(graph_claims(tenant, now))
        if not wants_api(scope, app):
            raise EntraError(500011)
        if isinstance(caller, App):
            raise EntraError(500011)  # stricter than Entra: the app has no role in itself
        return self._bearer(app_claims(tenant, caller, now))

    def _caller(self, tenant: Tenant, form: Mapping[str, str]) -> App | Automation:
        name = form.get("client_id", "").lower()
        if name == tenant.app.client_id.lower():
            return tenant.app
        for client in tenant.app.sign_ins.automation.values():
            if name == client.client_id.lower():
                return client
        raise EntraError(700016)

    # --- people --------------------------------------------------------------------------------------------------------

    def _by_code(self, tenants: list[Tenant], form: Mapping[str, str], origin: str, now: datetime) -> Json:
        tenant = _tenant_of(tenants, form)
        code = self.codes.get(form.get("code", ""))
        if code is None:
            raise EntraError(9002313)
        if code.redeemed:
            raise EntraError(54005)
        if code.tenant not in {each.id for each in tenants}:
            raise EntraError(9002313)
        _check_platform(code.platform, origin)
        _check_secret(code.platform, form, tenant.app)
        if form.get("redirect_uri") != code.redirect_uri:
            raise EntraError(500112)
        if now >= code.until:
            raise EntraError(70008)
        if code.challenge and _challenge_of(form.get("code_verifier", "")) != code.challenge:
            raise EntraError(501481)
        code.redeemed = True
        home = next(each for each in tenants if each.id == code.tenant)
        return self._for_person(home, code.user, code.scope, code.platform, now, nonce=code.nonce)

    def _by_refresh(self, tenants: list[Tenant], form: Mapping[str, str], origin: str, now: datetime) -> Json:
        tenant = _tenant_of(tenants, form)
        held = self._refreshes.get(form.get("refresh_token", ""))
        if held is None or held.tenant not in {each.id for each in tenants}:
            raise EntraError(9002313)
        _check_platform(held.platform, origin)
        _check_secret(held.platform, form, tenant.app)
        if now >= held.until:
            raise EntraError(700084 if held.platform == "spa" else 70008)
        scope = form.get("scope", held.scope)
        home = next(each for each in tenants if each.id == held.tenant)
        wants_api(scope, home.app)
        # a single page app's refresh tokens end 24 hours after the sign-in, however often they are used
        until = held.until if held.platform == "spa" else None
        return self._for_person(home, held.user, scope, held.platform, now, until=until)

    def _for_person(
        self,
        tenant: Tenant,
        user: str,
        scope: str,
        platform: str,
        now: datetime,
        *,
        nonce: str = "",
        until: datetime | None = None,
    ) -> Json:
        who = person(tenant, user)
        if tenant.app.consent == "disabled":
            raise EntraError(7000112)
        asked = scope.split()
        if wants_api(scope, tenant.app):
            answer = self._bearer(person_claims(tenant, who, now, scope=SCOPE))
            answer["scope"] = f"api://{tenant.app.client_id}/{SCOPE}"
        else:
            answer = self._bearer({**graph_claims(tenant, now), "idtyp": "user", "oid": who["id"], "roles": [], "scp": scope})
            answer["scope"] = scope
        if "openid" in asked:
            answer["id_token"] = self._keys.sign(id_claims(tenant, who, now, nonce=nonce))
        if "offline_access" in asked:
            answer["refresh_token"] = token_urlsafe(48)
            ends = until or now + REFRESH_LIFE[platform]
            self._refreshes[answer["refresh_token"]] = Refresh(tenant.id, user, platform, scope, ends)
        return answer

    def _bearer(self, claims: Json) -> Json:
        return {
            "token_type": "Bearer",
            "expires_in": LIFE,
            "ext_expires_in": LIFE,
            "access_token": self._keys.sign(claims),
        }


def _tenant_of(tenants: list[Tenant], form: Mapping[str, str]) -> Tenant:
    name = form.get("client_id", "").lower()
    if not name:
        raise EntraError(900144)
    for tenant in tenants:
        if tenant.app.client_id.lower() == name:
            return tenant
    raise EntraError(700016)


def _check_proof(form: Mapping[str, str], secret: str) -> None:
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION or form["client_assertion"].count(".") != 2:
            raise EntraError(700027)
    elif "client_secret" not in form:
        raise EntraError(7000216)
    elif form["client_secret"] != secret:
        raise EntraError(7000215)


def _check_platform(platform: str, origin: str) -> None:
    """Codes of single page apps are redeemed by scripts in browsers, which name their origin, and no others are."""
    if platform == "spa" and not origin:
        raise EntraError(9002327)
    if platform != "spa" and origin:
        raise EntraError(9002326)


def _check_secret(platform: str, form: Mapping[str, str], app: App) -> None:
    if platform == "web":
        _check_proof(form, app.secret)
    elif "client_secret" in form or "client_assertion" in form:
        raise EntraError(700025)


def _challenge_of(verifier: str) -> str:
    """RFC 7636, section 4.6."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
