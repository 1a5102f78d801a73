"""Copies the people of a file into a folder of a shared mailbox, once: what was in a public folder is kept there from then on.

Each copy carries a mark of its own kind, by which a repetition knows what is there already. No sync takes it for its own, and for
the mailbox source it is a contact like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from sync_core.contacts import contact_of
from sync_core.encoding import kept
from sync_core.engine.folders import DEFAULT
from sync_core.engine.work import BATCH
from sync_core.errors import AnswerLostError, MailboxError, Reason
from sync_core.marks import COPIED, KEY_PROPERTY, copied_key, copied_mark
from sync_core.model import Create
from sync_core.ports import Mailboxes
from sync_core.sources.mailbox import DEFAULT_FOLDER, find_folder


@dataclass(slots=True)
class Copied:
    """What was copied, or would be. `there` were copied before; what became of `unclear` ones a repetition finds out."""

    people: int
    there: int = 0
    created: int = 0
    refused: int = 0
    unclear: int = 0


async def copy_into(
    mailboxes: Mailboxes,
    mailbox: str,
    folder: str,
    people: Mapping[str, bytes],
    *,
    country: str | None,
    carry_out: bool,
    progress: Callable[[int, int], None],
) -> Copied:
    """Make a contact of each of the `people` (key -> JSON in the normal form) that is not in the folder yet.

    The folder is made if there is none of this name. `country` reads phone numbers without a country code. Raises like Mailboxes:
    what is done by then is not done again.
    """
    result = Copied(len(people))
    place = DEFAULT if folder.casefold() == DEFAULT_FOLDER else await find_folder(mailboxes, mailbox, folder)
    there: set[str | None] = set()
    if place is not None:
        async for page in mailboxes.items(mailbox, place):
            there.update(copied_key(item.mark) for item in page)
    waiting = [key for key in people if key not in there]
    result.there = result.people - len(waiting)
    if not carry_out or not waiting:
        return result
    if place is None:
        place = (await mailboxes.create_folder(mailbox, folder, COPIED)).folder_id
    for start in range(0, len(waiting), BATCH):
        batch = [Create(key, _body(key, people[key], country)) for key in waiting[start : start + BATCH]]
        for outcome in await mailboxes.write(mailbox, place, batch):
            if outcome.error is None:
                result.created += 1
            elif isinstance(outcome.error, AnswerLostError):
                result.unclear += 1
            elif isinstance(outcome.error, MailboxError) and outcome.error.reason is Reason.REFUSED:
                result.refused += 1
            else:
                raise outcome.error
        progress(start + len(batch), len(waiting))
    return result


def _body(key: str, person: bytes, country: str | None) -> bytes:
    contact = contact_of(orjson.loads(person), default_country=country)
    contact["singleValueExtendedProperties"] = [{"id": KEY_PROPERTY, "value": copied_mark(key)}]
    return kept(contact)
