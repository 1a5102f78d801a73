"""Reads the functions out of a FunctionApp and calls them as the Python worker does."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import azure.functions as func


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the app. `trigger` is its trigger binding as it would stand in function.json."""

    name: str
    trigger: Mapping[str, Any]
    returns: bool
    timeout: float
    _call: Callable[..., Any]

    async def invoke(self, argument: object) -> Any:
        """Call the function: a coroutine on this event loop, any other in a thread.

        Raises what it raises, TimeoutError after functionTimeout, and RuntimeError when it returns what no binding takes.
        """
        arguments = {self.trigger["name"]: argument}
        async with asyncio.timeout(self.timeout):
            if inspect.iscoroutinefunction(self._call):
                result = await self._call(**arguments)
            else:
                result = await asyncio.to_thread(self._call, **arguments)
        if result is not None and not self.returns:
            raise RuntimeError(f"{self.name} returned a value but has no $return binding")
        return result


def read_functions(app: func.FunctionApp, timeout: float) -> list[Function]:
    """The app's functions. Raises ValueError for one that this host, or the worker, would not run."""
    app.functions_bindings = None  # or a second host for the same app would find every name taken
    return [_read(each, timeout) for each in app.get_functions()]


def _read(function: Any, timeout: float) -> Function:
    name, trigger = function.get_function_name(), function.get_trigger()
    bindings = [binding.get_dict_repr() for binding in function.get_bindings()]
    for binding in bindings:
        if binding["type"] not in ("httpTrigger", "queueTrigger", "timerTrigger", "http"):
            raise ValueError(f"{name}: this host has no {binding['type']} binding")
    call = function.get_user_function()
    if list(inspect.signature(call).parameters) != [trigger.name]:
        raise ValueError(f"{name} must take exactly one parameter, {trigger.name}")
    returns = any(binding["name"] == "$return" for binding in bindings)
    return Function(name, trigger.get_dict_repr(), returns, timeout, call)


class Work:
    """The invocations under way in a host."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.ended: Callable[[], None] = lambda: None  # called when an invocation has ended that may have sent messages
        self.changes = 0  # how many invocations have begun and ended: two looks at the same count had nothing happen between them

    def start(self, invocation: Coroutine[Any, Any, Any], *, reads: bool = False) -> asyncio.Task[Any]:
        """Begin an invocation that goes on even if whoever waits for it does not. One that only `reads` sends no messages."""
        task = asyncio.create_task(invocation)
        self._tasks.add(task)
        self.changes += 1
        task.add_done_callback(partial(self._end, reads=reads))
        return task

    def _end(self, task: asyncio.Task[Any], *, reads: bool) -> None:
        self._tasks.discard(task)
        self.changes += 1
        if not reads:
            self.ended()

    @property
    def under_way(self) -> int:
        """How many invocations are running."""
        return len(self._tasks)

    async def finish(self, seconds: float) -> None:
        """Wait up to `seconds` for what is under way, then cancel the rest."""
        if self._tasks and seconds > 0:
            await asyncio.wait(self._tasks, timeout=seconds)
        rest = list(self._tasks)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
