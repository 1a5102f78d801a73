"""The app's registration as far as sign-in goes, and who calls the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from local.m365.entra.errors import EntraError

if TYPE_CHECKING:
    from local.m365.tenant import App, Tenant

SCOPE = "access_as_user"
"""The delegated permission that the app exposes."""

OIDC_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
_LOOPBACK = ("localhost", "127.0.0.1")


@dataclass(slots=True)
class Redirects:
    """Redirect URIs by platform (https://learn.microsoft.com/entra/identity-platform/reply-url)."""

    spa: tuple[str, ...] = ()
    native: tuple[str, ...] = ()
    web: tuple[str, ...] = ()

    def platform(self, uri: str) -> str | None:
        """Where a redirect URI is registered: "spa", "native", "web" or nowhere."""
        for name in ("spa", "native", "web"):
            if any(_matches(uri, registered) for registered in getattr(self, name)):
                return name
        return None


@dataclass(slots=True)
class Automation:
    """Another application of the tenant that calls the app by client credentials: its service principal there."""

    client_id: str
    secret: str
    object_id: str
    roles: frozenset[str] = frozenset()


@dataclass(slots=True)
class SignIns:
    """What the registration says of sign-in, and which app roles people have. Roles are by object id."""

    redirects: Redirects = field(default_factory=Redirects)
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    automation: dict[str, Automation] = field(default_factory=dict)
    administrators: set[str] = field(default_factory=set)


def _matches(uri: str, registered: str) -> bool:
    """Exact, but for the port of this very machine, which is not compared."""
    if uri == registered:
        return True
    asked, known = urlsplit(uri), urlsplit(registered)
    return (
        known.scheme == "http"
        and known.hostname in _LOOPBACK
        and (asked.scheme, asked.hostname, asked.path, asked.query) == (known.scheme, known.hostname, known.path, known.query)
        and not asked.fragment
        and asked.username is None
    )


def wants_api(scope: str, app: App) -> bool:
    """Whether these scopes ask for the app's own API besides OpenID Connect. Raises EntraError for any that are not right."""
    asked = scope.split()
    if not asked:
        raise EntraError(28003)
    wants = False
    for each in asked:
        if each in OIDC_SCOPES:
            continue
        resource, slash, name = each.rpartition("/")
        if not slash or not name:
            raise EntraError(70011)
        if resource.lower() not in (app.client_id.lower(), f"api://{app.client_id}".lower()):
            raise EntraError(500011)
        if name not in (SCOPE, ".default"):
            raise EntraError(65005)
        wants = True
    return wants


def person(tenant: Tenant, name: str) -> dict[str, Any]:
    """Somebody who can sign in, by id or user principal name. Raises EntraError."""
    user = tenant.directory.user(name)
    if user is None:
        raise EntraError(50034)
    if not user.get("accountEnabled", True):
        raise EntraError(50057)
    return user
