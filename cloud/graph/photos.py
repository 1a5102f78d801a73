"""The profile photos of a tenant's users, and the photos of contacts in mailboxes.

https://learn.microsoft.com/graph/api/profilephoto-get: where Exchange Online has none of a user, the directory may have one, of
any size. That of a contact comes in the size in which it was uploaded.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Sequence

from cloud.graph import requests as build
from cloud.graph.batch import Gates, Sender
from cloud.graph.client import Client
from cloud.graph.errors import Answer
from sync_core.errors import LedgerDoubtError, MailboxError, Reason, RollcallError
from sync_core.model import PhotoAt, Spent
from sync_core.ports import Clock, Photos

_NAMELESS = "?"
"""Stands for the version of a photo of which none was told."""


class GraphPhotos(Photos):
    """Photos over Microsoft Graph. Each question counts against the mailbox it is about."""

    def __init__(self, tenant: str, client: Client, gates: Gates, clock: Clock) -> None:
        self.spent = Spent()
        self._sender = Sender(tenant, client, gates, clock, self.spent)

    async def versions(self, places: Sequence[PhotoAt]) -> list[str | RollcallError]:
        """What Microsoft calls each photo; "" for none."""
        answers = await self._ask([(at.mailbox, build.photo(at.mailbox, at.contact)) for at in places])
        return [answer if isinstance(answer, RollcallError) else _version(answer) for answer in answers]

    async def contents(self, places: Sequence[PhotoAt], side: int) -> list[bytes | RollcallError]:
        """Each photo, of users in this size if there is one; b"" for none."""
        answers = await self._ask([(at.mailbox, f"{build.photo(at.mailbox, at.contact, side)}/$value") for at in places])
        others = [number for number, answer in enumerate(answers) if answer is None and not places[number].contact]
        originals = [(places[number].mailbox, f"{build.photo(places[number].mailbox)}/$value") for number in others]
        for number, answer in zip(others, await self._ask(originals), strict=True):
            answers[number] = answer
        return [answer if isinstance(answer, RollcallError) else _content(answer) for answer in answers]

    async def _ask(self, questions: Sequence[tuple[str, str]]) -> list[Answer | RollcallError | None]:
        """The answers in order; None where there is no photo."""
        groups: list[list[int]] = []
        open_groups: dict[str, list[int]] = {}
        for number, (mailbox, _) in enumerate(questions):
            group = open_groups.get(mailbox, [])
            if len(group) % build.LARGEST == 0:
                group = open_groups[mailbox] = []
                groups.append(group)
            group.append(number)
        answers: list[Answer | RollcallError | None] = [None] * len(questions)

        async def ask(numbers: Sequence[int]) -> None:
            mailbox, _ = questions[numbers[0]]
            found = await self._of_mailbox(mailbox, [questions[number][1] for number in numbers])
            for number, answer in zip(numbers, found, strict=True):
                answers[number] = answer

        with self._sender.sharing():
            await asyncio.gather(*map(ask, groups))
        return answers

    async def _of_mailbox(self, mailbox: str, urls: Sequence[str]) -> Sequence[Answer | RollcallError | None]:
        try:
            results = await self._sender.send(mailbox, [build.get(url) for url in urls])
        except RollcallError as error:
            return [error] * len(urls)
        return [None if _is_missing(result) else result for result in results]


def _is_missing(result: Answer | RollcallError) -> bool:
    return isinstance(result, LedgerDoubtError) or (isinstance(result, MailboxError) and result.reason is Reason.NO_MAILBOX)


def _version(answer: Answer | None) -> str:
    if answer is None:
        return ""
    version = answer.body.get("@odata.mediaEtag") if isinstance(answer.body, dict) else None
    return version if isinstance(version, str) and version else _NAMELESS


def _content(answer: Answer | None) -> bytes:
    if answer is None:
        return b""
    try:
        return b64decode(answer.body, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return b"?"  # something is there, and it is no image
