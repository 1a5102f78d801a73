"""Routes HTTP requests to functions as the Azure Functions host does.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import unquote

import azure.functions as func
from aiohttp import web
from multidict import CIMultiDict

from local.clock import SystemClock
from local.host.functions import Function, Work
from local.host.timers import Timer
from sync_core.ports import Clock

_log = logging.getLogger(__name__)
_LARGEST_BODY = 210_000_000  # bytes; https://learn.microsoft.com/azure/azure-functions/functions-scale#service-limits
_PARAMETER = re.compile(r"\{(?P<all>\*{0,2})(?P<name>\w+)(?::(?P<type>[^?}]+))?(?P<optional>\?)?\}")
_TYPES = {
    None: r"[^/]+",
    "int": r"-?\d+",
    "long": r"-?\d+",
    "guid": r"[0-9A-Fa-f-]{36}",
    "alpha": r"[A-Za-z]+",
    "bool": r"(?:true|false)",
}


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    rank: tuple[int, ...]  # how general each segment is: literal, typed parameter, parameter, rest of the path
    methods: frozenset[str]  # none: all
    function: Function


def _route(function: Function, prefix: str) -> _Route:
    template = "/".join(filter(None, (prefix.strip("/"), (function.trigger.get("route") or function.name).strip("/"))))
    pattern = ""
    rank: list[int] = []
    for segment in template.split("/"):
        parameter = _PARAMETER.fullmatch(segment)
        if parameter is None:
            if "{" in segment:
                raise ValueError(f"{function.name}: this host cannot route {segment}")
            pattern += "/" + re.escape(segment)
            rank.append(0)
            continue
        name, kind = parameter["name"], parameter["type"]
        if kind not in _TYPES:
            raise ValueError(f"{function.name}: this host has no route constraint {kind}")
        one = f"/(?P<{name}>{'.*' if parameter['all'] else _TYPES[kind]})"
        pattern += f"(?:{one})?" if parameter["all"] or parameter["optional"] else one
        rank.append(3 if parameter["all"] else 2 if kind is None else 1)
    methods = frozenset(getattr(method, "value", method) for method in function.trigger.get("methods") or ())
    return _Route(re.compile(pattern + "/?", re.IGNORECASE), tuple(rank), methods, function)


class HttpServer:
    """Serves the HTTP functions, and two admin endpoints: one fires timers, one sets the clock ahead."""

    def __init__(
        self, functions: Iterable[Function], timers: Mapping[str, Timer], prefix: str, key: str, work: Work, clock: Clock
    ) -> None:
        """Whoever shows `key` may call everything. Raises ValueError for a route that this host does not understand."""
        self._routes = sorted((_route(function, prefix) for function in functions), key=lambda route: route.rank)
        self._timers = timers
        self._key = key
        self._work = work
        self._clock = clock
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, port: int) -> int:
        """Listen, and return the port: a free one for 0."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_post("/admin/functions/{name}", self._fire)
        app.router.add_post("/admin/advance", self._advance)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Answers under way have had their time when the invocations were waited for.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def stop_listening(self) -> None:
        """Take no new connections."""
        for site in list(self._runner.sites) if self._runner else ():
            await site.stop()

    async def stop(self) -> None:
        """Close everything."""
        if self._runner:
            await self._runner.cleanup()

    def _may(self, request: web.Request) -> bool:
        shown = request.headers.get("x-functions-key") or request.query.get("code") or ""
        return hmac.compare_digest(shown.encode(), self._key.encode())

    async def _handle(self, request: web.Request) -> web.Response:
        for route in self._routes:
            match = route.pattern.fullmatch(request.rel_url.raw_path)
            if match and (not route.methods or request.method in route.methods):
                break
        else:
            # Also where only the method is wrong: https://github.com/Azure/azure-functions-host/issues/10098
            return web.Response(status=404)
        level = route.function.trigger.get("authLevel")
        if getattr(level, "value", level) != func.AuthLevel.ANONYMOUS.value and not self._may(request):
            return web.Response(status=401)
        argument = func.HttpRequest(
            method=request.method,
            url=f"{request.scheme}://{request.host}{request.raw_path}",
            headers=_joined(request.headers.items()),
            params=_joined(request.query.items()),
            route_params={name: unquote(value) for name, value in match.groupdict().items() if value is not None},
            body=await request.read(),
        )
        try:
            result = await self._work.start(route.function.invoke(argument), reads=request.method == "GET")
            return _response(result)
        except Exception:
            _log.exception("%s failed", route.function.name)
            return web.Response(status=500)

    async def _fire(self, request: web.Request) -> web.Response:
        """https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http ."""
        if not self._may(request):
            return web.Response(status=401)
        name = request.match_info["name"]
        timer = self._timers.get(name)
        if timer is None:
            return web.Response(status=404)

        async def fire() -> None:
            try:
                await timer.fire()
            except Exception:
                _log.exception("%s failed", name)

        self._work.start(fire())
        return web.Response(status=202)

    async def _advance(self, request: web.Request) -> web.Response:
        """Ours, not Azure's: what comes with the next night can be seen today. `{"seconds": 86400}`."""
        if not self._may(request):
            return web.Response(status=401)
        if not isinstance(self._clock, SystemClock):
            return web.Response(status=409)
        self._clock.advance(timedelta(seconds=(await request.json())["seconds"]))
        return web.Response(status=204)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Values of one name, joined by commas as the host joins them."""
    joined: CIMultiDict[str] = CIMultiDict()
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return dict(joined)


def _response(result: object) -> web.Response:
    if isinstance(result, str):
        return web.Response(text=result)
    if not isinstance(result, func.HttpResponse):
        raise TypeError(f"an HTTP function must return an HttpResponse or a str, not {type(result).__name__}")
    headers = CIMultiDict(result.headers.items())
    if "Content-Type" not in headers:
        headers["Content-Type"] = (
            f"{result.mimetype}; charset={result.charset}" if result.mimetype.startswith("text/") else result.mimetype
        )
    return web.Response(status=result.status_code, headers=headers, body=result.get_body())
