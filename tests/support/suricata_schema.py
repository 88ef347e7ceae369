"""Suricata's own schema of EVE, which is not ours to keep: from where it is installed, or fetched once from Debian.

`python -m tests.support.suricata_schema` fetches it with apt-get, without touching the system's own lists, into the
cache below. $SURICATA_SCHEMA names another file.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

CACHED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowvigil" / "suricata-eve-schema.json"
INSTALLED = (Path("/usr/share/suricata/schema.json"), Path("/etc/suricata/schema.json"))
# The first release whose source package holds the schema is 8.0, which Debian has in unstable.
SOURCES = (
    "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian unstable main\n"
)
HOW = "no schema of Suricata here: python -m tests.support.suricata_schema fetches it"


def eve_schema() -> dict[str, Any] | None:
    """The schema, None where there is none."""
    named = os.environ.get("SURICATA_SCHEMA")
    for path in (*([Path(named)] if named else []), CACHED, *INSTALLED):
        if path.is_file():
            schema = json.loads(path.read_bytes())
            assert isinstance(schema, dict)
            return schema
    return None


def fetch(target: Path) -> None:
    """Write the schema of Debian's newest Suricata to a file."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "sources.list").write_text(SOURCES)
        for part in ("lists/partial", "cache/archives/partial"):
            (Path(directory) / part).mkdir(parents=True)
        private = {
            "Dir::State::lists": f"{directory}/lists", "Dir::Cache": f"{directory}/cache",
            "Dir::Etc::sourcelist": f"{directory}/sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "APT::Sandbox::User": "",
        }  # fmt: skip
        apt = ["apt-get", "-q", *(word for name, value in private.items() for word in ("-o", f"{name}={value}"))]
        subprocess.run([*apt, "update"], check=True, cwd=directory)
        subprocess.run([*apt, "source", "--download-only", "suricata"], check=False, cwd=directory)
        (source,) = (path for path in Path(directory).glob("suricata_*.orig.tar.*") if path.suffix != ".asc")
        with tarfile.open(source) as archive:
            member = next(name for name in archive.getnames() if name.endswith("/etc/schema.json"))
            file = archive.extractfile(member)
            assert file is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        fetch(Path(sys.argv[1]))
    elif eve_schema() is None:
        fetch(CACHED)
