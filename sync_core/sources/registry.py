"""From what a sync's definition names to the source itself."""

from __future__ import annotations

from sync_core.definition import (
    FromCalendar,
    FromDirectory,
    FromFile,
    FromGroup,
    FromMailbox,
    FromOrgContacts,
    FromPush,
    SourceDefinition,
)
from sync_core.event_rules import EventRules
from sync_core.sources.base import Reading, Source
from sync_core.sources.calendar import CalendarEvents
from sync_core.sources.directory import DirectoryUsers
from sync_core.sources.group import GroupMembers
from sync_core.sources.kept import KeptPeople
from sync_core.sources.mailbox import MailboxContacts
from sync_core.sources.org_contacts import OrgContacts
from sync_core.state.sources import FILE, PUSH


def open_source(definition: SourceDefinition, rules: EventRules, reading: Reading) -> Source:
    """The source that a definition names; of a calendar, the window of the rules."""
    match definition:
        case FromDirectory():
            return DirectoryUsers(reading)
        case FromGroup(id=group):
            return GroupMembers(reading, str(group))
        case FromOrgContacts():
            return OrgContacts(reading)
        case FromMailbox(mailbox=mailbox, folder=folder):
            return MailboxContacts(reading, str(mailbox), folder)
        case FromCalendar(mailbox=mailbox, calendar=calendar):
            return CalendarEvents(reading, str(mailbox), calendar, rules)
        case FromFile(id=name):
            return KeptPeople(reading, file_source(name))
        case FromPush(id=name):
            return KeptPeople(reading, push_source(name))


def file_source(name: str) -> str:
    """The id of the source that an uploaded file makes."""
    return f"{FILE}{name}"


def push_source(name: str) -> str:
    """The id of the source that another system pushes to."""
    return f"{PUSH}{name}"
