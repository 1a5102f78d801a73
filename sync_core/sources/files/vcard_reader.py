"""People from a vCard file of any version, one card after the other.

A photo is taken when it stands in the card. Where the card names an address instead, nothing is fetched: whoever makes a file
could otherwise have this app call any address.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import a2b_qp
from collections.abc import Iterator
from typing import NamedTuple

from sync_core.sources.files.columns import is_private, phone_kind
from sync_core.sources.files.entries import MOST_PROBLEMS, Entry, FileError, Problem, entry
from sync_core.sources.images import LARGEST_FILE

_LINE_END = re.compile(r"\r\n|\n|\r")
_BEGIN, _END = "BEGIN:VCARD", "END:VCARD"
# The rest (logos, keys, designs, what programs add for themselves) is nothing to us, and much of many files
_WANTED = re.compile(r"(?:[\w-]+\.)?(?:BEGIN|END|UID|FN|N|ORG|TITLE|EMAIL|TEL|ADR|PHOTO|X-ABLABEL)[;:]", re.IGNORECASE)
_BASE64 = re.compile(r"[\w.-]+(?:;[^:]*)?;(?:ENCODING=)?B(?:ASE64)?[;:]", re.IGNORECASE)
_INLINE = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_LONGEST_PHOTO = LARGEST_FILE * 4 // 3 + 4
_NO_IMAGE = b"?"

_PROPERTY = re.compile(r'(?:([\w-]+)\.)?([\w-]+)((?:;(?:"[^"]*"|[^":])*)?):(.*)', re.DOTALL)
_PARAMETER = re.compile(r';((?:"[^"]*"|[^";])*)')
_ESCAPE = re.compile(r"\\([nN,;:\\])")
_SEPARATED = {mark: re.compile(rf"((?:\\.?|[^{mark}\\])*)(?:{mark}|\Z)", re.DOTALL) for mark in ";,"}


def read_vcards(text: str) -> Iterator[Entry]:
    """The people of a file. Raises FileError, at the end at the latest, that names the cards which cannot be read."""
    problems: list[Problem] = []
    for number, card in _cards(text, problems):
        found = None
        try:
            found = _person(card)
        except (ValueError, LookupError):
            problems.append(Problem(f"card {number}", "cannot be read"))
        if len(problems) >= MOST_PROBLEMS:
            break
        if found is not None and not problems:
            yield found
    if problems:
        raise FileError(problems[:MOST_PROBLEMS])


def _cards(text: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """The single cards, of each only the lines that are wanted. What is between cards or not closed is noted."""
    number = depth = 0
    lines: list[str] = []
    wanted = encoded = unfinished = is_base64 = False
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
        if is_base64 and mark and ":" not in line:
            line = f" {line.strip()}"  # noqa: PLW2901 - as later versions fold it
        if not (unfinished or line[:1] in (" ", "\t") or (":" not in line and not wanted)):
            # what is no property at all must not be overlooked
            wanted, encoded = ":" not in line or _WANTED.match(line) is not None, "QUOTED-PRINTABLE" in line.upper()
            is_base64 = _BASE64.match(line) is not None
        unfinished = encoded and line.endswith("=")
        if wanted and depth == 1 and mark not in (_BEGIN, _END):
            lines.append(line)
        if mark == _END:
            depth -= 1
            if depth == 0:
                yield number, lines
    if depth:
        problems.append(Problem(f"card {number}", "is not closed"))
    if not number:
        problems.append(Problem("line 1", "there is no card: the file is empty"))


class _Line(NamedTuple):
    """A property of a card: its group, its types in lower case, whether it is preferred, and its value, escapes and all.

    Photos stay in base64, if that is what they are in.
    """

    group: str
    types: list[str]
    preferred: bool
    value: str
    is_base64: bool = False


def _person(lines: list[str]) -> Entry | None:
    """Raises ValueError or LookupError for what is no property, or in an encoding that it does not hold to."""
    contents: dict[str, list[_Line]] = {}
    for written in _unfolded(lines):
        name, read = _read(written)
        contents.setdefault(name, []).append(read)
    labels = {line.group: _unescaped(line.value) for line in contents.get("X-ABLABEL", ()) if line.group}
    texts = {"displayName": _text(contents, "FN"), "jobTitle": _text(contents, "TITLE")}
    for line in contents.get("N", ())[:1]:
        texts["surname"], texts["givenName"], texts["middleName"] = _parts(line.value, 3)
    for line in contents.get("ORG", ())[:1]:
        company, *departments = map(_unescaped, _split(line.value, ";"))
        texts["companyName"], texts["department"] = company, ", ".join(filter(None, departments))
    for line in contents.get("ADR", ()):
        if not is_private(_label(line, labels)):
            _, _, street, city, state, code, country = _parts(line.value, 7)
            texts |= {"streetAddress": ", ".join(street.splitlines()), "city": city, "state": state}
            texts |= {"postalCode": code, "country": country}
            break
    numbers: dict[str, list[str]] = {"mobile": [], "phone": [], "": []}
    for line in contents.get("TEL", ()):
        kind = phone_kind(_label(line, labels))
        numbers[kind].append(_unescaped(line.value).removeprefix("tel:").replace(";ext=", " ext. "))
    emails = [_unescaped(line.value) for line in sorted(contents.get("EMAIL", ()), key=lambda line: not line.preferred)]
    return entry(
        texts,
        emails=emails,
        mobiles=numbers["mobile"],
        phones=numbers["phone"],
        uid=_text(contents, "UID"),
        photo=next(filter(None, map(_photo, contents.get("PHOTO", ()))), b""),
    )


def _photo(line: _Line) -> bytes:
    """The image that stands in the card, if one does. What is broken, or too large, is something that is no image."""
    value = _unescaped(line.value)
    inline = _INLINE.match(value)
    if inline is None and not line.is_base64:
        return b""
    text = value[inline.end() :] if inline else value
    try:
        return b64decode(text.strip(), validate=True) if len(text) <= _LONGEST_PHOTO else _NO_IMAGE
    except ValueError:
        return _NO_IMAGE


def _unfolded(lines: list[str]) -> Iterator[str]:
    """Whole properties: RFC 6350 folds lines by a space, version 2.1 also ends them with "=" in quoted-printable."""
    whole = ""
    unfinished = False
    for line in lines:
        if unfinished:
            whole = whole[:-1] + line
        elif line[:1] in (" ", "\t"):
            whole += line[1:]
        else:
            if whole:
                yield whole
            whole = line
        unfinished = whole.endswith("=") and "QUOTED-PRINTABLE" in whole.partition(":")[0].upper()
    if whole:
        yield whole


def _read(line: str) -> tuple[str, _Line]:
    match = _PROPERTY.fullmatch(line)
    if match is None:
        raise ValueError("no property")
    group, name, told, value = match.groups()
    types: list[str] = []
    preferred = False
    encoding, charset = "", "utf-8"
    for parameter in _PARAMETER.findall(told) if told else ():
        key, equals, text = parameter.partition("=")
        text = text.replace('"', "")
        match key.upper():
            case "TYPE":
                types += text.lower().split(",")
            case "PREF":
                preferred = True
            case "ENCODING":
                encoding = text.upper()
            case "CHARSET":
                charset = text
            case "QUOTED-PRINTABLE" | "BASE64":
                encoding = key.upper()
        if not equals:  # version 2.1 writes TEL;CELL, later ones TEL;TYPE=CELL
            types.append(key.lower())
    if encoding == "QUOTED-PRINTABLE":
        value = a2b_qp(value.encode()).decode(charset)
    is_base64 = encoding in ("B", "BASE64")
    if is_base64 and name.upper() != "PHOTO":
        value = b64decode(value, validate=True).decode(charset)
    return name.upper(), _Line(group or "", types, preferred or "pref" in types, value, is_base64)


def _parts(value: str, count: int) -> list[str]:
    """The first so many parts of a structured value; several values of one part are one text."""
    parts = [" ".join(map(_unescaped, _split(part, ","))) for part in _split(value, ";")[:count]]
    return parts + [""] * (count - len(parts))


def _split(value: str, mark: str) -> list[str]:
    if "\\" not in value:
        return value.split(mark)
    # the pattern matches once more, with nothing, at the end of what does not end with a mark
    found = _SEPARATED[mark].findall(value)
    return found if value.endswith(mark) else found[:-1]


def _text(contents: dict[str, list[_Line]], name: str) -> str:
    return next((_unescaped(line.value) for line in contents.get(name, ())), "")


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match[1] in "nN" else match[1], text) if "\\" in text else text


def _label(line: _Line, labels: dict[str, str]) -> str:
    return " ".join((*line.types, labels.get(line.group, "")))
