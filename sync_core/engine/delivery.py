"""One delivery of a queue message: read it, take its step, let nothing personal out."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable

from sync_core import messages
from sync_core.engine.context import Context
from sync_core.engine.poison import bury
from sync_core.errors import MessageError, RollcallError


class UnexpectedError(Exception):
    """A bug: the kind of error and where it was raised, without its message, which may quote somebody's data."""

    def __init__(self, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        super().__init__(f"{type(error).__name__} in {frame.name}, line {frame.lineno} of {frame.filename.rpartition('/')[2]}")


async def deliver(
    context: Context,
    queue: str,
    kind: type[messages.Message],
    step: Callable[[Context, messages.Message], Awaitable[None]],
    body: bytes,
) -> None:
    """Read a message of `queue` and take its step. One that nobody can ever read is given up at once, not after five attempts.

    Raises what the step raises, so that the message is delivered again; a bug as UnexpectedError.
    """
    try:
        message = messages.parse(kind, body)
    except MessageError:
        await bury(context, queue, body)
        return
    try:
        await step(context, message)
    except RollcallError:
        raise
    except Exception as error:
        raise UnexpectedError(error) from None
