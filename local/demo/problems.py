"""What the demo says when it cannot go on."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on: what happened, and what to do next."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what = what
        self.todo = todo
