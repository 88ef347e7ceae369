"""What commands start as processes of their own loads nothing from the directory that they are in."""

import subprocess
from pathlib import Path

import pytest

from sensor.cli import beside, reading_pool
from tests.support.command import surroundings


@pytest.mark.parametrize("command", [reading_pool.COMMAND, beside.command("--version")], ids=["reading", "beside"])
def test_a_directory_with_modules_called_like_ours_is_not_looked_at(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "sensor").mkdir()
    (tmp_path / "sensor" / "__init__.py").write_text("raise SystemExit('from the directory')")
    ended = subprocess.run(
        command, cwd=tmp_path, env=surroundings(), stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
