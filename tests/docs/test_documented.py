"""What an operator can set, call, see or be told is documented, and nothing that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import BaseModel

import function_app
from api.principal import Role
from api.signin import errors as sign_in_errors
from cloud.settings import Settings
from local.host.functions import Function, read_functions
from sync_core import errors
from sync_core.definition import SyncDefinition, TenantSettings
from sync_core.errors import InputError, Reason
from sync_core.model import RunState
from sync_core.state import names
from sync_core.state.runs import Check

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
UUID = "00000000-0000-0000-0000-000000000000"


@cache
def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@cache
def cells(name: str, title: str) -> list[str]:
    """The code spans in the first column of all tables under a heading."""
    _, _, section = page(name).partition(f"\n{title}\n")
    section = re.split(rf"\n#{{1,{title.count('#')}}} ", section)[0]
    rows = (row for row in section.splitlines() if row.startswith("| "))
    return [span for row in rows for span in re.findall(r"`([^`]+)`", row.split("|")[1])]


class Recorder(Mapping[str, str]):
    """An environment that notes what it is asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def settings_read() -> set[str]:
    basis = {
        "ROLLCALL_INSTALLATION": "my-machine",
        "ROLLCALL_REGION": "westeurope",
        "ROLLCALL_SECRETS": "file:x",
        "ROLLCALL_CLIENT_ID": UUID,
        "ROLLCALL_CLIENT_SECRET_NAME": "name",
        "AzureWebJobsStorage__credential": "managedidentity",
    }
    asked: set[str] = set()
    for storage in (
        {"AzureWebJobsStorage": "UseDevelopmentStorage=true"},
        {"AzureWebJobsStorage__accountName": "account", "AzureWebJobsStorage__clientId": UUID},
        {
            "AzureWebJobsStorage__tableServiceUri": "https://t.example",
            "AzureWebJobsStorage__queueServiceUri": "https://q.example",
        },
        {},
    ):
        environment = Recorder(basis | storage)
        try:
            Settings.from_environment(environment)
        except InputError:
            assert not storage
        asked |= environment.asked
    return asked


def functions(kind: str) -> list[Function]:
    return [each for each in read_functions(function_app.app, 600) if each.trigger["type"] == kind]


def routes() -> set[str]:
    return {
        f"{getattr(method, 'value', method)} /api/{unquote(each.trigger['route'])}"
        for each in functions("httpTrigger")
        for method in each.trigger["methods"]
    }


def test_every_setting() -> None:
    documented = {name for name in cells("operations.md", "## Settings") if re.match("ROLLCALL_|AzureWebJobs", name)}
    assert documented == settings_read()


def test_every_endpoint() -> None:
    pages = "\n".join(file.read_text(encoding="utf-8") for file in DOCS.glob("*.md"))
    documented = re.findall(r"^\| `((?:GET|PUT|POST|PATCH|DELETE) /api/[^`]+)`", pages, re.MULTILINE)
    assert sorted(documented) == sorted(routes())


def test_every_app_role_and_every_refusal_of_a_caller() -> None:
    documented = re.findall(r'"value": "([^"]+)"', page("sign-in.md"))
    assert sorted(documented) == sorted(Role)
    codes = {value for name, value in vars(sign_in_errors).items() if name.isupper() and isinstance(value, str)}
    assert set(cells("sign-in.md", "## What is checked")) == codes | {"unavailable"}


def test_every_queue_with_its_poison_queue() -> None:
    queues = {each.trigger["queueName"] for each in functions("queueTrigger")}
    documented = set(cells("operations.md", "## Queues"))
    assert documented == {queue for queue in queues if not queue.endswith("-poison")}
    assert all(f"`{queue}`" in page("operations.md") for queue in queues)


def test_every_timer_with_its_schedule() -> None:
    timers = functions("timerTrigger")
    assert set(cells("operations.md", "## Timers")) == {each.name for each in timers}
    for each in timers:
        assert f"| `{each.name}` | `{each.trigger['schedule']}` |" in page("operations.md")


def test_every_reason() -> None:
    assert sorted(cells("operations.md", "## Reasons")) == sorted(Reason)


def test_every_state_of_a_run() -> None:
    assert set(cells("operations.md", "## States of a run")) == set(RunState)


@pytest.mark.parametrize("check", Check)
def test_every_way_to_check(check: Check) -> None:
    assert f"`{check}`" in page("operations.md")


def definition_fields() -> set[str]:
    models: tuple[type[BaseModel], ...] = (SyncDefinition, TenantSettings)
    return {name for model in models for name in model.model_fields}


def test_every_field_of_definitions() -> None:
    assert set(cells("operations.md", "### A sync's definition")) == set(SyncDefinition.model_fields)
    assert set(cells("operations.md", "### A tenant's settings")) == set(TenantSettings.model_fields)


def test_every_table() -> None:
    tables = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and value.islower()}
    assert set(cells("architecture.md", "## State")) - {"tenant", "keys"} == tables


def test_every_error() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.RollcallError)}
    assert set(cells("architecture.md", "## Errors")) == kinds - {"RollcallError"}


def links() -> list[Any]:
    found = []
    for file in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text(encoding="utf-8")):
            if "://" not in target:
                found.append(pytest.param(file.parent / target, id=f"{file.name} -> {target}"))
    return found


@pytest.mark.parametrize("target", links())
def test_links_lead_somewhere(target: Path) -> None:
    assert target.exists()
