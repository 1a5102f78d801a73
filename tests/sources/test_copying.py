"""A public folder's export, copied once into a shared mailbox, which is a source like any other from then on."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from commands.copy_contacts import copy_contacts
from commands.leave import leave
from local.m365.faults import Fault, FaultKind
from sync_core.engine.exit import Exit
from sync_core.errors import InputError, RollcallError
from tests.engine.world import TENANT
from tests.sources.lists import Lists

HEADER = "First Name,Last Name,E-mail Address,Business Phone\n"


class Copying(Lists):
    """A shared mailbox and an export of so many people."""

    def __init__(self, path: Path, people: int = 45) -> None:
        super().__init__()
        self.box = self.shared_mailbox("Purchasing")
        self.file = path / "suppliers.csv"
        self.fill(people)

    def fill(self, people: int) -> None:
        rows = [f"Sam,Supplier{number:02d},sam{number:02d}@supplier.example,030 12345{number:02d}" for number in range(people)]
        self.file.write_text(HEADER + "\n".join(rows))

    async def copy(self, *, copy: bool = True, folder: str = "Suppliers") -> bool:
        return await copy_contacts(self.context, TENANT, UUID(self.box), folder, self.file, country="de", copy=copy)

    def there(self) -> list[str]:
        return self.names(self.box, "Suppliers")


async def test_it_says_what_it_would_do_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = Copying(tmp_path)
    assert await world.copy(copy=False)
    assert "45 people in the file" in capsys.readouterr().out
    assert not [folder for folder in world.tenant.mailbox(world.box).folders() if folder.name == "Suppliers"]
    assert not [path for path in world.cloud.counters.templates if path.startswith(("POST /users", "PATCH"))]


async def test_what_was_copied_is_an_ordinary_source_and_nobodys_replica(tmp_path: Path) -> None:
    world = Copying(tmp_path)
    assert await world.copy()
    assert len(world.there()) == 45
    await world.set_up({"kind": "mailbox", "mailbox": world.box, "folder": "Suppliers"})
    await world.good()
    assert len(world.listed()) == 45
    assert world.values("Sam Supplier07")["businessPhones"] == ["+49301234507"]
    assert await leave(world.context, TENANT, Exit.REMOVE)
    assert len(world.there()) == 45


async def test_a_repetition_and_a_newer_export_copy_only_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = Copying(tmp_path)
    world.keep(world.box, "Suppliers", "Kept There")
    await world.copy()
    world.fill(47)
    capsys.readouterr()
    assert await world.copy()
    out = capsys.readouterr().out
    assert "45 of them were in the folder already" in out
    assert "2 were copied" in out
    assert len(world.there()) == 48


async def test_what_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    world = Copying(tmp_path)
    world.cloud.faults.add(
        Fault(FaultKind.ERROR, method="POST", path="/contacts$", status=507, code="ErrorQuotaExceeded", share=0.5)
    )
    with pytest.raises(RollcallError):
        await world.copy()
    world.cloud.faults.clear()
    assert 0 < len(world.there()) < 45
    assert await world.copy()
    assert len(world.there()) == len(set(world.there())) == 45


async def test_a_lost_answer_is_looked_up_by_the_repetition(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = Copying(tmp_path)
    world.cloud.faults.add(Fault(FaultKind.LOST, method="POST", path="/contacts$", times=3, answer="504"))
    assert not await world.copy()
    assert "3 got no answer" in capsys.readouterr().out
    assert await world.copy()
    assert len(world.there()) == len(set(world.there())) == 45


async def test_into_the_default_folder(tmp_path: Path) -> None:
    world = Copying(tmp_path)
    assert await world.copy(folder="default")
    assert len(world.tenant.mailbox(world.box).contacts.contacts) == 45


@pytest.mark.parametrize(
    ("name", "text", "field", "problem"),
    [
        ("x.pst", "", "file", "must end in"),
        ("x.csv", "Name,Name\nAnn,Ann\n", "file", "row 1, column B: means the same"),
        ("x.csv", "Name\n=cmd()\n", "file", "row 2, column A: begins like a formula"),
        ("x.csv", None, "file", "cannot be read"),
    ],
)
async def test_a_file_that_is_none_changes_nothing(tmp_path: Path, name: str, text: str | None, field: str, problem: str) -> None:
    world = Copying(tmp_path)
    world.file = tmp_path / name
    if text is not None:
        world.file.write_text(text)
    with pytest.raises(InputError, match=problem) as caught:
        await world.copy()
    assert caught.value.field == field
    assert world.cloud.counters.requests == 0
