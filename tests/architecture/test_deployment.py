"""What is deployed, and what a cold start loads of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pathspec import GitIgnoreSpec

from tests.architecture.imports import ROOT

HEAVY = (
    *("msgraph", "msgraph_core", "kiota_abstractions", "azure.data.tables", "azure.storage.queue", "azure.identity"),
    *("azure.keyvault", "azure.core", "cryptography", "phonenumbers", "aiohttp", "httpx", "stripe"),
)
MOST_MODULES = 700
MOST_MEMORY = 120 * 1024 * 1024
DEPLOYED_FILES = {"function_app.py", "composition.py", "host.json", "requirements.txt"}
DEPLOYED_FOLDERS = {"api", "billing", "cloud", "dashboard", "gdpr", "sync_core", "commands", "tenancy"}


def fresh_process(code: str, *, path: Path) -> Any:
    """What a new Python with only `path` (and installed packages) to import from prints as JSON."""
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(path)!r})\n{code}"],
        env={name: value for name, value in os.environ.items() if not name.startswith(("ROLLCALL_", "AzureWebJobs"))},
        cwd=path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def deployed() -> Iterator[Path]:
    """Every file below the project that `.funcignore` lets through, by the rules of .gitignore."""
    left_out = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    for folder, names, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        names[:] = [name for name in names if not left_out.match_file(f"{(here / name).as_posix()}/")]
        yield from (here / name for name in files if not left_out.match_file((here / name).as_posix()))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it arrives in the cloud."""
    target = tmp_path_factory.mktemp("package")
    for file in deployed():
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, target / file)
    return target


def test_importing_the_app_loads_nothing_heavy() -> None:
    report = fresh_process(
        "import function_app, json, psutil\n"
        "print(json.dumps({'modules': list(sys.modules), 'memory': psutil.Process().memory_info().rss}))",
        path=ROOT,
    )
    loaded = report["modules"]
    assert [name for name in loaded if any(name == heavy or name.startswith(f"{heavy}.") for heavy in HEAVY)] == []
    assert len(loaded) < MOST_MODULES  # a cold start of some 450 modules takes well under a second
    assert report["memory"] < MOST_MEMORY


def test_only_the_app_is_deployed() -> None:
    files = list(deployed())
    assert {file.name for file in files if len(file.parts) == 1} == DEPLOYED_FILES
    folders = {file.parts[0] for file in files if len(file.parts) > 1}
    assert folders <= DEPLOYED_FOLDERS
    assert {"api", "cloud", "gdpr", "sync_core"} <= folders
    assert not [file for file in files if file.suffix in (".pyc", ".md") or ("secrets" in file.name and file.suffix == ".json")]


def test_the_deployed_folder_is_complete(package: Path) -> None:
    report = fresh_process(
        "import function_app, importlib, json, pathlib\n"
        f"root = pathlib.Path({str(package)!r})\n"
        "for file in sorted(root.rglob('*.py')):\n"
        "    name = '.'.join(file.relative_to(root).with_suffix('').parts)\n"
        "    importlib.import_module(name.removesuffix('.__init__'))\n"
        "print(json.dumps({\n"
        "    'functions': [each.get_function_name() for each in function_app.app.get_functions()],\n"
        "    'modules': {name: getattr(module, '__file__', None) for name, module in sys.modules.items()}}))",
        path=package,
    )
    assert {"schedule_syncs", "purge_expired", "sync_start", "sync_chunk", "run_check", "purge_tenant", "health"} <= set(
        report["functions"]
    )
    assert not [
        name for name in report["modules"] if name.partition(".")[0] in ("local", "tests", "benchmarks", "local_settings")
    ]
    ours = {name: file for name, file in report["modules"].items() if file and str(ROOT) in file and "site-packages" not in file}
    assert ours == {}, "came from the checkout, not from what is deployed"
    assert report["modules"]["composition"] == str(package / "composition.py")


def test_the_host_finds_its_settings_in_the_deployed_folder(package: Path) -> None:
    host = json.loads((package / "host.json").read_text())
    assert host["version"] == "2.0"
    assert host["extensions"]["queues"]["messageEncoding"] == "base64"
