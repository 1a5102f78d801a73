"""The profile photos of a tenant's users.

https://learn.microsoft.com/graph/api/profilephoto-get: where Exchange Online has none, the directory may have one, of any size.
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
from sync_core.model import Spent
from sync_core.ports import Clock, Photos

_NAMELESS = "?"
"""Stands for the version of a photo of which none was told."""


class GraphPhotos(Photos):
    """Profile photos over Microsoft Graph. Each question counts against the mailbox of the user it is about."""

    def __init__(self, tenant: str, client: Client, gates: Gates, clock: Clock) -> None:
        self.spent = Spent()
        self._sender = Sender(tenant, client, gates, clock, self.spent)

    async def versions(self, users: Sequence[str]) -> list[str | RollcallError]:
        """What Microsoft calls each user's photo; "" for none."""
        answers = await self._ask([(user, build.user_photo(user)) for user in users])
        return [answer if isinstance(answer, RollcallError) else _version(answer) for answer in answers]

    async def contents(self, users: Sequence[str], side: int) -> list[bytes | RollcallError]:
        """Each user's photo in this size, or as it is where there is none in this size; b"" for none."""
        answers = await self._ask([(user, f"{build.user_photo(user, side)}/$value") for user in users])
        without = [number for number, answer in enumerate(answers) if answer is None]
        originals = await self._ask([(users[number], f"{build.user_photo(users[number])}/$value") for number in without])
        for number, answer in zip(without, originals, strict=True):
            answers[number] = answer
        return [answer if isinstance(answer, RollcallError) else _content(answer) for answer in answers]

    async def _ask(self, questions: Sequence[tuple[str, str]]) -> list[Answer | RollcallError | None]:
        """The answers in order; None where there is no photo."""
        with self._sender.sharing():
            return await asyncio.gather(*(self._one(user, url) for user, url in questions))

    async def _one(self, user: str, url: str) -> Answer | RollcallError | None:
        try:
            (result,) = await self._sender.send(user, [build.get(url)])
        except RollcallError as error:
            return error
        if isinstance(result, LedgerDoubtError) or (isinstance(result, MailboxError) and result.reason is Reason.NO_MAILBOX):
            return None
        return result


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
