"""The browser's part of a sign-in and of an admin's consent: pages, and the way back to the app.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow,
https://learn.microsoft.com/entra/identity-platform/v2-admin-consent
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qsl

from local.m365.entra import pages
from local.m365.entra.apps import person, wants_api
from local.m365.entra.errors import EntraError
from local.m365.tenant import Tenant
from local.m365.wire import GRAPH, Request, Response

CODE_LIFE = timedelta(minutes=10)
_PROMPTS = ("login", "none", "consent", "select_account")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(slots=True)
class Code:
    """An authorization code, and all that its redeemer must match."""

    tenant: str
    user: str
    redirect_uri: str
    platform: str
    scope: str
    nonce: str
    challenge: str
    until: datetime
    redeemed: bool = False


Codes = dict[str, Code]


def authorize(tenants: list[Tenant], request: Request, codes: Codes, now: datetime) -> Response:
    """Ask who signs in, and send them back with a code. `tenants` are those whose people may choose here."""
    asked = _query(request)
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"))) if request.method == "POST" else {}
    try:
        platform = _platform(tenants, asked)
    except EntraError as error:
        return pages.error_page(error)
    uri, mode = asked["redirect_uri"], asked.get("response_mode", "query")
    state = {"state": asked["state"]} if "state" in asked else {}
    try:
        if mode not in ("query", "fragment") or asked.get("prompt", "login") not in (
            "login",
            "none",
            "consent",
            "select_account",
        ):
            raise EntraError(9002313)
        if asked.get("response_type") != "code":
            raise EntraError(700054 if "id_token" in asked.get("response_type", "") else 700051)
        _check_scope(tenants, asked)
        challenge = _challenge(asked, platform)
        if asked.get("prompt") == "none":
            raise EntraError(50058)
        if form.get("action") == "cancel":
            raise EntraError(65004)
    except EntraError as error:
        return pages.back(uri, error.query | state, mode)
    if not form:
        return pages.sign_in_page(tenants, "Rollcall", asked.get("login_hint", ""))
    try:
        tenant, user = _who(tenants, form)
    except EntraError as error:
        return pages.error_page(error)
    if tenant.app.consent == "disabled":
        return pages.back(uri, EntraError(7000112).query | state, mode)
    code = token_urlsafe(32)
    codes[code] = Code(
        tenant.id, user["id"], uri, platform, asked["scope"], asked.get("nonce", ""), challenge, now + CODE_LIFE
    )  # fmt: skip
    return pages.back(uri, {"code": code, **state, "session_state": token_urlsafe(12)}, mode)


def consent(tenants: list[Tenant], request: Request, *, version: str) -> Response:
    """Ask an admin for the permissions that the app's registration requires. `version` is "" or "v2.0"."""
    asked = _query(request)
    form = dict(parse_qsl(request.body.decode("utf-8", "replace"))) if request.method == "POST" else {}
    try:
        platform = _platform(tenants, asked)
        if platform == "native":
            raise EntraError(50011)
        if version and not asked.get("scope"):
            raise EntraError(900144)
        if version and asked["scope"] != f"{GRAPH}/.default":
            raise EntraError(70011)
    except EntraError as error:
        return pages.error_page(error)
    wanted = frozenset().union(*(tenant.app.requested for tenant in tenants))
    if not form:
        return pages.consent_page(tenants, wanted)
    answer = {"admin_consent": "True"}
    state = {"state": asked["state"]} if "state" in asked else {}
    if form.get("action") != "accept":
        return pages.back(asked["redirect_uri"], answer | EntraError(65004).query | state)
    try:
        tenant, user = _who(tenants, form)
        if user["id"] not in tenant.app.sign_ins.administrators:
            raise EntraError(90094)
    except EntraError as error:
        return pages.error_page(error)
    tenant.app.consent = "granted"
    tenant.app.permissions = tenant.app.requested
    return pages.back(
        asked["redirect_uri"], answer | {"tenant": tenant.id} | ({"scope": asked["scope"]} if version else {}) | state
    )


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.path.partition("?")[2], keep_blank_values=True))


def _platform(tenants: list[Tenant], asked: Mapping[str, str]) -> str:
    """What kind of client asks. Raises EntraError where the redirect URI cannot be trusted with an answer."""
    if "client_id" not in asked or "redirect_uri" not in asked:
        raise EntraError(90014)
    apps = [tenant.app for tenant in tenants if tenant.app.client_id.lower() == asked["client_id"].lower()]
    if not apps:
        raise EntraError(700016)
    platform = apps[0].sign_ins.redirects.platform(asked["redirect_uri"])
    if platform is None:
        raise EntraError(50011)
    return platform


def _check_scope(tenants: list[Tenant], asked: Mapping[str, str]) -> None:
    app = next(tenant.app for tenant in tenants if tenant.app.client_id.lower() == asked["client_id"].lower())
    wants_api(asked.get("scope", ""), app)


def _challenge(asked: Mapping[str, str], platform: str) -> str:
    """The PKCE challenge: of every public client, and S256 only (kinder would be to take `plain`)."""
    challenge, method = asked.get("code_challenge", ""), asked.get("code_challenge_method", "")
    if not challenge and platform == "web":
        return ""
    if not challenge or method != "S256":
        raise EntraError(9002325)
    if not _CHALLENGE.fullmatch(challenge):
        raise EntraError(501491)
    return challenge


def _who(tenants: list[Tenant], form: Mapping[str, str]) -> tuple[Tenant, dict[str, Any]]:
    """Who pressed the button, or typed a name. Raises EntraError."""
    home, _, name = form.get("who", "").partition("/")
    for tenant in tenants:
        if tenant.id == home or (not home and tenant.directory.user(form.get("login", "").strip())):
            return tenant, person(tenant, name or form["login"].strip())
    raise EntraError(50034)
