"""The stand-in as an HTTP server. Graph and sign-in share one address; `/control` is ours."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from local.m365.batch import LARGEST
from local.m365.control import switches
from local.m365.service import Microsoft365
from local.m365.wire import ConnectionDropped, Request


class Server:
    """An HTTP server round the core. Use as an async context manager; `url` is known once it runs."""

    def __init__(self, service: Microsoft365, port: int = 0, host: str = "127.0.0.1") -> None:
        self.service = service
        self.url = ""
        self._host = host
        self._port = port
        app = web.Application(client_max_size=2 * LARGEST)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)

    async def __aenter__(self) -> Server:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        address: Any = self._runner.addresses[0]
        self.url = f"http://{self._host}:{address[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        base = f"{request.scheme}://{request.host}"
        neutral = Request(request.method, request.raw_path, headers, await request.read(), base)
        if neutral.path.startswith("/control/"):
            response = switches.handle(self.service, neutral).response()
            return web.Response(status=response.status, headers=response.headers, body=response.body)
        try:
            response = await self.service.handle(neutral)
        except ConnectionDropped:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=504)  # nobody will read it
        return web.Response(status=response.status, headers=response.headers, body=response.body)
