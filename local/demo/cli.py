"""`python -m local demo`: the whole of it, from nothing to two checked syncs."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from api.principal import Role
from local.demo import company_calendar, erasure, first_list, second_list
from local.demo.clients import SYNC
from local.demo.performance import Performance
from local.demo.problems import DemoError
from local.demo.show import Show
from local.demo.stage import Stage, stage
from local.m365 import people, tenant_file
from local.m365.tenant_file import TenantFile


def main(arguments: list[str]) -> int:
    """Run the demo. Returns the exit status: 0, 1 when something is wrong, 2 for wrong arguments, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m local demo", description="A whole installation on this machine.")
    parser.add_argument("--plain", action="store_true", help="no colours and no live display: for logs")
    parser.add_argument("--serve", action="store_true", help="stay up afterwards")
    parser.add_argument("--tenant", type=Path, metavar="FILE", help="serve this tenant (docs/tenant-file.md)")
    parser.add_argument("--record", type=Path, metavar="LOG", help="append what Microsoft 365 is asked to this file")
    options = parser.parse_args(arguments)
    show = Show(plain=options.plain)
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _leave)
    try:
        tenant = tenant_file.read(options.tenant) if options.tenant else people.demo_tenant()
        return play(show, tenant, options.tenant, options.record, serve=options.serve)
    except tenant_file.TenantFileError as error:
        for problem in error.problems:
            print(f"{options.tenant}: {problem}", file=sys.stderr)
        print("What to do next: correct the file; docs/tenant-file.md describes it", file=sys.stderr)
        return 2
    except DemoError as error:
        show.error(error)
        return 1
    except KeyboardInterrupt:
        show.say("Interrupted; everything is stopped.")
        return 130


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what signal handlers take
    sys.exit(128 + number)


def play(show: Show, tenant: TenantFile, file: Path | None, record: Path | None, *, serve: bool) -> int:
    """Everything, in order. Raises DemoError."""
    started = time.monotonic()
    show.step("Starting storage (Azurite), Microsoft 365 (a stand-in) and the functions host (with the real app)")
    with stage(tenant, file=file, record=record) as on:
        show.say(f"Up after {time.monotonic() - started:.0f} s.")
        performance = Performance(show, tenant, on)
        mailboxes = first_list.play(performance)
        second_list.play(performance, mailboxes)
        company_calendar.play(performance, mailboxes)
        erasure.play(performance, mailboxes)
        findings = performance.findings
        if wrong := sum(bool(finding.wrong) for finding in findings):
            raise DemoError(f"{wrong} of {len(findings)} checks failed", "Read the lines marked WRONG, and the logs")
        show.step(f"All {len(findings)} checks passed, {time.monotonic() - started:.0f} s in all.")
        if serve:
            _stay(show, tenant, on)
    return 0


def _stay(show: Show, tenant: TenantFile, on: Stage) -> None:
    """Tell what can be tried, and wait for Ctrl-C. Raises DemoError."""
    base = f"{on.host}/api"
    key = '-H "Authorization: Bearer $TOKEN"'
    show.step("Everything stays up until Ctrl-C. For example, from this folder:")
    for what, command in (
        *sign_ins(tenant, on.microsoft365),
        ("start a run", f"curl -X POST {key} {base}/syncs/{SYNC}/runs"),
        ("the newest runs", f"curl {key} {base}/runs"),
        ("the sync", f"curl {key} {base}/syncs/{SYNC}"),
        ("empty the caches", f"curl -X POST {key} {base}/purge"),
        ("what Microsoft 365 served", f"curl {on.microsoft365}/control/counters"),
        (
            "a token for Graph",
            f"curl -d grant_type=client_credentials -d client_id={tenant.app.client_id} "
            f"-d client_secret={tenant.app.client_secret} -d scope=https://graph.microsoft.com/.default "
            f"{on.microsoft365}/{tenant.id}/oauth2/v2.0/token",
        ),
        ("people, with that token", f'curl -H "Authorization: Bearer ..." {on.microsoft365}/v1.0/users'),
    ):
        show.say(f"{what}:\n    {command}", wrap=False)
    show.say(f"storage:\n    {on.storage}", wrap=False)
    try:
        while not on.ended():
            time.sleep(1)
    except KeyboardInterrupt:
        return
    raise DemoError(f"{on.ended()} has ended", "Read the logs in .local/demo")


def sign_ins(tenant: TenantFile, microsoft365: str) -> Iterator[tuple[str, str]]:
    """How to get tokens for the app's own API."""
    app = tenant.app
    for name in app.roles.get(Role.ADMIN, [])[:1]:
        arguments = f"{microsoft365} {tenant.id} {app.client_id} {name}"
        yield "sign in as an administrator", f"TOKEN=$({shlex.quote(sys.executable)} -m local.m365.entra.browser {arguments})"
    for client in app.automation[:1]:
        yield (
            "a token for the API as a script",
            f"curl -d grant_type=client_credentials -d client_id={client.client_id} -d client_secret={client.client_secret} "
            f"-d scope=api://{app.client_id}/.default {microsoft365}/{tenant.id}/oauth2/v2.0/token",
        )
