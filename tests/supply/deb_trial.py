"""Installs the Debian package of dist/ where nothing else is, uses it as an operator would, and removes it again:
`make deb-test` (root, debootstrap, a Debian mirror as apt has it here; minutes).
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.supply.deb import CONFFILES, HOME, PYTHON, UNITS
from tests.supply.environments import ROOT

NEEDED: Final = (PYTHON, "libpcap0.8")  # of the package, which dpkg alone does not fetch
LEFT: Final = ("usr/lib/flowvigil", "usr/bin/flowvigil", "etc/flowvigil", "etc/default/flowvigil", "var/log/flowvigil",
               "var/lib/flowvigil",
               "var/cache/flowvigil", "lib/systemd/system/flowvigil.service")  # fmt: skip
AS_SERVICE: Final = ("setpriv", "--reuid=flowvigil", "--regid=flowvigil", "--clear-groups", "env", "-i",
                     "PATH=/usr/bin:/bin", "CACHE_DIRECTORY=/var/cache/flowvigil")  # fmt: skip
UNIT_FILES: Final = tuple(f"lib/systemd/system/{unit}" for unit in UNITS)
DEBIAN: Final = "bookworm"
IN_TREE: Final = Path("/tmp")  # noqa: S108  of the tree, which nobody else sees


def main() -> None:
    """Try it; the first thing that is not as it should be ends with a line."""
    (package,) = (ROOT / "dist").glob("flowvigil_*.deb")
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        tree.chmod(0o755)
        timed("debootstrap", lambda: debootstrap(tree))
        with proc(tree):
            shutil.copy(package, tree / "tmp")
            shutil.copy(ROOT / "sensor" / "synth" / "demo.pcap.gz", tree / "tmp")
            timed("installed, kernels compiled", lambda: inside(tree, "dpkg", "--install", str(IN_TREE / package.name)))
            print(f"  {size_mb(tree / HOME):,} MB in /{HOME}")
            used(tree)
            timed("purged", lambda: inside(tree, "dpkg", "--purge", "flowvigil"))
        left = [place for place in LEFT if (tree / place).exists()]
        expect(not left, f"the purge left {left}")
    print("the package installs, runs and goes")


def used(tree: Path) -> None:
    """Its command, user, kernels, manual and settings; of its units tests/supply/test_deb.py knows."""
    expect("flowvigil 0." in inside(tree, "flowvigil", "--version"), "the command does not say its version")
    expect("flowvigil" in inside(tree, "id", "flowvigil"), "there is no user")
    kernels = inside(tree, *AS_SERVICE, "flowvigil", "warm-up")
    expect("compiling" not in kernels, f"the kernels of the service were not compiled: {kernels}")
    began_s = time.monotonic()
    alerts = inside(tree, *AS_SERVICE, "flowvigil", "read", "--quiet", str(IN_TREE / "demo.pcap.gz"))
    expect('"action":"opened"' in alerts, "the demo capture gave no alert")
    print(f"  {alerts.count(chr(10))} alert lines of the demo capture after {time.monotonic() - began_s:.1f} s")
    inside(tree, f"/{HOME}/bin/python3", "-I", "-c", "import maxminddb")  # the extra `geo`
    inside(tree, "flowvigil", "config", "check", "/etc/flowvigil/flowvigil.yaml")
    told = {place: (tree / place).is_file() for place in (*CONFFILES, *UNIT_FILES, "usr/share/man/man1/flowvigil.1.gz")}
    expect(all(told.values()), f"files that are not there: {told}")


def debootstrap(tree: Path) -> None:
    """The smallest Debian, from the mirror that apt has here."""
    targets = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)").splitlines()
    site = next(line.split()[0] for line in targets if line.split()[1:] == [DEBIAN, "main"])
    run("debootstrap", "--variant=minbase", f"--include={','.join(NEEDED)}", DEBIAN, str(tree), site)


@contextmanager
def proc(tree: Path) -> Iterator[None]:
    """The tree with /proc, which the interpreter reads."""
    run("mount", "-t", "proc", "proc", str(tree / "proc"))
    try:
        yield
    finally:
        run("umount", str(tree / "proc"))


def size_mb(path: Path) -> int:
    """What du says, 1,000,000 bytes each."""
    return int(run("du", "-s", "--block-size=1MB", str(path)).split()[0])


def timed(what: str, action: Callable[[], object]) -> None:
    """Run and say how long it took."""
    began_s = time.monotonic()
    action()
    print(f"{what}: {time.monotonic() - began_s:.0f} s", flush=True)


def inside(tree: Path, *command: str) -> str:
    """Run a program of the tree; what it printed, on both streams."""
    return run("chroot", str(tree), *command)


def run(*command: str) -> str:
    """Run a program to its end, which must be a good one."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect(done.returncode == 0, f"{' '.join(command)}: ended with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def expect(true: bool, otherwise: str) -> None:
    """End with a line unless something holds."""
    if not true:
        sys.exit(otherwise)


if __name__ == "__main__":
    main()
