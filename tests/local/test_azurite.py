from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from local.azurite import Azurite
from local.processes import Child, ChildError

ROOT = Path(__file__).parents[2]


def ends(pid: int, seconds: float = 5) -> bool:
    """Does the process end within `seconds`?"""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


async def test_queues_and_tables_answer_on_the_connection_string(azurite: Azurite, unique: Callable[[str], str]) -> None:
    from azure.data.tables.aio import TableServiceClient
    from azure.storage.queue.aio import QueueServiceClient

    name = unique("mine")
    async with QueueServiceClient.from_connection_string(azurite.connection_string) as queues:
        queue = await queues.create_queue(name)
        await queue.send_message("hello")
        assert [message.content async for message in queue.receive_messages()] == ["hello"]
    async with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
        await tables.create_table(name)
        assert name in [table.name async for table in tables.list_tables()]


async def test_with_a_location_the_data_survive_a_restart(tmp_path: Path) -> None:
    from azure.storage.queue.aio import QueueServiceClient

    for expected in ([], ["kept"]):
        with Azurite(location=tmp_path) as running:
            async with QueueServiceClient.from_connection_string(running.connection_string) as queues:
                assert [queue.name async for queue in queues.list_queues()] == expected
                if not expected:
                    await queues.create_queue("kept")


def test_it_ends_with_its_context() -> None:
    with Azurite() as running:
        assert psutil.pid_exists(running.pid)
    assert not psutil.pid_exists(running.pid)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_when_its_parent_dies(how: signal.Signals) -> None:
    program = "import time; from local.azurite import Azurite\nwith Azurite() as a: print(a.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.send_signal(how)
        parent.wait(10)
    assert ends(pid)


def test_a_python_child_ends_when_its_parent_dies() -> None:
    child = "from local.processes import exit_with_parent; exit_with_parent(); import time; time.sleep(60)"
    program = (
        "import os, signal, sys; from local.processes import Child\n"
        f"print(Child([sys.executable, '-c', {child!r}]).pid, flush=True); os._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    assert ends(int(done.stdout))


def test_stopping_a_child_that_will_not_listen_kills_it_and_what_it_started() -> None:
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "sleep = 'import time; time.sleep(60)'\n"
        "print('grandchild', subprocess.Popen([sys.executable, '-c', sleep]).pid, flush=True); time.sleep(60)"
    )
    child = Child([sys.executable, "-c", program])
    grandchild = int(child.expect(r"grandchild (\d+)\n")[1])
    assert child.stop(grace=0.2) == -signal.SIGKILL
    assert ends(grandchild)
    assert child.stop() == -signal.SIGKILL  # again is no error
    assert child.output() == f"grandchild {grandchild}\n"


def test_a_child_that_ends_early_tells_what_it_said() -> None:
    child = Child([sys.executable, "-c", "print('no such tenant'); raise SystemExit(3)"])
    with child, pytest.raises(ChildError, match=r"ended with code 3:\nno such tenant"):
        child.expect("ready")


def test_a_child_that_is_never_ready_is_given_up() -> None:
    with (
        Child([sys.executable, "-c", "import time; time.sleep(60)"]) as child,
        pytest.raises(ChildError, match=r"not ready after 0\.1 s"),
    ):
        child.expect("ready", timeout=0.1)


def test_a_childs_output_goes_to_its_log(tmp_path: Path) -> None:
    with Child([sys.executable, "-c", f"print({os.getpid()})"], log=tmp_path / "log") as child:
        child.expect(r"\n")
    assert (tmp_path / "log").read_text() == f"{os.getpid()}\n"
