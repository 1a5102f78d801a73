"""`python -m local.host`: run the function_app of the current folder until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import signal
from pathlib import Path
from types import FrameType

import azure.functions as func

import cloud.clock
from local.clock import SystemClock
from local.host.host import FunctionsHost
from local.host.settings import HostSettings, load_local_settings
from local.processes import exit_with_parent


def main() -> None:
    """Read the settings, import the app, serve."""
    parser = argparse.ArgumentParser(prog="python -m local.host", description=__doc__)
    parser.add_argument("--port", type=int, default=7071, help="HTTP port; 0: a free one (%(default)s)")
    parser.add_argument(
        "--lease", type=float, default=600, help="seconds a queue message stays with a host that died (%(default)g)"
    )
    parser.add_argument("--key", default="", help="opens functions behind a key; default: a new one, which is printed")
    parser.add_argument(
        "--settings", type=Path, default=Path("local.settings.json"), help="app settings, as Core Tools read them"
    )
    parser.add_argument("--host-json", type=Path, default=Path("host.json"), help="(%(default)s)")
    parser.add_argument("--drain", type=float, default=10, help="seconds for running functions to end when stopped (%(default)g)")
    options = parser.parse_args()
    exit_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)
    try:
        if options.settings.exists() or options.settings != parser.get_default("settings"):
            load_local_settings(options.settings)
        clock = SystemClock()
        cloud.clock.SystemClock = lambda: clock  # type: ignore[assignment,misc,return-value]  # for the app, too
        host = FunctionsHost(
            load_app("function_app"),
            HostSettings.read(options.host_json),
            lease=options.lease,
            key=options.key,
            port=options.port,
            clock=clock,
        )
        asyncio.run(_serve(host, options.drain, show_key=not options.key))
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")


def load_app(module: str) -> func.FunctionApp:
    """Import a module and return its only FunctionApp, as the worker does. Raises ValueError."""
    apps = [value for value in vars(importlib.import_module(module)).values() if isinstance(value, func.FunctionApp)]
    if len(apps) != 1:
        raise ValueError(f"{module} must hold exactly one FunctionApp, not {len(apps)}")
    return apps[0]


async def _serve(host: FunctionsHost, drain: float, *, show_key: bool) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait
        loop.call_soon_threadsafe(told.set)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        await host.start()
        print(f"Functions host is listening on {host.url}" + (f" with key {host.key}" if show_key else ""), flush=True)
        await told.wait()
    finally:
        await host.stop(drain if told.is_set() else 0)


if __name__ == "__main__":
    main()
