"""What the demo says of runs and contacts."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from local.demo.calendar_checks import Line as Event
from local.demo.check import Finding
from local.demo.clients import Json, MailboxView
from local.demo.compare import choose, compare
from local.demo.problems import DemoError
from local.demo.show import Show, note, run_cells, share

ITEM = "/users/{id}/contactfolders/{id}/contacts/{id}"
CREATE = "POST /users/{id}/contactfolders/{id}/contacts"
EVENTS = "/users/{id}/calendars/{id}/events"
RUN: Json = {
    "state": "partial",
    "people": 10,
    "targets": 3,
    "mailboxes": {"done": 2, "set_aside": 1},
    "reasons": {"no_mailbox": 1},
    "counts": {"created": 20, "updated": 0, "deleted": 0},
    "graph": {"requests": 25, "http_calls": 4, "throttled": 0},
    "requested_at": "2026-11-02T01:00:00+00:00",
    "ended_at": "2026-11-02T01:00:07.500000+00:00",
}


@pytest.fixture
def show() -> tuple[Show, io.StringIO]:
    written = io.StringIO()
    return Show(plain=True, console=Console(file=written, width=130, color_system=None)), written


def contact(key: str, name: str, **values: object) -> Json:
    return {"id": key, "displayName": name, "emailAddresses": [{"address": f"{name}@example.com"}]} | values


def test_a_first_run_is_measured_by_contacts_and_a_later_one_by_mailboxes() -> None:
    queued = {"state": "queued", "people": 0, "targets": 0}
    running = {"state": "running", "people": 10, "targets": 3}
    first = {"templates": {"POST /users/{id}/contactfolders": 2, CREATE: 5}, "mailboxes": {"a": 8, "b": 3, "silent": 1}}
    later = {"templates": {CREATE: 1}, "mailboxes": {"a": 2, "b": 2}}
    assert share(queued, first) == (0, None)
    assert share(running, first) == (5, 20)
    assert share(running, later) == (2, 3)
    events = {"templates": {"POST /users/{id}/calendars": 2, f"POST {EVENTS}": 7}, "mailboxes": {"a": 8, "b": 8, "source": 3}}
    assert share(running, events) == (7, 30)
    assert share(running, {"templates": {}, "mailboxes": {"a": 1, "b": 1, "c": 1, "source": 3}}) == (3, 3)


def test_progress_in_words() -> None:
    counters: Json = {"templates": {CREATE: 1200, f"PATCH {ITEM}": 1}, "mailboxes": {"a": 1}, "requests": 1234}
    assert note(RUN, counters) == "1 of 3 mailboxes, 1,201 written, 1,234 requests"
    counters["templates"][f"POST {ITEM}/permanentdelete"] = 2
    assert "1,201 written, 2 removed, " in note(RUN, counters)


def test_a_report_names_what_was_set_aside_and_why(show: tuple[Show, io.StringIO]) -> None:
    assert run_cells(RUN)["Seconds"] == "7.5"
    show[0].run("First sync", RUN)
    text = show[1].getvalue()
    assert "First sync: partial" in text
    assert "Set aside: 1 no_mailbox" in text


def test_contacts_are_shown_with_what_became_of_them(show: tuple[Show, io.StringIO]) -> None:
    first = MailboxView(
        "Staff", "f", [contact("1", "Ada", mobilePhone="+1"), contact("2", "Bo"), contact("3", "Cy"), contact("4", "Di")]
    )
    before = MailboxView("Staff", "f", [contact for contact in first.ours if contact["id"] != "4"])
    after = MailboxView(
        "Staff",
        "f",
        [contact("1", "Ada"), contact("2", "Bo"), contact("5", "Di"), contact("6", "Eve", mobilePhone="[red]")],
        {"own": contact("own", "Mum")},
    )
    lines = compare(first, before, after)
    notes = {line.contact["displayName"]: line.note for line in lines}
    assert notes == {
        "Ada": "mobile +1 removed",
        "Bo": "",
        "Cy": "gone",
        "Di": "back again",
        "Eve": "new",
        "Mum": "their own",
    }
    show[0].contacts("Contacts", choose(lines, 6))
    assert "[red]" in show[1].getvalue()  # what people write is text, not markup


def test_those_that_changed_are_shown_first_then_many_scripts() -> None:
    people = [contact(str(number), f"Latin {number}") for number in range(20)] + [contact("j", "佐藤"), contact("u", "Олена")]
    before = MailboxView("Staff", "f", people)
    after = MailboxView("Staff", "f", [*people, contact("new", "New Hire")])
    shown = {line.contact["displayName"] for line in choose(compare(before, before, after), 4)}
    assert {"New Hire", "佐藤", "Олена"} < shown
    assert len(shown) == 4


def test_findings_and_errors_say_what_is_wrong_and_what_to_do(show: tuple[Show, io.StringIO]) -> None:
    show[0].findings([Finding("all there"), Finding("nothing twice", "Ada is there twice")])
    show[0].error(DemoError("it broke", "mend it"))
    text = show[1].getvalue()
    assert "WRONG nothing twice: Ada is there twice" in text
    assert "What to do next: mend it" in text


def test_a_calendar_is_shown_by_days_with_what_became_of_each_event(show: tuple[Show, io.StringIO]) -> None:
    def event(subject: str, start: str, end: str, *, all_day: bool = False) -> Json:
        return {
            "subject": subject,
            "isAllDay": all_day,
            "start": {"dateTime": f"2026-12-{start}:00.0000000"},
            "end": {"dateTime": f"2026-12-{end}:00.0000000"},
        }

    fair = Event(event("Fair", "01T00:00", "03T00:00", all_day=True))
    meeting = Event(event("[Kastanie] Meeting", "02T10:00", "02T11:30"), "cancelled")
    show[0].calendar("Calendar", [fair, meeting])
    rows = [line.split() for line in show[1].getvalue().splitlines() if "Fair" in line or "Meeting" in line]
    assert rows == [
        ["Tue", "1", "Dec", "all", "day", "Fair", "(1", "of", "2)"],
        ["Wed", "2", "Dec", "all", "day", "Fair", "(2", "of", "2)"],
        ["10:00-11:30", "[Kastanie]", "Meeting", "cancelled"],
    ]
