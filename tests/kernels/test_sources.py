"""What compiled kernels are made of: all of that changes the digest, and nothing else does."""

import ast
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kernels import sources
from kernels.sources import COMPILERS, ROOMS, ROOT, kernel_digest


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms that kernels may stand in, to be edited."""
    root = tmp_path_factory.mktemp("rooms")
    for room in ROOMS:
        shutil.copytree(ROOT / room, root / room, ignore=lambda _, names: [n for n in names if n == "pretrained"])
    return root


@pytest.fixture
def changes_digest(copy: Path) -> Callable[[str, str], bool]:
    """Whether adding a line to a module (made where there is none) changes the digest; it is taken back."""

    def edited(module: str, line: str) -> bool:
        path = copy / module
        before, text = kernel_digest(copy), path.read_text() if path.exists() else None
        path.write_text(f"{text or ''}{line}\n")
        try:
            return kernel_digest(copy) != before
        finally:
            path.write_text(text) if text is not None else path.unlink()

    return edited


@pytest.mark.parametrize(
    "module",
    [
        "flows/decode.py",  # kernels that only kernels call
        "flows/metering_process.py",  # a kernel that Python calls
        "flows/columns.py",  # constants of kernels
        "flows/layout.py",
        "kernels/jit.py",  # how they are compiled
        "kernels/hosts.py",
        "models/lstm_steps.py",
        "models/detector.py",
        "sensor/episodes/evidence.py",
        "sensor/api/json_shape.py",
        "sensor/sources/live/tpacket.py",
    ],
)
def test_an_edit_of_what_kernels_are_made_of_changes_the_digest(
    changes_digest: Callable[[str, str], bool], module: str
) -> None:
    assert changes_digest(module, "# edited")


@pytest.mark.parametrize(
    "module",
    [
        "sensor/terminal/board.py",
        "sensor/cli/read.py",
        "sensor/report/page.py",
        "sensor/process/kernel_cache.py",
        "sensor/alerts/playbook.py",
        "sensor/__main__.py",
        "models/bundle.py",
        "sensor/nothing_that_was_there_before.py",
    ],
)
def test_an_edit_of_anything_else_does_not(changes_digest: Callable[[str, str], bool], module: str) -> None:
    assert not changes_digest(module, "# edited")


def test_a_module_whose_constants_a_kernel_newly_takes_counts_from_then_on(
    copy: Path, changes_digest: Callable[[str, str], bool]
) -> None:
    assert changes_digest("sensor/episodes/evidence.py", "from sensor.report.page import WIDTH")
    (copy / "sensor" / "limits.py").write_text("LIMIT = 1\n")
    with (copy / "sensor" / "episodes" / "evidence.py").open("a") as file:
        file.write("from sensor import (\n    limits,\n)\n")
    assert changes_digest("sensor/limits.py", "LIMIT = 2")


def test_a_module_with_a_first_kernel_counts(changes_digest: Callable[[str, str], bool]) -> None:
    assert changes_digest("sensor/first.py", "from kernels.jit import entry")


@pytest.mark.parametrize("compiler", COMPILERS)
def test_another_version_of_the_compiler_is_another_digest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str
) -> None:
    found = sources._version_file
    newer = tmp_path / "_version.py"
    newer.write_bytes(found(compiler).read_bytes() + b"# newer")
    before = kernel_digest()
    monkeypatch.setattr(sources, "_version_file", lambda name: newer if name == compiler else found(name))
    assert kernel_digest() != before


def test_every_module_that_uses_a_compiler_is_counted() -> None:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            imported = set(imported_by(path))
            if imported & {"numba", "llvmlite", "jit"}:
                assert name in sources.kernel_sources(), f"{name} is compiled, and its edits go unseen"


def imported_by(path: Path) -> list[str]:
    """First and last names of all modules that a file imports, by its syntax tree."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import, which the digest does not follow"
            names += [str(node.module).split(".")[0], str(node.module).split(".")[-1]]
        elif isinstance(node, ast.Import):
            names += [part for alias in node.names for part in (alias.name.split(".")[0], alias.name.split(".")[-1])]
    return names
