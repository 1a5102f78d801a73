"""The demo as a program: it explains itself, never reaches a real tenant, and leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cloud.settings import Settings
from local.demo import cli
from local.demo.stage import ROOT, settings
from local.m365.tenant_file import AppPart

DEMO = "import sys; from local.demo import cli; sys.exit(cli.main(['--plain']))"  # set up it is


def test_a_wrong_tenant_file_is_explained_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tenant.json"
    file.write_text('{"id": "no id", "displayName": "X"}')
    with _signals_kept():
        assert cli.main(["--plain", "--tenant", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"{file}: id: " in error
    assert "What to do next" in error


def test_what_the_shell_has_set_does_not_lead_to_a_real_tenant(tmp_path: Path) -> None:
    shell = {
        "ROLLCALL_GRAPH": "https://graph.microsoft.com/v1.0",
        "ROLLCALL_SECRETS": "https://vault.example",
        "ROLLCALL_CERTIFICATE_NAME": "real",
        "ROLLCALL_IDENTITY_CLIENT_ID": "00000000-0000-0000-0000-000000000001",
        "ROLLCALL_LEASE_SECONDS": "7",
    }
    app = AppPart()
    ours = Settings.from_environment(shell | settings("http://127.0.0.1:1", "UseDevelopmentStorage=true", tmp_path / "s", app))
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    assert {name for name in sample if name.startswith("ROLLCALL_")} <= settings("x", "y", tmp_path / "s", app).keys()
    assert ours.graph == "http://127.0.0.1:1/v1.0"
    assert ours.authority == "http://127.0.0.1:1"
    assert (ours.secrets_file, ours.vault_url) == (tmp_path / "s", "")
    assert (ours.certificate_name, ours.identity_client_id) == ("", "")
    assert ours.lease_seconds == 600


def test_anything_but_the_demo_is_explained() -> None:
    done = subprocess.run([sys.executable, "-m", "local", "show"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage: python -m local demo" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="sends signals to one process, as a terminal does not on Windows")
@pytest.mark.parametrize("children", [1, 3])
def test_after_an_interrupt_no_process_is_left(children: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        demo = psutil.Popen([sys.executable, "-c", DEMO], cwd=ROOT, stdout=output, stderr=output)
    started: dict[int, psutil.Process] = {}
    deadline = time.monotonic() + 60
    while len(started) < children and demo.is_running() and time.monotonic() < deadline:
        with suppress(psutil.Error):
            started |= {child.pid: child for child in demo.children(recursive=True)}
        time.sleep(0.05)
    demo.send_signal(signal.SIGINT)
    try:
        assert demo.wait(30) == 130, log.read_text()
    finally:
        if demo.is_running():
            demo.kill()
    _, alive = psutil.wait_procs(list(started.values()), timeout=5)
    assert alive == []
    assert len(started) >= children, log.read_text()


class _signals_kept:  # noqa: N801 - reads as a phrase
    """The demo takes over signals of its process."""

    def __enter__(self) -> None:
        self._kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._kept.items():
            signal.signal(number, handler)
