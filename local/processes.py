"""Child processes that never outlive their parent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PARENT_HOLDS_STDIN = "ROLLCALL_PARENT_HOLDS_STDIN"


class ChildError(RuntimeError):
    """A child process ended, or did not become ready in time. The message holds the end of its output."""


class Child:
    """A child process in a process group of its own, with its output in a file.

    The child's standard input is a pipe that only this process holds open and on which nothing is ever written: when this process
    ends, however it ends, the pipe closes. A Python child that calls `exit_with_parent` ends then, on every operating system; so
    does a Node child started with `NODE_EXIT_WITH_PARENT`. A group of its own keeps Ctrl-C with the parent, which then stops its
    children in the order it wants.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        """Start the process. Its output goes to `log`, or to a file that goes with it."""
        self._name = Path(arguments[0]).name
        self._keep_log = log is not None
        self._final_output: str | None = None  # set once the process has ended and been cleaned up after
        if log is None:
            handle, path = tempfile.mkstemp(prefix="rollcall-", suffix=".log")
            os.close(handle)
            log = Path(path)
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(argument) for argument in arguments],
                cwd=cwd,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {}), _PARENT_HOLDS_STDIN: "1"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # start_new_session, for Windows
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def output(self) -> str:
        """All that the process has written so far."""
        if self._final_output is not None:
            return self._final_output
        return self._log.read_text(encoding="utf-8", errors="replace")

    def expect(self, pattern: str, *, timeout: float = 30) -> re.Match[str]:
        """Wait until the output holds `pattern`. Raises ChildError when the process ends first or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            ended = self.process.poll() is not None
            if found := re.search(pattern, self.output(), re.MULTILINE | re.DOTALL):
                return found
            if ended or time.monotonic() > deadline:
                what = f"ended with code {self.process.returncode}" if ended else f"was not ready after {timeout:g} s"
                raise ChildError(f"{self._name} {what}:\n{self.output()[-2000:]}")
            time.sleep(0.02)

    def stop(self, grace: float = 5) -> int:
        """Ask the process to end, kill it after `grace` seconds, and return its exit code. May be called again."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(grace)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self._close()

    def kill(self) -> int:
        """End the process at once, as a crash would (SIGKILL), and return its exit code."""
        self.process.kill()
        return self._close()

    def _close(self) -> int:
        code = self.process.wait()
        if self._final_output is not None:
            return code
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)  # what the process itself started
        if self.process.stdin:
            self.process.stdin.close()
        self._final_output = self.output()
        if not self._keep_log:
            self._log.unlink(missing_ok=True)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


# For `node`: end when the standard input ends.
NODE_EXIT_WITH_PARENT = "--import=data:text/javascript,process.stdin.on('end',()=>process.exit()).resume().unref()"


def exit_with_parent() -> None:
    """In a process that a `Child` started: end as soon as its parent does. Elsewhere: nothing."""
    if os.environ.pop(_PARENT_HOLDS_STDIN, None) is None:
        return

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os._exit(1)

    threading.Thread(target=watch, name="exit-with-parent", daemon=True).start()
