"""Lists in pages: `?size=` and `?page=`, the `next` of the page before.

A token is where the next page begins, in base64url: an id of the list that is read, of the caller's own tenant, and nothing else.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from api.endpoint import Listed, Strict

LARGEST = 200
_PLACE = re.compile(r"[A-Za-z0-9_.:-]{1,200}")

Row = TypeVar("Row")
Item = TypeVar("Item")


def _place(token: object) -> str:
    """Where a page begins."""
    try:
        place = urlsafe_b64decode(str(token) + "==").decode("ascii")
    except ValueError:
        place = ""
    if not _PLACE.fullmatch(place):
        raise ValueError("must be the next of another page, as it was")
    return place


Page = Annotated[str, BeforeValidator(_place), Field(description="The `next` of the page before", max_length=300)]


class Paging(Strict):
    """Which page of a list."""

    size: int = Field(default=50, ge=1, le=LARGEST, description="The most items in the answer")
    page: Page = ""


async def page_of(
    rows: AsyncIterator[Row], paging: Paging, place: Callable[[Row], str], show: Callable[[Row], Item]
) -> Listed[Item]:
    """The next rows; `place` is where a page begins that has this row first."""
    items: list[Item] = []
    async for row in rows:
        if len(items) == paging.size:
            return Listed(items=items, next=token(place(row)))
        items.append(show(row))
    return Listed(items=items)


def token(place: str) -> str:
    """The token of the page that begins there."""
    return urlsafe_b64encode(place.encode()).decode().rstrip("=")
