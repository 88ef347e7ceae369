"""Claims on how the product is built and installed: the same bytes, from files that nobody has changed."""

import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from tests.supply import pins
from tests.supply.environments import SENSOR, environments
from tests.supply.pins import Pin
from tests.trust.claim import Claim, NotTriedError, Outcome
from tests.trust.record import REPOSITORY

# How builds of one commit differ: the mask of modes, the environment, and how deep the clone lies.
BUILDS: Final = (
    (0o022, {"TZ": "UTC", "LANG": "C", "PYTHONHASHSEED": "0"}, "a"),
    (0o077, {"TZ": "Asia/Kathmandu", "LANG": "C.UTF-8", "PYTHONHASHSEED": "1"}, "elsewhere/and/deeper"),
    (0o002, {"TZ": "America/St_Johns", "PYTHONHASHSEED": "2", "PYTHONDONTWRITEBYTECODE": "1"}, "with a space"),
    (0o027, {"TZ": "Pacific/Chatham", "PYTHONHASHSEED": "random", "HOME": "/nonexistent"}, "ünlike"),
)
PLATFORMS: Final = [
    (python, f"{machine}-manylinux_2_28") for python in ("3.11", "3.12", "3.13") for machine in ("x86_64", "aarch64")
]


def same_wheel(scale: float) -> Outcome:
    """Build one commit in clones that differ in all that should not matter, and compare the bytes."""
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as name:
        for mask, environment, place in BUILDS[: max(2, round(len(BUILDS) * scale))]:
            clone = Path(name, place)
            _run("git", "clone", "--quiet", "--shared", str(REPOSITORY), str(clone), mask=mask)
            _run(sys.executable, "-m", "tests.supply.dist", where=clone, mask=mask, environment=environment)
            (wheel,) = (clone / "dist").glob("*.whl")
            digests[place] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    first = next(iter(digests.values()))
    differ = [f"{place}: {digest}, not {first}" for place, digest in digests.items() if digest != first]
    return Outcome(len(digests), differ, f"SHA-256 {first[:12]}…")


def swapped_package(scale: float) -> Outcome:
    """Offer pip a package of the right name and version that is not the locked file, for each one in turn."""
    chosen = [pin for pin in pins.read(SENSOR) if pin.holds({})]
    chosen = chosen[: max(1, round(len(chosen) * scale))]
    failures = []
    with tempfile.TemporaryDirectory() as name:
        for pin in chosen:
            room = Path(name, pin.name)
            lock = _offered(room, pin)
            offer = ("--no-index", "--find-links", str(room), "--target", str(room / "installed"))
            command = (sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", *offer, "-r", str(lock))
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=_plain())
            if done.returncode == 0 or "DO NOT MATCH THE HASHES" not in done.stderr or (room / "installed").exists():
                failures.append(f"{pin.name} {pin.version}: {done.stderr[-200:]!r}")
    return Outcome(len(chosen), failures, "all refused by pip" if not failures else "")


def _offered(room: Path, pin: Pin) -> Path:
    """A wheel that says it is a pin's, and the pin's own lines of the lock."""
    room.mkdir()
    stem = f"{pin.name.replace('-', '_')}-{pin.version}"
    files = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {pin.name}\nVersion: {pin.version}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "swapped.py": "raise SystemExit('not the locked file')\n",
    }
    with zipfile.ZipFile(room / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        listed = [f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items()]
        wheel.writestr(f"{stem}.dist-info/RECORD", "".join(listed) + f"{stem}.dist-info/RECORD,,\n")
    lock = room / "lock.txt"
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in pin.hashes)
    lock.write_text(f"{pin.name}=={pin.version} {hashes}\n")
    return lock


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def locks_install(_: float) -> Outcome:
    """Resolve every lock with hashes for each Python and machine that is promised, against the package index."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        raise NotTriedError("needs uv: make .venv/installed-audit")
    failures = []
    tries = 0
    with tempfile.TemporaryDirectory() as name:
        for environment in environments():
            lock = str(REPOSITORY / "configs" / "locks" / f"{environment}.txt")
            for python, platform in PLATFORMS:
                aim = ("--target", name, "--python-version", python, "--python-platform", platform)
                strict = ("--no-config", "--dry-run", "--no-deps", "--require-hashes", "-r", lock)
                done = subprocess.run(
                    (uv, "pip", "install", *strict, *aim), capture_output=True, text=True, check=False
                )
                if "error sending request" in done.stderr or "Could not connect" in done.stderr:
                    raise NotTriedError("needs the package index")
                tries += 1
                if done.returncode:
                    failures.append(f"{environment}, Python {python} on {platform}: {done.stderr[-300:]!r}")
    return Outcome(tries, failures)


def _plain() -> dict[str, str]:
    """This process's environment without settings of pip, which may know other places."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PIP_")} | {
        "PIP_CONFIG_FILE": os.devnull
    }


def _run(*command: str, where: Path = REPOSITORY, mask: int = 0o022, environment: dict[str, str] | None = None) -> None:
    path = {"PYTHONPATH": str(where)}  # the clone's own modules, not those of the tree that tries this
    subprocess.run(command, cwd=where, umask=mask, env=os.environ | path | (environment or {}), check=True)


CLAIMS: Final = (
    Claim(
        "same-wheel",
        "A commit is built into the same bytes, whatever the directory, time, zone, umask and language.",
        "builds",
        same_wheel,
        minutes=0.5,
    ),
    Claim(
        "swapped-package",
        "A package that is not the locked file is refused, whatever its name and version say.",
        "packages",
        swapped_package,
        minutes=0.5,
    ),
    Claim(
        "locks-install",
        "Every lock resolves with hashes on Python 3.11 to 3.13, Linux x86_64 and aarch64.",
        "resolutions",
        locks_install,
        minutes=0.5,
        needs="the package index",
    ),
)
