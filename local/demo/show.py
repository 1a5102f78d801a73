"""What the demo prints: live on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import textwrap
import time
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from local.demo.calendar_checks import Line as Event
from local.demo.calendar_checks import days_of
from local.demo.check import Finding
from local.demo.clients import Json
from local.demo.compare import Line
from local.demo.problems import DemoError

_PLAIN_WIDTH = 130
_PLAIN_EVERY = 3.0  # seconds
_MARGIN = 8  # what stands before a finding
_FOLDERS = ("POST /users/{id}/contactfolders", "POST /users/{id}/calendars")
_LISTS = ("/users/{id}/contactfolders/{id}/contacts", "/users/{id}/calendars/{id}/events")
_CREATES = tuple(f"POST {items}" for items in _LISTS)
_UPDATES = tuple(f"PATCH {items}/{{id}}" for items in _LISTS)
_REMOVALS = tuple(call for items in _LISTS for call in (f"POST {items}/{{id}}/permanentdelete", f"DELETE {items}/{{id}}"))


class Show:
    """Where the demo prints to."""

    def __init__(self, *, plain: bool, console: Console | None = None) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # names in many scripts, whatever the locale is
        self.console = console or (
            Console(width=_PLAIN_WIDTH, color_system=None, force_terminal=False) if plain else Console(highlight=False)
        )
        self._live = self.console.is_terminal and not plain

    def step(self, text: str) -> None:
        """A new part of the demo."""
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def say(self, text: str, *, wrap: bool = True) -> None:
        """A sentence. What is to be copied from the screen is not wrapped."""
        plain = text.lstrip()
        indent = "  " + text[: len(text) - len(plain)]
        width = max(self.console.width - len(indent), _MARGIN)
        lines = textwrap.wrap(plain, width, break_long_words=False) if wrap else [plain]
        for line in lines:
            self.console.print(f"{indent}{escape(line)}", soft_wrap=True)

    def findings(self, findings: Iterable[Finding]) -> None:
        """What was checked."""
        for finding in findings:
            sign = "[red]WRONG[/red]" if finding.wrong else "[green]ok[/green]   "
            tail = f": {finding.wrong}" if finding.wrong else ""
            lines = textwrap.wrap(finding.what + tail, max(self.console.width - _MARGIN, _MARGIN), break_long_words=False)
            for number, line in enumerate(lines):
                self.console.print(f"  {'     ' if number else sign} {escape(line)}", soft_wrap=True)

    def error(self, error: DemoError) -> None:
        """Why it ended, and what to do next."""
        self.console.print(f"\n[red bold]The demo stopped:[/red bold] {escape(error.what)}", soft_wrap=True)
        self.console.print(f"[bold]What to do next:[/bold] {escape(error.todo)}", soft_wrap=True)

    @contextmanager
    def progress(self, what: str) -> Iterator[RunProgress]:
        """Follow one run for as long as the block lasts."""
        if not self._live:
            yield _PlainProgress(self)
            return
        columns = (TextColumn(what), BarColumn(24), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as bars:
            yield _LiveProgress(bars)

    def run(self, title: str, run: Json, of: str = "People") -> None:
        """What one run did. `of` is what its items are called."""
        table = Table(title=f"{title}: {run['state']}", box=SIMPLE_HEAD, title_justify="left", title_style="bold")
        cells = run_cells(run, of)
        for name in cells:
            table.add_column(name, justify="right")
        table.add_row(*cells.values())
        self.console.print(table)
        if run["reasons"]:
            self.say("Set aside: " + ", ".join(f"{count} {reason}" for reason, count in sorted(run["reasons"].items())))

    def contacts(self, title: str, lines: Iterable[Line]) -> None:
        """Contacts as a phone shows them."""
        table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
        for name, least in (("Name", 18), ("Title", 12), ("Mobile", 14), ("Work", 14), ("In the second sync", 20)):
            table.add_column(name, min_width=least, overflow="fold")
        for line in lines:
            contact = line.contact
            style = {"gone": "red strike", "new": "green", "": ""}.get(line.note, "yellow")
            cells = [contact.get("displayName") or "", contact.get("jobTitle") or "", contact.get("mobilePhone") or ""]
            cells += ["\n".join(contact.get("businessPhones") or contact.get("homePhones") or ()), line.note]
            table.add_row(*(escape(self._isolated(cell)) for cell in cells), style=style)
        self.console.print(table)

    def calendar(self, title: str, lines: Iterable[Event]) -> None:
        """Events as a calendar shows them: a line for each day that an event is on."""
        table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
        for name, least in (("Day", 10), ("Time", 11), ("Event", 30), ("Where", 12), ("Changed", 12)):
            table.add_column(name, min_width=least, overflow="fold")
        shown = [(day, number, line) for line in lines for number, day in enumerate(days_of(line.event), 1)]
        last = None
        for day, number, line in sorted(shown, key=lambda found: found[0]):
            event, style = line.event, {"cancelled": "red strike", "": ""}.get(line.note, "yellow")
            days = len(days_of(event))
            when = "all day" if event["isAllDay"] else "-".join(event[side]["dateTime"][11:16] for side in ("start", "end"))
            subject = f"{event['subject']} ({number} of {days})" if days > 1 else event["subject"]
            place = (event.get("location") or {}).get("displayName") or ""
            heading = "" if day == last else f"{day:%a} {day.day:2} {day:%b}"
            table.add_row(heading, *(escape(self._isolated(cell)) for cell in (when, subject, place, line.note)), style=style)
            last = day
        self.console.print(table)

    def _isolated(self, text: str) -> str:
        """Text from right to left set apart, so that a terminal does not turn the whole row round."""
        if self._live and any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
            return f"\u2068{text}\u2069"
        return text


class RunProgress:
    """How far a run has got."""

    def update(self, run: Json, counters: Json) -> None:
        """Show it."""
        raise NotImplementedError


class _LiveProgress(RunProgress):
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None, note="queued")

    def update(self, run: Json, counters: Json) -> None:
        done, total = share(run, counters)
        self._bars.update(self._task, completed=done, total=total, note=note(run, counters))


class _PlainProgress(RunProgress):
    def __init__(self, show: Show) -> None:
        self._show = show
        self._next = time.monotonic() + _PLAIN_EVERY

    def update(self, run: Json, counters: Json) -> None:
        if time.monotonic() >= self._next:
            self._show.say(note(run, counters))
            self._next = time.monotonic() + _PLAIN_EVERY


def share(run: Json, counters: Json) -> tuple[int, int | None]:
    """How much of a run is done, of how much: items of a first run, mailboxes of another; unknown before it is planned."""
    if run["state"] == "queued" or not run["targets"]:
        return 0, None
    if not _count(counters, _FOLDERS):
        return _mailboxes(run, counters), run["targets"]
    # a mailbox that cannot be reached answers one request and gets nothing
    silent = sum(count == 1 for count in counters["mailboxes"].values())
    return _count(counters, _CREATES), max(run["people"] * (run["targets"] - silent), 1)


def note(run: Json, counters: Json) -> str:
    """How far a run has got, in words."""
    written, removed = _count(counters, _CREATES + _UPDATES), _count(counters, _REMOVALS)
    state = "queued" if run["state"] == "queued" else f"{_mailboxes(run, counters)} of {run['targets']} mailboxes"
    gone = f"{removed:,} removed, " if removed else ""
    return f"{state}, {written:,} written, {gone}{counters['requests']:,} requests"


def _mailboxes(run: Json, counters: Json) -> int:
    """How many mailboxes were asked for something; those that are a source, too, as far as they are not more than the targets."""
    return min(len(counters["mailboxes"]), int(run["targets"]))


def _count(counters: Json, templates: Iterable[str]) -> int:
    return sum(counters["templates"].get(template, 0) for template in templates)


def run_cells(run: Json, of: str = "People") -> dict[str, str]:
    """A run's report, ready to be shown."""
    from datetime import datetime

    took = datetime.fromisoformat(run["ended_at"]) - datetime.fromisoformat(run["requested_at"])
    return {
        of: f"{run['people']:,}",
        "Mailboxes": f"{run['mailboxes'].get('done', 0):,}",
        "Created": f"{run['counts']['created']:,}",
        "Updated": f"{run['counts']['updated']:,}",
        "Deleted": f"{run['counts']['deleted']:,}",
        "Set aside": f"{run['mailboxes'].get('set_aside', 0):,}",
        "Requests": f"{run['graph']['requests']:,}",
        "HTTP calls": f"{run['graph']['http_calls']:,}",
        "Seconds": f"{took.total_seconds():.1f}",
    }
