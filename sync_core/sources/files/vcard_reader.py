"""People from a vCard file of any version, one card after the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from sync_core.sources.files.columns import is_private, phone_kind
from sync_core.sources.files.entries import MOST_PROBLEMS, Entry, FileError, Problem, entry

_LINE_END = re.compile(r"\r\n|\n|\r")
_BEGIN, _END = "BEGIN:VCARD", "END:VCARD"
# The rest (pictures, keys, designs, what programs add for themselves) is nothing to us, and most of many files
_WANTED = re.compile(r"(?:[\w-]+\.)?(?:BEGIN|END|VERSION|UID|FN|N|ORG|TITLE|EMAIL|TEL|ADR|X-ABLABEL)[;:]", re.IGNORECASE)


def read_vcards(text: str) -> Iterator[Entry]:
    """The people of a file. Raises FileError, at the end at the latest, that names the cards which cannot be read."""
    problems: list[Problem] = []
    for number, card in _cards(text, problems):
        found = None
        try:
            found = _person(card)
        except Exception:  # the library lets out whatever it stumbles over, with the text it stumbled over
            problems.append(Problem(f"card {number}", "cannot be read"))
        if len(problems) >= MOST_PROBLEMS:
            break
        if found is not None and not problems:
            yield found
    if problems:
        raise FileError(problems[:MOST_PROBLEMS])


def _cards(text: str, problems: list[Problem]) -> Iterator[tuple[int, str]]:
    """The single cards, of each only the lines that are wanted. What is between cards or not closed is noted."""
    number = depth = 0
    lines: list[str] = []
    wanted = encoded = unfinished = False
    for line in _LINE_END.split(text):
        mark = line.strip().upper()
        if mark == _BEGIN:
            depth += 1
            if depth == 1:
                number, lines = number + 1, []
        if depth == 0:
            if mark:
                place = f"after card {number}" if number else "line 1"
                problems.append(Problem(place, "there is text that belongs to no card"))
                return
            continue
        # in version 2.1, base64 may go on without a space before it, and quoted-printable does after a "="
        if not (unfinished or line[:1] in (" ", "\t") or (":" not in line and not wanted)):
            # what is no property at all must not be overlooked
            wanted, encoded = ":" not in line or _WANTED.match(line) is not None, "QUOTED-PRINTABLE" in line.upper()
        unfinished = encoded and line.endswith("=")
        if wanted:
            lines.append(line)
        if mark == _END:
            depth -= 1
            if depth == 0:
                yield number, "\r\n".join(lines) + "\r\n"
    if depth:
        problems.append(Problem(f"card {number}", "is not closed"))
    if not number:
        problems.append(Problem("line 1", "there is no card: the file is empty"))


def _person(text: str) -> Entry | None:
    import vobject

    card = vobject.readOne(text, allowQP=True)
    contents: dict[str, list[Any]] = card.contents
    labels = {line.group: str(line.value) for line in contents.get("x-ablabel", ()) if line.group}
    texts = {"displayName": _text(contents, "fn"), "jobTitle": _text(contents, "title")}
    for name in contents.get("n", ())[:1]:
        texts["givenName"], texts["surname"] = _joined(name.value.given), _joined(name.value.family)
        texts["middleName"] = _joined(name.value.additional)
    for organisation in contents.get("org", ())[:1]:
        parts: list[str] = [organisation.value] if isinstance(organisation.value, str) else list(organisation.value)
        texts["companyName"], texts["department"] = "".join(parts[:1]), ", ".join(filter(None, parts[1:]))
    for address in contents.get("adr", ()):
        if not is_private(_label(address, labels)):
            value = address.value
            texts |= {"streetAddress": ", ".join(_joined(value.street).splitlines()), "city": _joined(value.city)}
            texts |= {"state": _joined(value.region), "postalCode": _joined(value.code), "country": _joined(value.country)}
            break
    numbers: dict[str, list[str]] = {"mobile": [], "phone": [], "": []}
    for phone in contents.get("tel", ()):
        kind = phone_kind(_label(phone, labels))
        numbers[kind].append(str(phone.value).removeprefix("tel:").replace(";ext=", " ext. "))
    return entry(
        texts,
        emails=_preferred_first(contents.get("email", ())),
        mobiles=numbers["mobile"],
        phones=numbers["phone"],
        uid=_text(contents, "uid"),
    )


def _text(contents: dict[str, list[Any]], name: str) -> str:
    return next((_joined(line.value) for line in contents.get(name, ())), "")


def _joined(value: Any) -> str:
    return value if isinstance(value, str) else " ".join(map(str, value or ()))


def _types(line: Any) -> list[str]:
    # version 2.1 writes TEL;CELL, later ones TEL;TYPE=CELL
    named = [kind for value in line.params.get("TYPE", ()) for kind in value.split(",")]
    return [kind.lower() for kind in (*named, *line.singletonparams)]


def _label(line: Any, labels: dict[str, str]) -> str:
    return " ".join((*_types(line), labels.get(line.group or "", "")))


def _preferred_first(lines: Iterable[Any]) -> list[str]:
    return [str(line.value) for line in sorted(lines, key=lambda line: "pref" not in _types(line) and "PREF" not in line.params)]
