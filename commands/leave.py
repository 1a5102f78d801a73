"""Take everything that this installation ever wrote out of a tenant's mailboxes, by its marks alone.

Contacts, or with `--calendars` events and the calendars made for them. Without `--remove` or `--unmark` it changes nothing and
says what there is. It may be broken off and repeated.
Stop the app before, or its next run writes all of it anew.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from commands import console
from composition import context
from sync_core.engine.context import Context
from sync_core.engine.exit import Exit, leave_mailbox
from sync_core.engine.walk import visit_all
from sync_core.kinds import CONTACTS, EVENTS, Kind

_NAMES = {
    "mailboxes": "mailboxes looked through",
    "deleted": "items removed",
    "unmarked": "items left to their users, without our mark",
    "folders_deleted": "folders removed",
    "folders_unmarked": "folders left to their users, without our mark",
}


async def leave(context: Context, tenant: str, action: Exit, kind: Kind = CONTACTS) -> bool:
    """Go through the tenant and print what was done, or would be. Returns whether every mailbox could be served."""
    serve = partial(leave_mailbox, installation=context.installation, action=action)
    sums, failed = await console.total(visit_all(context.graph, tenant, serve, kind), asdict)
    title = "Nothing was changed. This is what --remove would do:" if action is Exit.REPORT else "Done:"
    console.report([title, *console.account(sums, _NAMES, failed)])
    return not failed


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = ArgumentParser(prog="python -m commands.leave", description=__doc__)
    parser.add_argument("tenant", help="the tenant's id")
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--remove", dest="action", action="store_const", const=Exit.REMOVE, help="remove items and folders")
    actions.add_argument(
        "--unmark", dest="action", action="store_const", const=Exit.UNMARK, help="leave all to the users, without our marks"
    )
    parser.add_argument("--calendars", dest="kind", action="store_const", const=EVENTS, help="look through calendars")
    options = parser.parse_args(arguments)
    return console.run(lambda: leave(context(), options.tenant, options.action or Exit.REPORT, options.kind or CONTACTS))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
