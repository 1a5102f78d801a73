"""What readers of files make: people with the place where they stand, and problems with the place where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sync_core import directory

MOST_PROBLEMS = 20
"""So many are told; whoever mends these sees the rest the next time."""


class Problem(NamedTuple):
    """What is wrong, and where: "row 17, column C" or "card 3". Never says what stands there: it may be personal."""

    place: str
    text: str


class FileError(Exception):
    """A file that nothing is taken of."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.place}: {problem.text}" for problem in problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Entry:
    """A person in a file. `uid` is the identifier that the file gives them, `photo` an image or what was to be one, if any."""

    uid: str
    person: dict[str, Any]
    photo: bytes = b""


def entry(
    texts: Mapping[str, str],
    *,
    emails: Iterable[str],
    mobiles: Iterable[str],
    phones: Iterable[str],
    uid: str = "",
    photo: bytes = b"",
) -> Entry | None:
    """A person from texts by their names in the normal form; None when there is neither name, address nor number."""
    known = list(dict.fromkeys(email for email in map(str.strip, emails) if _is_address(email)))
    mobile, *more = [*filter(None, map(str.strip, mobiles)), ""]
    business = [*filter(None, map(str.strip, phones)), *filter(None, more)]
    name = texts.get("displayName") or " ".join(part for part in map(texts.get, ("givenName", "middleName", "surname")) if part)
    person = directory.merge(
        None,
        {
            **{field: text for field, text in texts.items() if field != "middleName"},
            "id": "",
            "displayName": name or texts.get("companyName"),
            "mail": next(iter(known), None),
            "proxyAddresses": [f"smtp:{email}" for email in known[1:]],
            "mobilePhone": mobile,
            "businessPhones": business,
        },
    )
    reachable = person.keys() & {"displayName", "mail", "mobilePhone", "businessPhones"}
    return Entry(uid.strip(), person, photo) if reachable else None


def _is_address(text: str) -> bool:
    # Outlook also exports addresses of Exchange's own: /o=ExchangeLabs/ou=...
    return "@" in text and not text.startswith("/") and not any(character.isspace() for character in text)
