"""Imports point one way: function_app -> api -> {gdpr, billing} -> sync_core; cloud implements the ports of sync_core."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.architecture.imports import Source, imported, project

# What each part of the project may know besides itself. `composition` alone knows both sides of the ports.
KNOWS = {
    "sync_core": set(),
    "gdpr": {"sync_core"},
    "billing": {"sync_core"},
    "tenancy": {"sync_core"},
    "cloud": {"sync_core", "gdpr", "tenancy"},
    "composition": {"sync_core", "gdpr", "billing", "tenancy", "cloud"},
    "api": {"sync_core", "gdpr", "billing", "tenancy", "composition"},
    "commands": {"sync_core", "composition"},
    "function_app": {"sync_core", "gdpr", "billing", "tenancy", "composition", "api"},
    "examples": set(),
    "local": {"sync_core", "gdpr", "billing", "tenancy", "cloud", "composition", "api", "function_app"},
    "benchmarks": {"sync_core", "gdpr", "billing", "tenancy", "cloud", "composition", "api", "function_app", "local", "tests"},
    "tests": {
        *("sync_core", "gdpr", "billing", "tenancy", "cloud", "composition", "api", "commands", "function_app", "local"),
        "benchmarks",
        "examples",
    },
}
CORE_LIBRARIES = {"msgspec", "orjson", "pydantic", "phonenumbers", "charset_normalizer", "PIL", "tzlocal"}
OUTSIDE = (
    "msgraph",
    "msgraph_core",
    "kiota_",
    "httpx",
    "aiohttp",
    "azure.core",
    "azure.data",
    "azure.identity",
    "azure.keyvault",
)
MAY_REACH_OUTSIDE = {"cloud", "composition", "local", "benchmarks", "examples", "tests"}

# Inside sync_core, from the inside out. Modules directly in it are pure but for the ports.
LAYERS = {"ports": 1, "state": 2, "sources": 3, "engine": 4}
IMPURE_MODULES = {
    *("asyncio", "concurrent", "io", "logging", "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "selectors"),
    *("shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid.uuid4"),
}
CLOCK = {"now", "utcnow", "today", "fromtimestamp"}
IN_AND_OUT = {"open", "print", "input", "breakpoint", "exec", "eval"}


def wrongs(source: Source) -> Iterator[str]:
    """Everything in a file that the rules forbid."""
    for name, line in imported(source):
        top = name.partition(".")[0]
        if top in KNOWS:
            allowed = top == source.top or top in KNOWS[source.top]
        elif source.top == "sync_core":
            allowed = top in CORE_LIBRARIES or top in sys.stdlib_module_names
        else:
            allowed = source.top in MAY_REACH_OUTSIDE or not name.startswith(OUTSIDE)
        if not allowed:
            yield f"{source.module}:{line} imports {name}"
    if source.top == "sync_core":
        yield from _wrongs_of_the_core(source)


def _layer(module: str) -> int:
    _, _, inside = module.partition(".")
    return LAYERS.get(inside.partition(".")[0], 0)


def _wrongs_of_the_core(source: Source) -> Iterator[str]:
    for name, line in imported(source):
        if name.startswith("sync_core") and _layer(name) > _layer(source.module):
            yield f"{source.module}:{line} imports {name}, a layer above it"
    if _layer(source.module) > 0:
        return
    for name, line in imported(source):
        if name in IMPURE_MODULES or name.partition(".")[0] in IMPURE_MODULES:
            yield f"{source.module}:{line} is pure, but imports {name}"
    for node in ast.walk(source.tree):
        match node:
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"{source.module}:{node.lineno} is pure, but has async code"
            case ast.Call(ast.Attribute(attr=name)) if name in CLOCK:
                yield f"{source.module}:{node.lineno} is pure, but asks a clock"
            case ast.Call(ast.Name(name)) if name in IN_AND_OUT:
                yield f"{source.module}:{node.lineno} is pure, but calls {name}"


def test_every_import_of_the_project_points_the_right_way() -> None:
    assert [wrong for source in project() for wrong in wrongs(source)] == []


def test_every_part_of_the_project_has_its_rules() -> None:
    tops = {source.top for source in project()}
    assert tops - KNOWS.keys() == set()
    assert {"function_app", "composition", "api", "gdpr", "cloud", "sync_core", "local", "tests"} <= tops


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("sync_core.planning", "from cloud.tables import AzureTables"),
        ("sync_core.planning", "def f():\n    import gdpr.encryption"),
        ("sync_core.planning", "import httpx"),
        ("sync_core.engine.chunk", "from azure.functions import FunctionApp"),
        ("sync_core.engine.chunk", "import importlib\nimportlib.import_module('cloud.clock')"),
        ("sync_core.engine.chunk", "import importlib\nimportlib.import_module('cloud' + '.clock')"),
        ("sync_core.engine.chunk", "from ... import local"),
        ("sync_core.engine.chunk", "from local import memory"),
        ("sync_core.planning", "from sync_core import ports"),
        ("sync_core.planning", "from sync_core.state import runs"),
        ("sync_core.planning", "from . import engine"),
        ("sync_core.ports", "from sync_core.state.runs import Run"),
        ("sync_core.state.runs", "from sync_core.engine.context import Context"),
        ("sync_core.planning", "async def plan(): ..."),
        ("sync_core.planning", "from datetime import datetime\ndef plan():\n    return datetime.now()"),
        ("sync_core.planning", "import time"),
        ("sync_core.planning", "from uuid import uuid4"),
        ("sync_core.planning", "def plan():\n    print(1)"),
        ("gdpr.retention", "import api.admin"),
        ("gdpr.retention", "import cloud.tables"),
        ("gdpr.retention", "from azure.data.tables import TableClient"),
        ("billing.plans", "import gdpr"),
        ("tenancy.consent", "import cloud.settings"),
        ("tenancy.consent", "import gdpr.encryption"),
        ("cloud.tables", "import composition"),
        ("cloud.tables", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from api import admin"),
        ("composition", "import api.admin"),
        ("composition", "def build():\n    from local.memory import MemoryTables"),
        ("api.admin", "from cloud.settings import Settings"),
        ("api.admin", "import function_app"),
        ("function_app", "import cloud.settings"),
        ("function_app", "from local.host import host"),
        ("local.host.host", "from tests import conftest"),
    ],
)
def test_what_the_rules_forbid_is_found(module: str, code: str) -> None:
    assert list(wrongs(Source(module, ast.parse(code))))


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("sync_core.planning", "from datetime import datetime\nfrom sync_core import marks, model\nimport orjson"),
        ("sync_core.engine.chunk", "import asyncio\nfrom sync_core.state import runs\nasync def f(): ..."),
        ("cloud.tables", "from gdpr.encryption import TenantKeyring\nfrom azure.data.tables.aio import TableClient"),
        ("composition", "from cloud.tables import AzureTables"),
        ("api.admin", "from composition import context\nimport azure.functions"),
        ("function_app", "import api.admin\nfrom composition import context"),
        ("local.memory", "from sync_core.ports import Tables"),
    ],
)
def test_what_the_rules_allow_is_left_alone(module: str, code: str) -> None:
    assert list(wrongs(Source(module, ast.parse(code)))) == []
