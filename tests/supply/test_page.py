"""The page of dependencies names what setup.cfg names, and the code imports nothing else."""

import ast
import sys

import pytest
from packaging.requirements import Requirement

from tests.supply import page
from tests.supply.environments import ROOT, extras
from tests.supply.reasons import REASONS

ROOMS = ("flows", "kernels", "models", "sensor", "training", "configs")
# Comes with a package that setup.cfg names, in the version which that one asks for.
BROUGHT = {
    "llvmlite": "numba",
    "pydantic_core": "pydantic",
    "keras": "tensorflow",
    "markupsafe": "jinja2",
    "werkzeug": "flask",
    "threadpoolctl": "scikit-learn",
}
CALLED = {
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "flask_openapi3_swagger": "flask-openapi3-swagger",
    "backports": "backports-zstd",
}


def test_the_page_names_exactly_what_setup_cfg_names() -> None:
    asked = [(extra, Requirement(line).name) for extra, lines in extras().items() for line in lines]
    assert sorted(page.named(page.PAGE.read_text())) == sorted(asked), "python -m tests.supply.page"


def test_the_page_says_what_setup_cfg_and_the_locks_say() -> None:
    """But for licence and size, which are of what is installed."""

    def told(text: str) -> list[list[str]]:
        return [line.split(" | ")[:-2] if line.startswith("| `") else [line] for line in text.splitlines()]

    text = page.PAGE.read_text()
    assert told(page.with_tables(text)) == told(text), "python -m tests.supply.page"


def test_each_reason_is_of_a_package_that_is_asked_for() -> None:
    assert set(REASONS) == {Requirement(line).name for lines in extras().values() for line in lines}


@pytest.mark.parametrize("room", ROOMS)
def test_the_code_imports_nothing_that_setup_cfg_does_not_name(room: str) -> None:
    shipped = ("sensor", "cluster", "geo", "home", "kafka", "object-stores", "serve", "tables", "train", "signed")
    asked = {Requirement(line).name.replace("-", "_") for extra in shipped for line in extras().get(extra, ())}
    of_type_checkers = {"_typeshed"}  # which no run imports
    known = asked | set(sys.stdlib_module_names) | set(ROOMS) | of_type_checkers
    for path in (ROOT / room).rglob("*.py"):
        for name in imported(path.read_text()):
            called = BROUGHT.get(name, CALLED.get(name, name)).replace("-", "_")
            assert called in known, f"{path} imports {name}"


def imported(text: str) -> set[str]:
    """Top-level names of all modules that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(text)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names}
