"""Writes the locks anew, from the newest versions that setup.cfg admits: `make lock`.

A lock is a requirements file of pip with hashes: names, versions, markers and SHA-256 of every file of a version, and
no place to fetch them from, which is the installer's to know. (PEP 751's pylock.toml must name an address for each
file.) All locks have one version of a package, so that environments may be joined. Only wheels are admitted, as a
source package runs code of its own when it is installed.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.supply.environments import LOCKS, environments

UV: Final = Path(sys.executable).with_name("uv")
OLDEST_PYTHON: Final = "3.11"


def main() -> None:
    """Resolve all environments together, then write the part that each of them needs."""
    asked = environments()
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        whole = compiled(room, sorted({line for lines in asked.values() for line in lines}), "", "--no-annotate")
        for environment, lines in asked.items():
            text = compiled(room, lines, whole, "--generate-hashes", "--emit-build-options")
            (LOCKS / f"{environment}.txt").write_text(f"# {environment}: written by `make lock`\n{text}")


def compiled(room: Path, lines: list[str], preferred: str, *options: str) -> str:
    """What uv resolves requirements to, in versions that are preferred, for every platform and each Python of ours."""
    (room / "asked.in").write_text("\n".join(lines))
    (room / "lock.txt").write_text(preferred)
    command = (UV, "pip", "compile", "asked.in", "--output-file", "lock.txt", "--quiet", "--no-config", "--universal")
    fixed = ("--python-version", OLDEST_PYTHON, "--only-binary", ":all:", "--no-header", "--no-emit-index-url")
    subprocess.run((*command, *fixed, *options), cwd=room, stdout=subprocess.DEVNULL, check=True)
    return (room / "lock.txt").read_text().replace("-r asked.in", "flowvigil")


if __name__ == "__main__":
    main()
