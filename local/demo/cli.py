"""`python -m local demo`: the whole of it, from nothing to two checked syncs."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from api.principal import Role
from local.demo import check, second_list, story
from local.demo.clients import SYNC, Admin, Json, Reader, StageHand
from local.demo.compare import choose, compare
from local.demo.problems import DemoError
from local.demo.show import Show
from local.demo.stage import Stage, stage
from local.m365 import people, tenant_file
from local.m365.mailbox import MailboxState
from local.m365.tenant_file import TenantFile

_SHOWN = 18  # contacts
_LOOK_EVERY = 0.4  # seconds
_PATIENCE = 900.0  # seconds


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
        return Demo(show, tenant).play(options.tenant, options.record, serve=options.serve)
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


class Demo:
    """One performance."""

    def __init__(self, show: Show, tenant: TenantFile) -> None:
        self._show = show
        self._tenant = tenant
        self._findings: list[check.Finding] = []

    def play(self, file: Path | None, record: Path | None, *, serve: bool) -> int:
        """Everything, in order. Raises DemoError."""
        show, started = self._show, time.monotonic()
        show.step("Starting storage (Azurite), Microsoft 365 (a stand-in) and the functions host (with the real app)")
        with stage(self._tenant, file=file, record=record) as on:
            show.say(f"Up after {time.monotonic() - started:.0f} s.")
            self._perform(on)
            wrong = [finding for finding in self._findings if finding.wrong]
            if wrong:
                raise DemoError(
                    f"{len(wrong)} of {len(self._findings)} checks failed", "Read the lines marked WRONG, and the logs"
                )
            show.step(f"All {len(self._findings)} checks passed, {time.monotonic() - started:.0f} s in all.")
            if serve:
                self._serve(on)
        return 0

    def _perform(self, on: Stage) -> None:
        show, tenant = self._show, str(self._tenant.id)
        admin, hand, reader = Admin(on, self._tenant), StageHand(on, tenant), Reader(on, self._tenant)
        users = reader.users()
        targets = sorted(check.targets(users))
        full = {user.user_principal_name for user in self._tenant.users if user.mailbox == MailboxState.FULL}
        writable = [user["id"] for user in users if user["userPrincipalName"] not in full]

        def look() -> check.Views:
            return {user: reader.mailbox(user) if user in writable else None for user in targets}

        untouched = look()
        show.say(f"{self._tenant.display_name}: {len(users)} accounts, {len(targets)} of them with a mailbox.")
        admin.everybody(self._tenant.display_name[:100])

        show.step("First sync")
        run = self._run(admin, hand, "due", "First sync")
        first = look()
        self._judge(
            check.check_people(users, first),
            check.check_unreachable(first, admin.mailboxes(run["run"])),
            check.check_foreign(untouched, first),
        )

        show.step("Meanwhile")
        plot = story.change_directory(hand, users)
        served = [user for user in targets if (view := first[user]) and view.ours]
        owner = max(served, key=lambda user: len(first[user].foreign) if first[user] else 0, default="")  # type: ignore[union-attr]
        if owner and (view := first[owner]):
            story.use_phone(hand, owner, view, plot)
        else:
            plot.skipped.append("everything on the phone: no mailbox can be reached")
        for line in plot.told:
            show.say(line)
        for line in plot.skipped:
            show.say(f"left out, {line}")
        before = look()

        show.step("Second sync")
        self._run(admin, hand, "changes", "Second sync")
        users = reader.users()
        after = look()
        self._judge(
            check.check_people(users, after),
            check.check_foreign(before, after),
            *([check.check_removed_number(after, plot)] if plot.removed_from else []),
        )
        if owner and (one := first[owner]) and (two := before[owner]) and (three := after[owner]):
            name = next(user["displayName"] for user in users if user["id"] == owner)
            lines = choose(compare(one, two, three), _SHOWN)
            show.step("On a phone")
            show.contacts(
                f"{three.folder}: {len(lines)} of {len(three.ours)} contacts in the mailbox of {name}, over Graph", lines
            )

        self._play_second_list(admin, hand, reader, [user for user in targets if after[user]])

    def _play_second_list(self, admin: Admin, hand: StageHand, reader: Reader, mailboxes: list[str]) -> None:
        """A list of two sources, a held run, its release, and an undo."""
        show, sync = self._show, second_list.SYNC
        show.step("A second list: a group under a rule, and the contacts of a shared mailbox")
        cast = second_list.cast(reader, reader.users(), mailboxes)
        if cast is None:
            show.say("left out, no group of a good size has somebody in it without a mobile number")
            return
        admin.define(sync, second_list.share_contacts(hand, cast))
        show.say(
            f"Preview, before anything is written ({cast.group['displayName']}, those with a mobile number, and Purchasing):"
        )
        for line in second_list.in_words(admin.preview(sync)):
            show.say(line)
        self._follow(admin, hand, lambda: admin.start("due", sync), "Run")
        before = second_list.look(reader, cast)
        self._judge(
            second_list.check_names("each mailbox shows the group and the suppliers, each once", before, cast.everybody),
            second_list.check_merged(cast, before),
        )

        show.step("A mishap")
        show.say(second_list.empty_group(hand, cast))
        held = self._follow(admin, hand, lambda: admin.start("due", sync), "Run", good=("held",))
        show.say(f"Held ({held['reason']}): it would take {held['would']['people_removed']} people out of every mailbox.")
        self._judge(second_list.check_names("a held run changes nothing", second_list.look(reader, cast), cast.everybody))
        released = self._follow(admin, hand, lambda: admin.judge(held["run"], "release"), "Released")
        after = second_list.look(reader, cast)
        self._judge(second_list.check_names("once released it does what it said", after, cast.after_mishap))
        self._follow(admin, hand, lambda: admin.judge(released["run"], "undo"), "Undone")
        self._judge(second_list.check_same(before, second_list.look(reader, cast)))

    def _run(self, admin: Admin, hand: StageHand, closely: str, title: str) -> Json:
        """Start a run of the first list, follow it to its end, show and check its report."""
        run = self._follow(admin, hand, lambda: admin.start(closely), title)
        counters = hand.counters()
        self._judge(check.check_report(run, counters), check.check_manners(counters))
        return run

    def _follow(
        self,
        admin: Admin,
        hand: StageHand,
        start: Callable[[], str],
        title: str,
        good: tuple[str, ...] = ("succeeded", "partial"),
    ) -> Json:
        """Start a run, follow it to its end and show its report. Raises DemoError when it does not end well."""
        hand.reset()
        run_id = start()
        deadline = time.monotonic() + _PATIENCE
        with self._show.progress(title) as progress:
            while (run := admin.run(run_id))["state"] in ("queued", "running"):
                if time.monotonic() > deadline:
                    raise DemoError(f"{title} is still {run['state']} after {_PATIENCE:.0f} s", "Read the logs in .local/demo")
                progress.update(run, hand.counters())
                time.sleep(_LOOK_EVERY)
        self._show.run(title, run)
        if run["state"] not in good:
            raise DemoError(
                f"the run is {run['state']}: {run['reason']} {run['detail'] or ''}".rstrip(),
                "docs/operations.md says what this reason means",
            )
        return run

    def _judge(self, *findings: check.Finding) -> None:
        self._findings += findings
        self._show.findings(findings)

    def _serve(self, on: Stage) -> None:
        show, tenant = self._show, self._tenant
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
            show.say(f"{what}:\n    {command}")
        show.say(f"storage:\n    {on.storage}")
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
