"""Signs a person in as an app and a browser would together: `python -m local.m365.entra.browser URL TENANT CLIENT_ID USER`."""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import sys
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from local.m365.entra.apps import SCOPE


class SignInFailedError(Exception):
    """Entra refused; the text is what it showed or sent back."""


async def sign_in(
    http: httpx.AsyncClient, authority: str, tenant: str, client_id: str, user: str, *, redirect_uri: str = "http://localhost"
) -> dict[str, Any]:
    """The token endpoint's answer for a person by user principal name. Raises SignInFailedError."""
    verifier, state = token_urlsafe(48), token_urlsafe(12)
    base = f"{authority}/{tenant}/oauth2/v2.0"
    scope = f"openid profile offline_access api://{client_id}/{SCOPE}"
    query = {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "nonce": token_urlsafe(12),
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    shown = await http.get(f"{base}/authorize", params=query)
    if shown.status_code == 200:
        shown = await http.post(shown.url, data={"login": user})
    if shown.status_code != 302:
        raise SignInFailedError(shown.text)
    answer = {name: values[0] for name, values in parse_qs(urlsplit(shown.headers["Location"]).query).items()}
    if answer.get("state") != state or "code" not in answer:
        raise SignInFailedError(str(answer))
    form = {
        "client_id": client_id,
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    tokens = await http.post(f"{base}/token", data=form)
    if tokens.status_code != 200:
        raise SignInFailedError(tokens.text)
    return dict(tokens.json())


def challenge_of(verifier: str) -> str:
    """The PKCE challenge of a verifier (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


async def _print_token(authority: str, tenant: str, client_id: str, user: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            tokens = await sign_in(http, authority, tenant, client_id, user)
        except (SignInFailedError, httpx.HTTPError) as error:
            print(error, file=sys.stderr)
            return 1
    print(tokens["access_token"])
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Print an access token. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.m365.entra.browser", description="Sign in at the stand-in.")
    for name in ("authority", "tenant", "client_id", "user"):
        parser.add_argument(name)
    return asyncio.run(_print_token(**vars(parser.parse_args(arguments))))


if __name__ == "__main__":
    sys.exit(main())
