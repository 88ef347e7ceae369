"""Builds the Debian package into dist/: `make deb`. The wheel of `make dist` must be there.

The sensor and its extra `geo` with the very packages of the lock, in an environment of its own below
/usr/lib/flowvigil, which runs on the system's Python; settings, units and the manual where Debian has them. What is
compiled for a machine, the kernels, is compiled when it is installed.
Source: Debian Policy 4.6; deb(5), deb-control(5), dpkg-deb(1).
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from typer.completion import get_completion_script

from sensor.version import VERSION
from tests.supply.dist import time_s
from tests.supply.environments import LOCKS, ROOT

CONFIGS, DOCS = ROOT / "configs", ROOT / "docs"
LOCK: Final = LOCKS / "geo.txt"  # the sensor, and what takes a third of a megabyte: nobody adds an extra to a package
HOME: Final = Path("usr/lib/flowvigil")  # of the environment, in the package
PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
UNITS: Final = ("flowvigil.service", "flowvigil-report.service", "flowvigil-report.timer")
CONFFILES: Final = {
    "etc/flowvigil/flowvigil.yaml": "gateway.yaml",
    "etc/default/flowvigil": "debian/default",
    "etc/logrotate.d/flowvigil": "flowvigil.logrotate",
}
COMPLETIONS: Final = {
    "bash": "usr/share/bash-completion/completions/flowvigil",
    "zsh": "usr/share/zsh/vendor-completions/_flowvigil",
    "fish": "usr/share/fish/vendor_completions.d/flowvigil.fish",
}
SCRIPTS: Final = ("postinst", "prerm", "postrm")
LEFT_OUT: Final = ("numba/tests", "numpy/tests", "numpy/*/tests")  # of packages, and nothing that runs
MIB: Final = 1 << 20


def main() -> None:
    """Lay the package out and build it."""
    (wheel,) = (ROOT / "dist").glob("flowvigil-*.whl")
    os.environ["SOURCE_DATE_EPOCH"] = str(time_s())
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        tree.chmod(0o755)
        lay_environment(tree / HOME, wheel)
        lay_files(tree)
        lay_control(tree)
        target = ROOT / "dist" / f"flowvigil_{VERSION}_{architecture()}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", name, str(target))
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size / MIB:,.0f} MiB")


def lay_environment(home: Path, wheel: Path) -> None:
    """A virtual environment of the system's Python with what the lock names, and the wheel."""
    packages = home / "lib" / PYTHON / "site-packages"
    packages.mkdir(parents=True)
    _install(packages, "--require-hashes", "-r", str(LOCK))
    place_wheel(packages, wheel)
    for pattern in ("bin", *LEFT_OUT):
        for found in packages.glob(pattern):
            shutil.rmtree(found)
    (home / "bin").mkdir()
    (home / "bin" / "python3").symlink_to(f"/usr/bin/{PYTHON}")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    program = home / "bin" / "flowvigil"
    # -I: neither the directory it is called from nor the variables or packages of a user.
    program.write_text(
        f"#!/{HOME}/bin/python3 -I\nimport sys\n\nfrom sensor.__main__ import main\n\nsys.exit(main())\n"
    )
    program.chmod(0o755)


def place_wheel(packages: Path, wheel: Path) -> None:
    """Install a wheel among the packages, by its name: of a file pip would note where it lay, in each build another."""
    name, version = wheel.name.split("-")[:2]
    _install(packages, "--upgrade", "--no-index", "--find-links", str(wheel.parent), f"{name}=={version}")


def _install(packages: Path, *what: str) -> None:
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--no-deps",
    )
    _run(*pip, "--target", str(packages), *what)


def lay_files(tree: Path) -> None:
    """Command, settings, units, manual, completions and what is to be read."""
    _link(tree / "usr/bin/flowvigil", f"../{HOME.relative_to('usr')}/bin/flowvigil")
    for unit in UNITS:
        _put(tree / "lib/systemd/system" / unit, packaged_unit((CONFIGS / unit).read_text()))
    for place, source in CONFFILES.items():
        _put(tree / place, (CONFIGS / source).read_text())
    _zipped(tree / "usr/share/man/man1/flowvigil.1.gz", (DOCS / "flowvigil.1").read_bytes())
    for shell, place in COMPLETIONS.items():
        script = get_completion_script(prog_name="flowvigil", complete_var="_FLOWVIGIL_COMPLETE", shell=shell)
        _put(tree / place, script + "\n")
    doc = tree / "usr/share/doc/flowvigil"
    _put(doc / "copyright", (ROOT / "LICENSE").read_text())
    _zipped(doc / "changelog.gz", (ROOT / "CHANGELOG.md").read_bytes())
    shutil.copytree(CONFIGS / "examples", doc / "examples")


def packaged_unit(text: str) -> str:
    """A unit as the package has it: its own place, and the user that the package has made."""
    return (
        text.replace("/opt/flowvigil/", f"/{HOME}/")
        .replace("DynamicUser=yes\nUser=flowvigil\n", "DynamicUser=yes\n")
        .replace("DynamicUser=yes\n", "User=flowvigil\nGroup=flowvigil\n")
    )


def lay_control(tree: Path) -> None:
    """What dpkg reads of it."""
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    size_kib = sum(path.stat().st_size for path in files) // 1024
    control = tree / "DEBIAN"
    _put(control / "control", control_text(size_kib))
    _put(control / "conffiles", "".join(f"/{place}\n" for place in CONFFILES))
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]  # noqa: S324
    _put(control / "md5sums", "".join(sums))
    for script in SCRIPTS:
        _put(control / script, (CONFIGS / "debian" / script).read_text()).chmod(0o755)


def control_text(size_kib: int) -> str:
    """The package's fields."""
    depends = f"{PYTHON}, libpcap0.8, passwd, util-linux"
    return f"""Package: flowvigil
Version: {VERSION}
Architecture: {architecture()}
Maintainer: flowvigil <root@localhost>
Installed-Size: {size_kib}
Depends: {depends}
Recommends: systemd, logrotate
Section: net
Priority: optional
Description: network anomaly sensor
 Packets in, flows, alerts out: a sensor for a gateway or a mirror port that
 judges each flow by an LSTM and an Isolation Forest, and tells what it finds
 in the terminal, as JSON lines and to a SIEM.
"""


def architecture() -> str:
    """Debian's name of this machine's kind."""
    return _run("dpkg", "--print-architecture").strip()


def _put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _zipped(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0))


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
