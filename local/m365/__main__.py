"""Runs the stand-in alone: `python -m local.m365 --port P --tenant FILE --record LOG`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from local.clock import SystemClock
from local.m365 import people, schema, tenant_file
from local.m365.faults import Fault, FaultKind
from local.m365.server import Server
from local.m365.service import Microsoft365
from local.m365.tenant_install import install

EPILOG = """The tenant file is described in docs/tenant-file.md. Without one, a built-in tenant of 250 people is served.
Switches of the running server (faults, clock, counters, directory, phones) are under http://HOST:PORT/control/."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.m365", description="A stand-in for Microsoft 365 on this machine.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--tenant", type=Path, metavar="FILE", help="JSON file with the tenant to serve")
    parser.add_argument("--record", type=Path, metavar="LOG", help="append one JSON line per request and batch item to this file")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="time that every request takes")
    parser.add_argument("--people", type=int, default=250, help="size of the built-in tenant (default: %(default)s)")
    parser.add_argument("--mailboxes", type=int, default=40, help="mailboxes in the built-in tenant (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        file = tenant_file.read(options.tenant) if options.tenant else people.demo_tenant(options.people, options.mailboxes)
        with ExitStack() as stack:
            record = stack.enter_context(options.record.open("ab", buffering=0)) if options.record else None
            service = Microsoft365(SystemClock(), record=record)
            schema.warm_up()
            install(service, file)
            if options.latency:
                service.faults.add(Fault(FaultKind.LATENCY, delay=options.latency))
            asyncio.run(_serve(service, options.host, options.port))
    except tenant_file.TenantFileError as error:
        for problem in error.problems:
            print(f"{options.tenant}: {problem}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(service: Microsoft365, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
            break
    async with Server(service, port, host) as server:
        for tenant in service.tenants.values():
            users = len(tenant.directory.users.objects)
            print(f"Microsoft 365 stand-in at {server.url}/v1.0 for {tenant.name} ({tenant.id}), {users} users", flush=True)
        await stop.wait()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
