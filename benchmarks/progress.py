"""Says what is being measured while it takes its time."""

from __future__ import annotations

from rich.status import Status


class Step:
    """One program's line of progress."""

    def __init__(self, name: str, status: Status) -> None:
        self._name = name
        self._status = status

    def say(self, what: str) -> None:
        """Show what is under way."""
        self._status.update(f"{self._name}: {what}")
        if not self._status.console.is_terminal:
            self._status.console.print(f"{self._name}: {what}")
