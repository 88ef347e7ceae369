"""Network namespaces with TAP devices, by their names: made, entered, emptied, removed.

A name has the process that made it in it, with the time that it began, so what a killed run left behind is known.
Source: ip-netns(8), namespaces(7), Documentation/networking/tuntap.rst of Linux.
"""

import ctypes
import fcntl
import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

NAMESPACES: Final = Path("/run/netns")
OVERLAYS: Final = Path("/etc/netns")  # files that stand for those of /etc inside a namespace
TUN: Final = "/dev/net/tun"
PREFIX: Final = "flowvigil-lab-"
CLONE_NEWNET: Final = 0x40000000
TUNSETIFF: Final = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
DEVICE: Final = "eth0"
ENDING_S: Final = 3.0


def own_prefix() -> str:
    """What the names of this process's namespaces begin with."""
    return f"{PREFIX}{os.getpid()}.{_started(os.getpid())}-"


def _started(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty where there is none or it has ended. proc(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]  # nobody may have heard of its end yet


def leftovers() -> list[str]:
    """Namespaces of runs whose process is gone."""
    names = {path.name for place in (NAMESPACES, OVERLAYS) for path in place.glob(f"{PREFIX}*")}
    return sorted(name for name in names if is_leftover(name))


def is_leftover(name: str) -> bool:
    """Whether a name has own_prefix() of a process in it that is gone."""
    pid, _, started = name.rpartition(PREFIX)[2].partition("-")[0].partition(".")
    return PREFIX in name and pid.isdigit() and _started(int(pid)) != started


def ip(*arguments: str, batch: str | None = None) -> None:
    """Run ip; batch: its commands, a line each. Raises CalledProcessError with what it said."""
    command = ["ip", *arguments] if batch is None else ["ip", *arguments, "-batch", "-"]
    subprocess.run(command, input=batch, text=True, check=True, capture_output=True, timeout=30)


def nft(namespace: str, rules: str) -> None:
    """Give rules to a namespace's packet filter. Raises CalledProcessError with what nft said."""
    command = ["ip", "netns", "exec", namespace, "nft", "-f", "-"]
    subprocess.run(command, input=rules, text=True, check=True, capture_output=True, timeout=30)


def add_namespace(name: str, sysctls: Mapping[str, str], overlay: Mapping[str, str]) -> None:
    """Make a namespace. overlay: text of files that stand for those of /etc in it.

    Raises OSError, CalledProcessError.
    """
    place = OVERLAYS / name
    place.mkdir(parents=True)
    for file, text in overlay.items():
        (place / file).write_text(text, encoding="utf-8")
    ip("netns", "add", name)
    with inside(name):
        for key, value in sysctls.items():
            Path("/proc/sys", key).write_text(value, encoding="ascii")


def remove_namespace(name: str) -> None:
    """End the processes of a namespace, by id, and remove it; what is not there is no error."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + ENDING_S
        pids = pids_in(name)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while pids and pids_in(name) and time.monotonic() < until:
            time.sleep(0.02)
    subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True, timeout=30)
    place = OVERLAYS / name
    for file in place.glob("*"):
        file.unlink(missing_ok=True)
    with suppress(OSError):
        place.rmdir()


def pids_in(name: str) -> list[int]:
    """Processes whose network is this namespace; never our own."""
    try:
        wanted = (NAMESPACES / name).stat()
    except OSError:
        return []
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            network = os.stat(f"/proc/{entry.name}/ns/net")
            if (network.st_dev, network.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(entry.name))
    return found


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Move this thread into a namespace for a while; its descriptors stay there. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as home, open(NAMESPACES / name, "rb") as away:
        _enter(library, away.fileno())
        try:
            yield
        finally:
            _enter(library, home.fileno())


def _enter(library: ctypes.CDLL, namespace: int) -> None:
    if library.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "a network namespace cannot be entered")


def add_tap(namespace: str, device: str = DEVICE) -> int:
    """Make a TAP device in a namespace: the descriptor that has its frames; closing it removes the device."""
    with inside(namespace):
        descriptor = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
        except OSError:
            os.close(descriptor)
            raise
    return descriptor
