"""The directory of compiled kernels: private, by version, and never a reason to fail."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = """
from sensor.kernel_cache import kernels_are_compiled, use_kernel_cache
import os
print(use_kernel_cache(), os.environ["NUMBA_CACHE_DIR"])
"""


def chosen(code: str = CODE, **environment: str) -> tuple[str, Path, str]:
    """What a fresh process chooses: (compiled before, directory, what it says on stderr)."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY, env=kept | environment
    )
    compiled, directory = done.stdout.split(maxsplit=1)
    return compiled, Path(directory.strip()), done.stderr


def test_the_cache_is_the_owners_alone_and_is_found_again(tmp_path: Path) -> None:
    compiled, directory, said = chosen(XDG_CACHE_HOME=str(tmp_path))
    assert (compiled, said) == ("False", "")
    assert directory.parent == tmp_path / "flowvigil"
    assert directory.stat().st_mode & 0o777 == 0o700
    chosen(CODE + "kernels_are_compiled()", XDG_CACHE_HOME=str(tmp_path))
    assert chosen(XDG_CACHE_HOME=str(tmp_path)) == ("True", directory, "")


def test_a_cache_that_an_interrupted_run_has_left_counts_as_not_compiled(tmp_path: Path) -> None:
    _, directory, _ = chosen(XDG_CACHE_HOME=str(tmp_path))
    (directory / "a.nbi").touch()
    assert chosen(XDG_CACHE_HOME=str(tmp_path))[0] == "False"


def test_a_cache_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    _, directory, _ = chosen(XDG_CACHE_HOME=str(tmp_path))
    directory.chmod(0o777)
    _, other, said = chosen(XDG_CACHE_HOME=str(tmp_path))
    assert other != directory
    assert "compiled for this run only" in said


def test_without_a_writable_place_a_temporary_one_serves_and_goes(tmp_path: Path) -> None:
    (tmp_path / "flowvigil").write_text("in the way")
    compiled, directory, said = chosen(XDG_CACHE_HOME=str(tmp_path))
    assert compiled == "False"
    assert said.count("\n") == 1
    assert not directory.exists()


def test_a_directory_that_the_user_names_is_left_alone(tmp_path: Path) -> None:
    assert chosen(NUMBA_CACHE_DIR=str(tmp_path))[1] == tmp_path


@pytest.mark.parametrize(("days", "kept"), [(29, True), (31, False)])
def test_caches_of_old_versions_go_after_a_month(tmp_path: Path, days: int, kept: bool) -> None:
    old = tmp_path / "flowvigil" / "kernels-0123456789abcdef"
    old.mkdir(parents=True)
    os.utime(old, (time.time() - days * 86400,) * 2)
    chosen(XDG_CACHE_HOME=str(tmp_path))
    assert old.exists() == kept
