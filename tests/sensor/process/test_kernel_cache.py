"""The directory of compiled kernels: private, by version, and never a reason to fail."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernels.sources import ROOMS

REPOSITORY = Path(__file__).resolve().parents[3]
CODE = """
from sensor.process.kernel_cache import kernels_are_compiled, use_kernel_cache
import os
print(use_kernel_cache(), os.environ.get("NUMBA_CACHE_DIR", "none"))
"""
SCALE = """
import flows.meter
from models.scaling import fit_scaling
import numpy as np
rows = np.ones((2, 1))
assert fit_scaling(rows, {"a": 0}).transform(rows).shape == (2, 1)
"""
OURS = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "CACHE_DIRECTORY")


def chosen(code: str = CODE, at: Path = REPOSITORY, **environment: str) -> tuple[str, Path, str]:
    """What a fresh process chooses: (compiled before, directory, what it says on stderr). at: where the rooms are."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=at,
        env=kept | {"PYTHONPATH": str(at)} | environment,
    )
    compiled, directory = done.stdout.split(maxsplit=1)
    return compiled, Path(directory.strip()), done.stderr


def refused(code: str = CODE, **environment: str) -> str:
    """What a fresh process says that finds no cache."""
    compiled, directory, said = chosen(code, **environment)
    assert (compiled, directory) == ("False", Path("none"))
    return said


def test_the_cache_is_the_owners_alone_and_is_found_again(tmp_path: Path) -> None:
    compiled, directory, said = chosen(XDG_CACHE_HOME=str(tmp_path))
    assert (compiled, said) == ("False", "")
    assert directory.parent == tmp_path / "flowvigil"
    assert directory.stat().st_mode & 0o777 == 0o700
    chosen(CODE + "kernels_are_compiled()", XDG_CACHE_HOME=str(tmp_path))
    assert chosen(XDG_CACHE_HOME=str(tmp_path)) == ("True", directory, "")


def test_a_cache_that_an_interrupted_run_has_left_counts_as_not_compiled(tmp_path: Path) -> None:
    _, directory, _ = chosen(XDG_CACHE_HOME=str(tmp_path))
    (directory / "a.nbk").touch()
    assert chosen(XDG_CACHE_HOME=str(tmp_path))[0] == "False"


def test_what_others_might_write_to_is_taken_from_them(tmp_path: Path) -> None:
    _, directory, _ = chosen(XDG_CACHE_HOME=str(tmp_path))
    for open_to_all in (directory, directory.parent):
        open_to_all.chmod(0o777)
    _, again, said = chosen(XDG_CACHE_HOME=str(tmp_path))
    assert (again, said) == (directory, "")
    assert [path.stat().st_mode & 0o777 for path in (directory, directory.parent)] == [0o700, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a directory of another user")
@pytest.mark.parametrize("theirs", ["directory", "base"])
def test_another_users_directory_is_not_used(tmp_path: Path, theirs: str) -> None:
    _, directory, _ = chosen(XDG_CACHE_HOME=str(tmp_path))
    os.chown(directory if theirs == "directory" else directory.parent, 12345, 12345)
    assert "another user's directory" in refused(XDG_CACHE_HOME=str(tmp_path))


def test_a_link_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    _, directory, _ = chosen(XDG_CACHE_HOME=str(tmp_path))
    directory.rename(tmp_path / "elsewhere")
    directory.symlink_to(tmp_path / "elsewhere")
    assert "or a link" in refused(XDG_CACHE_HOME=str(tmp_path))


@pytest.mark.parametrize("variable", ["XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "CACHE_DIRECTORY"])
def test_without_a_writable_place_kernels_are_compiled_in_memory(tmp_path: Path, variable: str) -> None:
    (tmp_path / "in the way").write_text("")
    environment = {variable: str(tmp_path / "in the way" / "cache")}
    said = refused(CODE + SCALE, **environment)
    assert said.count("\n") == 1
    assert str(tmp_path / "in the way") in said


def test_a_service_uses_the_directory_that_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "given").symlink_to(tmp_path / "private")  # as systemd does for a dynamic user
    _, directory, said = chosen(CACHE_DIRECTORY=str(tmp_path / "given"), XDG_CACHE_HOME=str(tmp_path / "other"))
    assert (directory.parent, said) == (tmp_path / "private", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which sudo made of somebody whose home it kept")
def test_root_leaves_nothing_in_another_users_home(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    code = "from sensor.process.kernel_cache import cache_base; print(0, cache_base())"
    assert chosen(code, HOME=str(tmp_path))[1] == Path("/var/cache/flowvigil")


@pytest.mark.parametrize("damage", [b"", bytes(4096), b"\x80\x04\x95"])
def test_files_that_a_power_loss_has_damaged_are_compiled_again(tmp_path: Path, damage: bytes) -> None:
    code = CODE + SCALE + "kernels_are_compiled()"
    chosen(code, XDG_CACHE_HOME=str(tmp_path))
    kept = [path for path in tmp_path.rglob("*.nb[k]") if path.stat().st_size]
    assert kept
    for path in kept:
        path.write_bytes(damage)
    assert chosen(CODE, XDG_CACHE_HOME=str(tmp_path))[0] == "False"
    chosen(code, XDG_CACHE_HOME=str(tmp_path))


def test_a_second_installation_of_the_same_version_compiles_nothing(tmp_path: Path) -> None:
    second, caches = tmp_path / "second", str(tmp_path / "caches")
    for room in ROOMS:
        shutil.copytree(REPOSITORY / room, second / room, ignore=shutil.ignore_patterns("pretrained", "__pycache__"))
        for path in (second / room).rglob("*.py"):
            os.utime(path, (1, 1))  # installed at another time
    code = CODE + SCALE + "print(flows.meter.__file__); kernels_are_compiled()"
    _, there, _ = chosen(code, XDG_CACHE_HOME=caches)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "caches").rglob("*.nbk")}
    compiled, here, _ = chosen(code, at=second, XDG_CACHE_HOME=caches)
    assert kept
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "caches").rglob("*.nbk")} == kept
    assert compiled == "True"
    assert str(there).split() == [str(here).split()[0], str(REPOSITORY / "flows" / "meter.py")]
    assert str(here).split()[1] == str(second / "flows" / "meter.py")


def test_a_directory_that_the_user_names_is_left_alone(tmp_path: Path) -> None:
    assert chosen(NUMBA_CACHE_DIR=str(tmp_path))[1] == tmp_path


@pytest.mark.parametrize(("days", "kept"), [(29, True), (31, False)])
def test_caches_of_old_versions_go_after_a_month(tmp_path: Path, days: int, kept: bool) -> None:
    old = tmp_path / "flowvigil" / "kernels-0123456789abcdef"
    old.mkdir(parents=True)
    os.utime(old, (time.time() - days * 86400,) * 2)
    chosen(XDG_CACHE_HOME=str(tmp_path))
    assert old.exists() == kept


def test_what_killed_processes_have_not_finished_goes_after_an_hour(tmp_path: Path) -> None:
    directory = chosen(XDG_CACHE_HOME=str(tmp_path))[1] / "flows-0123456789abcdef"
    directory.mkdir()
    files = {name: directory / f"decode.decode-0123.nbk{name}" for name in ("", ".0123abcd", ".4567cdef")}
    for path in files.values():
        path.write_bytes(b"half")
    os.utime(files[".0123abcd"], (time.time() - 3601,) * 2)
    os.utime(files[""], (time.time() - 3601,) * 2)
    chosen(XDG_CACHE_HOME=str(tmp_path))
    assert [name for name, path in files.items() if path.exists()] == ["", ".4567cdef"]
