from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from cloud.file_secrets import FileSecrets
from sync_core.errors import ConflictError, InputError, NotFoundError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "secrets.json"


async def test_a_secret_comes_back_as_it_was(path: Path) -> None:
    await FileSecrets(path).create("master", b"\x00\xff key")
    await FileSecrets(path).create("other", b"")
    assert await FileSecrets(path).get("master") == b"\x00\xff key"
    assert await FileSecrets(path).get("other") == b""


async def test_a_secret_that_does_not_exist(path: Path) -> None:
    with pytest.raises(NotFoundError, match="master"):
        await FileSecrets(path).get("master")


async def test_a_secret_is_never_replaced(path: Path) -> None:
    secrets = FileSecrets(path)
    await secrets.create("master", b"first")
    with pytest.raises(ConflictError):
        await secrets.create("master", b"second")
    assert await secrets.get("master") == b"first"


async def test_two_writers_at_once_lose_nothing(path: Path) -> None:
    await asyncio.gather(*(FileSecrets(path).create(f"secret-{n}", bytes([n])) for n in range(8)))
    assert [await FileSecrets(path).get(f"secret-{n}") for n in range(8)] == [bytes([n]) for n in range(8)]
    assert list(path.parent.iterdir()) == [path]


async def test_while_a_secret_is_rotated_the_one_before_it_is_there_too(path: Path) -> None:
    secrets = FileSecrets(path)
    with pytest.raises(NotFoundError, match="key"):
        await secrets.versions("key")
    await secrets.create("key", b"new")
    assert await secrets.versions("key") == [b"new"]
    await secrets.create("key-previous", b"old")
    assert await secrets.versions("key") == [b"new", b"old"]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
async def test_only_its_owner_can_read_the_file(path: Path) -> None:
    await FileSecrets(path).create("master", b"x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o640)
    with pytest.raises(InputError, match="can be read by others"):
        await FileSecrets(path).get("master")


async def test_a_damaged_file_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir()
    for text, problem in (("{", "is not JSON"), ("[]", "is not a JSON object")):
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(InputError, match=problem):
            await FileSecrets(path).create("master", b"x")
        assert path.read_text() == text


def test_it_is_refused_in_azure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSITE_INSTANCE_ID", "0a1b")
    with pytest.raises(InputError, match=r"ROLLCALL_SECRETS.*Key Vault"):
        FileSecrets(path)
