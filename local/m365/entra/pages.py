"""The pages that people see: plain HTML whose forms work without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from local.m365.entra.errors import EntraError
from local.m365.wire import Response

if TYPE_CHECKING:
    from local.m365.tenant import Tenant

_SHOWN = 30  # people
_STYLE = "body{font:16px sans-serif;max-width:40em;margin:3em auto}button{font:inherit;margin:.2em 0;text-align:left;width:100%}"


def page(title: str, body: str, status: int = 200) -> Response:
    """A page."""
    document = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>
<body><h1>{escape(title)}</h1>{body}</body></html>"""
    headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
    return Response(status, headers, document.encode())


def error_page(error: EntraError) -> Response:
    """What a browser gets where it must not be sent back to an address that nobody vouches for."""
    return page("Sorry, but we’re having trouble signing you in.", f"<p>{escape(error.description)}</p>", 400)


def sign_in_page(tenants: Iterable[Tenant], app_name: str, hint: str) -> Response:
    """Everybody who can sign in, those with an app role first; or a name may be typed."""
    parts = [f"<p>to continue to {escape(app_name)} (a stand-in for Microsoft Entra: no password is asked for)</p>"]
    for tenant in tenants:
        parts.append(f"<h2>{escape(tenant.name)}</h2>")
        parts += [_choice(user, tenant, f"{tenant.id}/{user['id']}") for user in _people(tenant)[:_SHOWN]]
    parts.append(
        f'<form method="post"><label>Somebody else: <input name="login" value="{escape(hint)}" autocomplete="off"></label>'
        "<button>Sign in</button></form>"
        '<form method="post"><button name="action" value="cancel">Cancel</button></form>'
    )
    return page("Sign in", "".join(parts))


def consent_page(tenants: Iterable[Tenant], permissions: Iterable[str]) -> Response:
    """What the app asks for, and who may accept it."""
    wanted = "".join(f"<li>{escape(name)}</li>" for name in sorted(permissions))
    parts = [f"<p>Rollcall would like to, for everybody in your organisation:</p><ul>{wanted}</ul>"]
    for tenant in tenants:
        parts.append(f"<h2>{escape(tenant.name)}</h2>")
        parts += [
            f'<form method="post"><input type="hidden" name="who" value="{tenant.id}/{user["id"]}">'
            f'<button name="action" value="accept">Accept as {escape(_label(user, tenant))}</button></form>'
            for user in _people(tenant)[:_SHOWN]
        ]
    parts.append('<form method="post"><button name="action" value="cancel">Cancel</button></form>')
    return page("Permissions requested: review for your organisation", "".join(parts))


def back(uri: str, answer: Mapping[str, str], mode: str = "query") -> Response:
    """Send the browser back to the app."""
    parts = urlsplit(uri)
    packed = urlencode(answer)
    if mode == "fragment":
        target = urlunsplit(parts._replace(fragment=packed))
    else:
        target = urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, packed)))))
    return Response(302, {"Location": target, "Cache-Control": "no-store"})


def _people(tenant: Tenant) -> list[dict[str, Any]]:
    able = [user for user in tenant.directory.users.objects.values() if user.get("accountEnabled", True)]
    signs = tenant.app.sign_ins
    return sorted(able, key=lambda user: (user["id"] not in signs.administrators, user["id"] not in signs.roles))


def _label(user: dict[str, Any], tenant: Tenant) -> str:
    signs = tenant.app.sign_ins
    marks = [
        *sorted(signs.roles.get(user["id"], ())),
        *(["directory administrator"] if user["id"] in signs.administrators else []),
    ]
    name = f"{user.get('displayName') or user['userPrincipalName']} <{user['userPrincipalName']}>"
    return f"{name} ({', '.join(marks)})" if marks else name


def _choice(user: dict[str, Any], tenant: Tenant, value: str) -> str:
    label = escape(_label(user, tenant))
    return f'<form method="post"><input type="hidden" name="who" value="{value}"><button>{label}</button></form>'
