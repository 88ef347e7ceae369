"""Builds the wheel, with its bill of materials, into dist/: `make dist`.

The same commit gives the same bytes, whoever builds it, where and when: files have the time of the commit (or of
SOURCE_DATE_EPOCH), one mode and one order, and what builds is locked (configs/locks/build.txt).
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.supply import sbom
from tests.supply.environments import ROOT


def main() -> None:
    """Build, add the bill of materials, and pack again."""
    made_s = time_s()
    os.environ["SOURCE_DATE_EPOCH"] = str(made_s)
    for stale in (ROOT / "build", ROOT / "dist"):
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        built = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
        _run(sys.executable, "-m", "pip", *built, "--wheel-dir", name, str(ROOT))
        (wheel,) = room.glob("*.whl")
        _run(sys.executable, "-m", "wheel", "unpack", "--dest", str(room / "tree"), str(wheel))
        (tree,) = (room / "tree").iterdir()
        (information,) = tree.glob("*.dist-info")
        (information / "sboms").mkdir()
        (information / "sboms" / sbom.NAME).write_text(sbom.text(made_s))
        for path in tree.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (ROOT / "dist").mkdir()
        _run(sys.executable, "-m", "wheel", "pack", "--dest-dir", str(ROOT / "dist"), str(tree))


def time_s() -> int:
    """The time of all files: SOURCE_DATE_EPOCH, or that of the last commit."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    try:
        return int(_run("git", "log", "-1", "--format=%ct"))
    except (OSError, subprocess.CalledProcessError):
        raise SystemExit("no commit is known here: expected SOURCE_DATE_EPOCH, in seconds since 1970") from None


def _run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
