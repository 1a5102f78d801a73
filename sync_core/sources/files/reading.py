"""From an uploaded file to people under lasting keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message

from sync_core.encoding import kept as encoded
from sync_core.photos import PHOTO
from sync_core.sources.base import short_hash
from sync_core.sources.files.csv_reader import read_csv
from sync_core.sources.files.entries import Entry, FileError, Problem
from sync_core.sources.files.text import decode
from sync_core.sources.files.vcard_reader import read_vcards
from sync_core.sources.handed_photos import Darkroom, TooManyPhotosError

MOST_BYTES = 50 * 1024 * 1024
MOST_PEOPLE = 100_000

_READERS = {
    "text/csv": read_csv,
    "application/csv": read_csv,
    "application/vnd.ms-excel": read_csv,  # what browsers on Windows call a CSV file
    "text/vcard": read_vcards,
    "text/x-vcard": read_vcards,
    "text/directory": read_vcards,
}


@dataclass(frozen=True, slots=True)
class _Row:
    uid: str
    name: str
    mail: str
    phones: str
    content: bytes


def read_people(body: bytes, content_type: str, source: str, darkroom: Darkroom | None = None) -> dict[str, bytes]:
    """The people of a file: key -> JSON in the normal form. Their photos are made in the darkroom, if any.

    A key is made from the file's own id of the person, else from the e-mail address, else from name and numbers: the same in
    the next upload, wherever in the file the person stands then. Who shares it with somebody else has the name, and at last
    everything, in it as well. Rows that say the same are one person. Raises FileError.
    """
    message = Message()
    message["Content-Type"] = content_type
    read = _READERS.get(message.get_content_type())
    if read is None:
        raise FileError([Problem("Content-Type", "must be text/csv or text/vcard")])
    if len(body) > MOST_BYTES:
        raise FileError([Problem("file", f"has more than {MOST_BYTES} bytes")])
    charset = message.get_param("charset")
    rows: dict[_Row, None] = {}
    for entry in read(decode(body, charset if isinstance(charset, str) else None)):
        try:
            rows[_row(entry, darkroom.develop(entry.photo) if darkroom is not None and entry.photo else "")] = None
        except TooManyPhotosError as error:
            raise FileError([Problem("file", f"its photos {error}")]) from None
        if len(rows) > MOST_PEOPLE:
            raise FileError([Problem("file", f"has more than {MOST_PEOPLE} people")])
    return {f"f:{short_hash(source, *parts)}": row.content for parts, row in _identified(rows)}


def _row(entry: Entry, photo: str) -> _Row:
    person = entry.person | ({PHOTO: photo} if photo else {})
    numbers = sorted(re.sub(r"\D", "", phone) for phone in (person.get("mobilePhone", ""), *person.get("businessPhones", ())))
    return _Row(
        entry.uid,
        person.get("displayName", "").casefold(),
        person.get("mail", "").casefold(),
        ",".join(numbers),
        encoded(person),
    )


def _identified(rows: Iterable[_Row]) -> Iterable[tuple[tuple[str, ...], _Row]]:
    """Each row with what tells it from all others, as little as will do."""
    waiting = list(rows)
    for identify in (_briefly, _with_name, _with_everything):
        groups: dict[tuple[str, ...], list[_Row]] = {}
        for row in waiting:
            groups.setdefault(identify(row), []).append(row)
        waiting = []
        for parts, alike in groups.items():
            if len(alike) == 1:
                yield parts, alike[0]
            else:
                waiting += alike


def _briefly(row: _Row) -> tuple[str, ...]:
    if row.uid:
        return ("uid", row.uid)
    return ("mail", row.mail) if row.mail else ("name", row.name, row.phones)


def _with_name(row: _Row) -> tuple[str, ...]:
    return ("all", row.uid, row.mail, row.name, row.phones)


def _with_everything(row: _Row) -> tuple[str, ...]:
    return (*_with_name(row), row.content.decode())
