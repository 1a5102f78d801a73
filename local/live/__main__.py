"""`make live`: reads the environment, tries it, records a transcript. Exit status 0: all well; 1: not; 2: not run."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx

from local.clock import SystemClock
from local.live.program import Account, FailedError, Trial
from sync_core.errors import RollcallError

TRANSCRIPTS = Path(__file__).parents[2] / "tests" / "live" / "transcripts"
NEEDED = ("ROLLCALL_LIVE_TENANT", "ROLLCALL_LIVE_CLIENT_ID", "ROLLCALL_LIVE_MAILBOXES")
PROOFS = ("ROLLCALL_LIVE_CLIENT_SECRET", "ROLLCALL_LIVE_CERTIFICATE")
GRAPH = "https://graph.microsoft.com/v1.0"
AUTHORITY = "https://login.microsoftonline.com"


class NotRunError(Exception):
    """The environment does not say where to try it."""


def account(environ: Mapping[str, str]) -> Account:
    """Who and where, by the environment. Raises NotRunError that names what is missing or wrong."""
    missing = [name for name in NEEDED if not environ.get(name)]
    proofs = [name for name in PROOFS if environ.get(name)]
    if len(proofs) != 1:
        missing.append(" or ".join(PROOFS))
    if missing:
        raise NotRunError(f"set {', '.join(missing)} (docs/live.md)")
    mailboxes = [part.strip().lower() for part in environ["ROLLCALL_LIVE_MAILBOXES"].split(",") if part.strip()]
    try:
        tenant, *_ = [str(UUID(part)) for part in (environ["ROLLCALL_LIVE_TENANT"], *mailboxes)]
    except ValueError:
        raise NotRunError("ROLLCALL_LIVE_TENANT and ROLLCALL_LIVE_MAILBOXES must be object ids") from None
    if not 1 <= len(mailboxes) <= 2:
        raise NotRunError("ROLLCALL_LIVE_MAILBOXES must name one or two test mailboxes")
    try:
        proof = Path(environ[PROOFS[1]]).read_bytes() if proofs == [PROOFS[1]] else environ[PROOFS[0]].encode()
    except OSError as error:
        raise NotRunError(f"{PROOFS[1]} cannot be read: {type(error).__name__}") from None
    graph = environ.get("ROLLCALL_LIVE_GRAPH") or GRAPH
    authority = environ.get("ROLLCALL_LIVE_AUTHORITY") or AUTHORITY
    return Account(tenant, environ["ROLLCALL_LIVE_CLIENT_ID"], proof, mailboxes, graph, authority)


def main(arguments: Sequence[str], environ: Mapping[str, str], *, transcripts: Path = TRANSCRIPTS) -> int:
    """Run it; returns the exit status."""
    parser = ArgumentParser(prog="make live", description="Try the sync on a real tenant: see docs/live.md.")
    parser.add_argument("--clean", action="store_true", help="only take out what a trial that was killed has left")
    options = parser.parse_args(arguments)
    try:
        known = account(environ)
    except NotRunError as error:
        print(f"NOT RUN: {error}")
        return 2
    return asyncio.run(_run(known, transcripts, clean=options.clean))


async def _run(known: Account, transcripts: Path, *, clean: bool) -> int:
    trial = Trial(known, SystemClock(), httpx.AsyncHTTPTransport(retries=0), print)
    try:
        await (trial.clean() if clean else trial.run())
    except (FailedError, RollcallError) as error:
        print(f"FAILED in step {trial.transcript.step!r}: {type(error).__name__}: {error}")
        return 1
    finally:
        await trial.close()
    if not clean:
        file = transcripts / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.jsonl"
        trial.transcript.save(file)
        print(f"Transcript: {file}. Look it through before you commit it.")
    print("DONE: nothing was left behind.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
