"""`python -m tests.mutants`: plant faults one by one, and see whether the tests turn red.

Faults go into copies of the project in a temporary folder; the project itself stays as it is. `--core` runs only the small ones
in the pure core, `--planted` only the planted ones, and words pick planted faults by name.
"""

# ruff: noqa: T201 - a program that prints

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tests.mutants.planted import FAULTS, Fault

ROOT = Path(__file__).parents[2]
PARTS = (
    "sync_core",
    "cloud",
    "gdpr",
    "tenancy",
    "api",
    "local",
    "tests",
    "function_app.py",
    "composition.py",
    "pyproject.toml",
    "host.json",
)
SIDE_BY_SIDE = 2
TIMEOUT = 600
TESTS_FAILED = 1  # pytest's exit status; anything else but 0 means that they could not run


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one fault. `noticed` is the test that failed, or "" when none did."""

    fault: Fault
    noticed: str
    problem: str
    seconds: float


def main() -> int:
    """Run, print, and return 1 when a fault survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--core", action="store_true", help="only the pure core")
    parser.add_argument("--planted", action="store_true", help="only planted faults")
    parser.add_argument("words", nargs="*", help="only planted faults with one of these words in their name")
    options = parser.parse_args()
    chosen = [fault for fault in FAULTS if not options.words or any(word in fault.name for word in options.words)]
    with tempfile.TemporaryDirectory(prefix="rollcall-mutants-") as folder:
        good = options.core or planted(Path(folder), chosen)
        if not options.planted and not options.words:
            good = core(Path(folder)) and good
    return 0 if good else 1


def planted(folder: Path, faults: Sequence[Fault]) -> bool:
    """Try the planted faults; whether every one was noticed."""
    begun = time.monotonic()
    print(f"Planted faults: {len(faults)}. First the same tests without any.", flush=True)
    copy = copy_project(folder / "sound")
    noticed, problem = run_tests(copy, sorted(set(chain.from_iterable(fault.tests for fault in faults))))
    if noticed or problem:
        print(f"  The tests are red without any fault: {noticed or problem}")
        return False
    width = max(len(fault.name) for fault in faults)
    verdicts = []
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for verdict in pool.map(lambda pair: try_fault(folder / f"fault-{pair[0]}", pair[1]), enumerate(faults)):
            outcome = verdict.problem or (f"noticed by {verdict.noticed}" if verdict.noticed else "SURVIVED")
            print(f"  {verdict.fault.name:<{width}}  {verdict.seconds:5.1f} s  {outcome}", flush=True)
            verdicts.append(verdict)
    survived = sum(not verdict.noticed for verdict in verdicts)
    print(f"{len(faults) - survived} of {len(faults)} noticed in {time.monotonic() - begun:.0f} s", flush=True)
    return not survived


def try_fault(folder: Path, fault: Fault) -> Verdict:
    """Plant one fault in a copy and run the tests that must notice it."""
    begun = time.monotonic()
    copy_project(folder)
    problem = plant(folder, fault)
    noticed = ""
    if not problem:
        noticed, problem = run_tests(folder, fault.tests)
    shutil.rmtree(folder, ignore_errors=True)
    return Verdict(fault, noticed, problem, time.monotonic() - begun)


def plant(folder: Path, fault: Fault) -> str:
    """Change the source. Returns what is wrong when it is not what the fault was written for, else ""."""
    for edit in fault.edits:
        file = folder / edit.file
        source = file.read_text(encoding="utf-8") if file.exists() else ""
        if (found := source.count(edit.search)) != 1:
            return f"STALE: {edit.file} has {found} times {edit.search.strip()!r}"
        changed = source.replace(edit.search, edit.replace)
        try:
            compile(changed, edit.file, "exec")
        except SyntaxError as error:
            return f"STALE: the changed {edit.file} is no Python: {error}"
        file.write_text(changed, encoding="utf-8")
    return ""


def run_tests(folder: Path, tests: Iterable[str]) -> tuple[str, str]:
    """The first test that failed, if one did, and what is wrong when the tests could not run."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-p", "no:schemathesis", "--tb=no", "-rfE", *tests]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return "", f"BROKEN: the tests did not end within {TIMEOUT} s"
    if run.returncode == 0:
        return "", ""
    failed = re.search(r"^FAILED (\S+)", run.stdout, re.MULTILINE)
    if run.returncode != TESTS_FAILED or not failed:
        return "", f"BROKEN: the tests could not run\n{(run.stdout + run.stderr)[-1500:]}"
    return failed[1], ""


def core(folder: Path) -> bool:
    """Mutate the pure core with mutmut, as pyproject.toml says; whether no mutant survived."""
    begun = time.monotonic()
    print("The pure core: mutmut", flush=True)
    copy = copy_project(folder / "core")
    mutmut = [sys.executable, "-m", "mutmut"]
    run = subprocess.run(
        [*mutmut, "run", "--max-children", str(SIDE_BY_SIDE)], cwd=copy, capture_output=True, text=True, check=False
    )
    last = run.stdout.replace("\r", "\n").strip().rpartition("\n")[2]
    if run.returncode:
        print(f"  mutmut could not run\n{(run.stdout + run.stderr)[-1500:]}")
        return False
    # its exit status says nothing about survivors
    results = subprocess.run([*mutmut, "results"], cwd=copy, capture_output=True, text=True, check=True).stdout.strip()
    # tests that hang have noticed, too
    survivors = [line for line in results.splitlines() if not line.endswith(": timeout")]
    for line in survivors:
        print(f"  {line.strip()}")
    for name in [line.strip().partition(":")[0] for line in survivors][:20]:
        print(subprocess.run([*mutmut, "show", name], cwd=copy, capture_output=True, text=True, check=False).stdout)
    print(f"  {last}\n{len(survivors)} survived, {time.monotonic() - begun:.0f} s", flush=True)
    return not survivors


def copy_project(target: Path) -> Path:
    """What the tests need of the project, in a folder of its own."""
    target.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=ignore)
        elif source.exists():
            shutil.copy(source, target / part)
    (target / "node_modules").symlink_to(ROOT / "node_modules", target_is_directory=True)  # Azurite
    return target


if __name__ == "__main__":
    sys.exit(main())
