"""host.json, local.settings.sample.json, .funcignore and the lock file."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from cloud.settings import Settings
from local.host import HostSettings, QueueSettings
from local.host.settings import load_local_settings

ROOT = Path(__file__).parents[2]
DEPLOYED = {
    "api",
    "billing",
    "cloud",
    "commands",
    "tenancy",
    "composition.py",
    "dashboard",
    "function_app.py",
    "gdpr",
    "host.json",
    "requirements.txt",
    "sync_core",
}


def test_host_json() -> None:
    settings = HostSettings.read(ROOT / "host.json")
    assert settings.queues == QueueSettings(
        batch_size=4, new_batch_threshold=1, max_dequeue_count=5, visibility_timeout=60, max_polling_interval=2, base64=True
    )
    # A queue message's lease in Azure: whatever runs longer could run twice at once if renewal failed.
    assert settings.function_timeout <= 600


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"extensions": {"queues": {"batchSize": 33}}}', "batchSize must be 1 to 32"),
        ('{"extensions": {"queues": {"messageEncoding": "hex"}}}', "messageEncoding must be base64 or none"),
        ('{"functionTimeout": 600}', "not a time span of the form hh:mm:ss: 600"),
    ],
)
def test_a_wrong_host_json_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(ValueError, match=problem):
        HostSettings.read(tmp_path / "host.json")


def test_an_empty_host_json_has_the_documented_defaults(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"extensions": {"queues": {"batchSize": 8, "visibilityTimeout": "1.02:03:04.5"}}}')
    settings = HostSettings.read(tmp_path / "host.json")
    assert settings.route_prefix == "api"
    assert settings.queues == QueueSettings(batch_size=8, new_batch_threshold=4, visibility_timeout=93784.5)


def test_the_sample_settings_are_good_settings() -> None:
    values = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"
    assert Settings.from_environment(values).secrets_file == Path(".local/secrets.json")
    used = set(re.findall(r'"(ROLLCALL_[A-Z_]+)"', (ROOT / "cloud" / "settings.py").read_text()))
    assert {name for name in values if name.startswith("ROLLCALL_")} == used, "every setting stands there, unused ones empty"


def test_local_settings_do_not_replace_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"SET": "before"})
    file = tmp_path / "local.settings.json"
    file.write_text('{"Values": {"SET": "by file", "NEW": "by file"}}')
    load_local_settings(file)
    assert os.environ == {"SET": "before", "NEW": "by file"}
    file.write_text('{"Values": {"NUMBER": 1}}')
    with pytest.raises(ValueError, match=r"local\.settings\.json: NUMBER must be a string"):
        load_local_settings(file)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git which files there are")
def test_only_what_runs_in_azure_is_deployed() -> None:
    def files(*options: str) -> set[str]:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", *options], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True
        )
        return set(listed.stdout.splitlines())

    kept = files() - files("--ignored", "--exclude-from=.funcignore")
    assert {path.split("/")[0] for path in kept} <= DEPLOYED
    assert {"host.json", "requirements.txt", "sync_core/ports.py", "cloud/graph/__init__.py"} <= kept


def test_the_lock_file_works_with_any_registry() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/azurite"]["version"] == "3.35.0"
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name
        assert not name or package["integrity"].startswith("sha512-"), name
