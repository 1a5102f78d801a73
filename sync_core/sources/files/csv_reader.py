"""People from a CSV file, whatever its delimiter.

A cell is text, whatever a spreadsheet would make of it. What begins like a formula is an error all the same: such a contact would
run in the spreadsheet of whoever exports their contacts one day. Two forms are read as the text they stand for: ="0301234567",
which keeps Excel from dropping a zero, and '+49 30, which keeps it from reckoning.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import count

from sync_core.sources.files.columns import Column, column_of, is_private, phone_kind
from sync_core.sources.files.entries import MOST_PROBLEMS, Entry, FileError, Problem, entry

_DELIMITERS = ",;\t"
_HEAD = 32_768  # characters in which the header must stand
_QUOTED = re.compile(r'="([^"]*)"')
# "=", or a sign or an @ with a call or a command behind it. A number such as +49 (30) 1234 or a dash is none
_FORMULA = re.compile(r"=|[+@-].*(?:[A-Za-z_]\w*\s*\(|[|!])", re.DOTALL)
_SEVERAL = ":::"  # how Google writes several values into one cell


def read_csv(text: str) -> Iterator[Entry]:
    """The people of a file. Raises FileError, at the end at the latest, that names row and column of what is wrong."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    problems: list[Problem] = []
    columns: list[Column | None] | None = None
    for number, row in _rows(reader):
        if columns is None:
            if number == 1 and row and row[0].startswith("sep="):  # tells Excel the delimiter
                continue
            columns = _columns(row, number)
        elif any(row):
            try:
                found = _person(row, columns, number)
            except FileError as error:
                problems += error.problems
                if len(problems) >= MOST_PROBLEMS:
                    break
                continue
            if found is not None and not problems:
                yield found
    if columns is None:
        raise FileError([Problem("row 1", "there is no header: the file is empty")])
    if problems:
        raise FileError(problems[:MOST_PROBLEMS])


def _rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for number in count(1):
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = "a cell is too long" if "limit" in str(error) else "a quotation mark is not closed, or not doubled"
            raise FileError([Problem(f"row {number}", problem)]) from None
        yield number, row


def _delimiter(text: str) -> str:
    """The one with which the first lines have the most columns that are known."""
    head = text[: text.find("\n", text.find("\n") + 1 or None)] if "\n" in text else text

    def known(delimiter: str) -> int:
        lines = csv.reader(io.StringIO(head[:_HEAD]), delimiter=delimiter)
        return sum(column_of(cell) is not None for line in lines for cell in line)

    return max(_DELIMITERS, key=known)


def _columns(header: Sequence[str], number: int) -> list[Column | None]:
    columns = [column_of(cell) for cell in header]
    if not any(columns):
        raise FileError([Problem(f"row {number}", "no column is known: name them like Outlook or Google, in English or German")])
    problems = []
    for at, column in enumerate(columns):
        if column is not None and column in columns[:at]:
            first = columns.index(column)
            problems.append(Problem(_place(number, at), f"means the same as column {_letters(first)}"))
    if problems:
        raise FileError(problems[:MOST_PROBLEMS])
    return columns


def _person(row: Sequence[str], columns: Sequence[Column | None], number: int) -> Entry | None:
    cells: dict[str, dict[str, str]] = {}
    problems = []
    for at, cell in enumerate(row):
        column = columns[at] if at < len(columns) else None
        if at >= len(columns) and cell.strip():
            problems.append(Problem(_place(number, at), "has no header"))
        if column is None:
            continue
        value = _text(cell)
        if _FORMULA.match(value):
            problems.append(Problem(_place(number, at), "begins like a formula"))
        elif value:
            cells.setdefault(column.group, {})[column.field] = value
    if problems:
        raise FileError(problems)
    texts = cells.pop("", {})
    emails = [texts.pop(name, "") for name in ("mail", "mail2", "mail3")]
    mobiles = [texts.pop("mobile", "")]
    phones = [texts.pop(name, "") for name in ("phone", "phone2", "phone3")]
    street = [texts.pop(name, "") for name in ("streetAddress", "streetAddress2", "streetAddress3")]
    texts["streetAddress"] = ", ".join(filter(None, street))
    for group, parts in cells.items():
        label, values = parts.get("label", ""), parts.get("value", "").split(_SEVERAL)
        if group.startswith("e-mail"):
            emails += values
        elif group.startswith("phone"):
            kind = phone_kind(label)
            mobiles += values if kind == "mobile" else []
            phones += values if kind == "phone" else []
        elif not is_private(label) and not texts["streetAddress"]:
            texts |= {name: value for name, value in parts.items() if name != "label"}
    return entry(texts, emails=emails, mobiles=mobiles, phones=phones, uid=texts.pop("uid", ""))


def _text(cell: str) -> str:
    text = cell.strip()
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        return quoted[1].strip()
    return text[1:].strip() if len(text) > 1 and text[0] == "'" and text[1] in "+-@" else text


def _place(row: int, column: int) -> str:
    return f"row {row}, column {_letters(column)}"


def _letters(column: int) -> str:
    """A column as spreadsheets name it: A to Z, then AA."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
