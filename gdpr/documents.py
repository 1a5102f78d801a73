"""The documents that are made from the data map: record of processing (Art. 30), privacy notice, manifest of an export.

`python -m gdpr.documents` writes docs/record-of-processing.md and docs/privacy-notice.md anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from textwrap import fill
from typing import Any

from gdpr.data_map import DATA_MAP, OUTSIDE_TABLES, Category, Stored
from sync_core.state.names import SNAPSHOTS

SCHEMA_VERSION = 2
_PERSONAL = frozenset(Category) - {Category.PLAIN, Category.KEY}


def record_of_processing() -> str:
    """The page for article 30(2): what Rollcall processes on behalf of its customers."""
    lines = [
        "# Record of processing",
        "",
        _paragraph(
            "Made from `gdpr/data_map.py`; do not edit. What the operator of Rollcall processes on behalf of each",
            "customer (GDPR, article 30(2)). Name and contact of the operator, of its customers and of their data",
            "protection officers are for the operator to add.",
        ),
        "",
    ]
    for stored in DATA_MAP:
        sealed = ", ".join(f"`{name}`" for name in sorted(stored.sealed)) or "nothing: there is no content in it"
        lines += [
            f"## `{stored.table}`",
            "",
            f"{_sentence(stored.what)}",
            "",
            "| | |",
            "|---|---|",
            f"| people concerned | {stored.subjects} |",
            f"| categories of data | {', '.join(_categories(stored))} |",
            f"| purpose | {stored.purpose.what} |",
            f"| lawful basis | {stored.purpose.basis} |",
            f"| role of the operator | {stored.purpose.role} |",
            f"| kept | {stored.retention} |",
            f"| recipients | {stored.recipients} |",
            f"| encrypted by the app | {sealed} |",
            "",
        ]
    lines += ["## Outside the tables", "", "| where | what |", "|---|---|"]
    lines += [f"| {where} | {what} |" for where, what in OUTSIDE_TABLES.items()]
    lines += [
        "",
        _paragraph(
            "Transfers to third countries: none by the app; it runs in one region, and serves only tenants of that region",
            "(see [security](security.md)).",
        ),
        "Technical and organisational measures: [security](security.md) and [controls](controls.md).",
        "",
    ]
    return "\n".join(lines)


def privacy_notice() -> str:
    """What the people concerned are told (articles 13 and 14), for the customer to put its name to."""
    lines = [
        "# Privacy notice for employees",
        "",
        _paragraph(
            "Made from `gdpr/data_map.py`; do not edit. A text that a company using Rollcall can give its people; the",
            "company is the controller and adds its name, its contact and that of its data protection officer.",
        ),
        "",
        "Rollcall copies the company's address book into a folder of each employee's mailbox, so that phones show who calls.",
        "",
        "## What is stored, what for and how long",
        "",
        "| what | about whom | what for | how long |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {stored.what} | {stored.subjects} | {stored.purpose.what} | {stored.retention} |"
        for stored in DATA_MAP
        if _PERSONAL & {*stored.properties.values(), stored.keys}
    ]
    bases = sorted({stored.purpose.basis for stored in DATA_MAP})
    lines += [
        "",
        "## On what basis",
        "",
        *(f"- {basis}" for basis in bases),
        "",
        "## Who receives it",
        "",
        _paragraph(
            _sentence(next(stored.recipients for stored in DATA_MAP if stored.table == SNAPSHOTS)),
            "Nobody else; nothing is sold, and nothing leaves the region of the service.",
        ),
        "",
        "## Your rights",
        "",
        _paragraph(
            "You can ask for a copy of what is held on you, have it corrected (in the company's directory, from where it",
            "arrives with the next run), have it erased or its use restricted, and object. Ask your company, or use the",
            "page of Rollcall that says what is held on you; there you can also hide fields of your card from everybody's lists,",
            "as far as your company allows it. A compliance officer decides on requests within one month, which can be",
            "extended once by two. You can complain to a supervisory authority. Decisions are not made by machines alone.",
        ),
        "",
    ]
    return "\n".join(lines)


def manifest(
    *, tenant: str, about: str, made_at: datetime, parts: Sequence[Sequence[str]], files: Mapping[str, str]
) -> dict[str, Any]:
    """What comes with an export: what is in it, and for each table why it is held, how long and who receives it.

    `parts` names the files of each part, `files` says what those are that can be there at all.
    """
    there = {f"{name.split('.')[0]}.{name.split('.')[-1]}" for part in parts for name in part}
    return {
        "schemaVersion": SCHEMA_VERSION,
        "tenant": tenant,
        "about": about,
        "madeAt": made_at.isoformat(),
        "files": {name: what for name, what in files.items() if name in there},
        "parts": [{"part": number, "files": list(part)} for number, part in enumerate(parts, 1)],
        "tables": [
            {
                "table": stored.table,
                "what": stored.what,
                "categories": list(_categories(stored)),
                "purpose": stored.purpose.what,
                "lawfulBasis": stored.purpose.basis,
                "retention": stored.retention,
                "recipients": stored.recipients,
            }
            for stored in DATA_MAP
        ],
        "outsideTables": dict(OUTSIDE_TABLES),
    }


PAGES = {"record-of-processing.md": record_of_processing, "privacy-notice.md": privacy_notice}


def _categories(stored: Stored) -> Iterator[str]:
    found = {*stored.properties.values(), stored.keys} & _PERSONAL
    yield from (str(category) for category in Category if category in found)


def _paragraph(*parts: str) -> str:
    return fill(" ".join(parts), 150, break_long_words=False, break_on_hyphens=False)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


if __name__ == "__main__":
    from pathlib import Path

    for name, page in PAGES.items():
        (Path(__file__).parent.parent / "docs" / name).write_text(page(), encoding="utf-8")
