"""syslog-ng as it is installed, or unpacked beside the system: its package and rsyslog's exclude each other in Debian.

`python -m tests.support.syslog_ng` fetches it with apt-get into the cache below; nothing is installed.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

UNPACKED = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flowvigil" / "syslog-ng"
PACKAGES = ("syslog-ng-core", "libivykis0", "libnet1", "libwrap0", "libjson-c5", "libpcre3")
HOW = "no syslog-ng here: python -m tests.support.syslog_ng unpacks it beside the system"


def program() -> list[str] | None:
    """The command that starts it, without its files; None where there is none."""
    if installed := shutil.which("syslog-ng"):
        return [installed]
    unpacked = UNPACKED / "usr/sbin/syslog-ng"
    if not unpacked.is_file():
        return None
    modules = next(UNPACKED.glob("usr/lib/syslog-ng/[0-9]*"))
    libraries = ":".join(str(path) for path in (modules.parent, *UNPACKED.glob("usr/lib/*-linux-gnu")))
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(unpacked), f"--module-path={modules}"]


def fetch() -> None:
    """Unpack it from Debian's packages."""
    UNPACKED.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        apt = ["apt-get", "-q", "-o", "APT::Sandbox::User=", "download", *PACKAGES]
        subprocess.run(apt, check=True, cwd=directory)
        for package in Path(directory).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(UNPACKED)], check=True)


if __name__ == "__main__":
    fetch()
