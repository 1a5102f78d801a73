"""Public folders: copy what Outlook has exported of one, a CSV or vCard file, into a folder of a shared mailbox, once.

Without `--copy` it changes nothing. It may be broken off and repeated: what is there is not copied again. From then on people
keep the contacts in that mailbox, and a sync reads them as a source of kind mailbox.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from commands import console
from composition import context
from sync_core.countries import known_region
from sync_core.engine.context import Context
from sync_core.engine.copy_into import copy_into
from sync_core.errors import InputError
from sync_core.sources.files.entries import FileError
from sync_core.sources.files.reading import read_people

_KINDS = {".csv": "text/csv", ".vcf": "text/vcard"}
_EVERY = 200  # contacts between two lines of progress


async def copy_contacts(
    context: Context, tenant: str, mailbox: UUID, folder: str, file: Path, *, country: str | None, copy: bool
) -> bool:
    """Copy a file and print what was done. Returns whether all of it is there. Raises InputError for a file that is none."""
    if country is not None and known_region(country) is None:
        raise InputError("country", "is unknown: use a code such as DE")
    people = _people(file)
    mailboxes = context.graph.mailboxes(tenant)
    with mailboxes.sharing():
        found = await copy_into(
            mailboxes,
            str(mailbox),
            folder,
            people,
            country=known_region(country) if country is not None else None,
            carry_out=copy,
            progress=_say,
        )
    lines = [
        "Copied:" if copy else "Nothing was changed. This is what --copy would begin with:",
        f"{found.people:>9,} people in the file",
        f"{found.there:>9,} of them were in the folder already",
    ]
    lines += [f"{found.created:>9,} were copied"] if copy else []
    lines += [f"{found.refused:>9,} are refused by Exchange"] if found.refused else []
    lines += [f"{found.unclear:>9,} got no answer; repeat the command in ten minutes"] if found.unclear else []
    console.report(lines)
    return not (found.refused or found.unclear)


def _people(file: Path) -> dict[str, bytes]:
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise InputError("file", "must end in .csv or .vcf")
    try:
        return read_people(file.read_bytes(), kind, "copied")
    except FileError as error:
        raise InputError("file", str(error)) from None
    except OSError as error:
        raise InputError("file", f"cannot be read: {error.strerror}") from None


def _say(done: int, of: int) -> None:
    if done % _EVERY == 0:
        console.say(f"{done:,} of {of:,} contacts")


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = ArgumentParser(prog="python -m commands.copy_contacts", description=__doc__)
    parser.add_argument("tenant", help="the tenant's id")
    parser.add_argument("mailbox", type=UUID, help="the object id of the shared mailbox's account")
    parser.add_argument("folder", help="the folder's name; \"default\" for the mailbox's own Contacts")
    parser.add_argument("file", type=Path, help="a .csv or .vcf file")
    parser.add_argument("--country", help="reads phone numbers without a country code: DE, for example")
    parser.add_argument("--copy", action="store_true", help="copy it")
    options = parser.parse_args(arguments)
    return console.run(
        lambda: copy_contacts(
            context(), options.tenant, options.mailbox, options.folder, options.file, country=options.country, copy=options.copy
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
