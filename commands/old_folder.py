"""Moving over from another product: say what its folder holds in each mailbox, and delete it once you have seen that.

Without `--delete` it changes nothing. Deleted folders go to Deleted Items, whence their owners can take them back.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Sequence
from functools import partial

from commands import console
from composition import context
from sync_core.engine.context import Context
from sync_core.engine.old_folder import OldFolders, old_folders
from sync_core.engine.walk import Visit, visit_all

_NAMES = {
    "mailboxes": "mailboxes looked through",
    "with_folder": "of them have such a folder",
    "folders": "folders of this name",
    "contacts": "contacts in them",
}


async def old_folder(context: Context, tenant: str, name: str, *, delete: bool) -> bool:
    """Go through the tenant and print each mailbox that has such a folder. Returns whether every mailbox could be served."""
    visits = visit_all(context.graph, tenant, partial(old_folders, name=name, delete=delete))
    sums, failed = await console.total(_shown(visits), _counts)
    title = "Moved to Deleted Items:" if delete else "Nothing was changed. This is what --delete would move to Deleted Items:"
    console.report([title, *console.account(sums, _NAMES, failed)])
    return not failed


async def _shown(visits: AsyncIterator[Visit[OldFolders]]) -> AsyncIterator[Visit[OldFolders]]:
    async for visit in visits:
        if visit.outcome is not None and visit.outcome.folders:
            console.report([f"{visit.mailbox} {visit.outcome.contacts}"])
        yield visit


def _counts(found: OldFolders) -> dict[str, int]:
    return {"with_folder": int(found.folders > 0), "folders": found.folders, "contacts": found.contacts}


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = ArgumentParser(prog="python -m commands.old_folder", description=__doc__)
    parser.add_argument("tenant", help="the tenant's id")
    parser.add_argument("folder", help="the name of the other product's folder")
    parser.add_argument("--delete", action="store_true", help="delete it in every mailbox")
    options = parser.parse_args(arguments)
    return console.run(lambda: old_folder(context(), options.tenant, options.folder, delete=options.delete))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
