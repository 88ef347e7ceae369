"""Two network namespaces joined by a cable (a veth pair), for tests that need real interfaces."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

CLONE_NEWNET = 0x40000000

SCANNER, SERVER = "10.99.0.1", "10.99.0.2"  # addresses at the two ends of a cable


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


@contextmanager
def joined_namespaces() -> Iterator[tuple[str, str]]:
    """Names of two namespaces: fv0 in the first and fv1 in the second are the ends of a cable."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    left, right = (f"flowvigil-{side}-{os.getpid()}" for side in ("left", "right"))
    try:
        ip("netns", "add", left)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"ip netns does not work here: {error}")
    try:
        ip("netns", "add", right)
        ip("-n", left, "link", "add", "fv0", "type", "veth", "peer", "name", "fv1", "netns", right)
        for name, end in ((left, "fv0"), (right, "fv1")):
            with inside(name):  # no neighbour discovery of the systems' own among the packets
                Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", end, "up")
        for name, end in ((left, "fv0"), (right, "fv1")):
            wait_until(lambda name=name, end=end: f"{end}@" in ends_that_are_up(name))
        yield left, right
    finally:
        for name in (left, right):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True, timeout=10)


def ends_that_are_up(namespace: str) -> str:
    """What ip tells of a namespace's cables that carry: the kernel begins with that a moment after they are set up."""
    shown = ["ip", "-n", namespace, "-brief", "link", "show", "up", "type", "veth"]
    lines = subprocess.run(shown, check=True, capture_output=True, text=True, timeout=10).stdout.splitlines()
    return "\n".join(line for line in lines if line.split()[1] == "UP")


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Move this thread into a network namespace for a while; its sockets stay there."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as away:
        assert setns(away.fileno(), CLONE_NEWNET) == 0
        try:
            yield
        finally:
            assert setns(home.fileno(), CLONE_NEWNET) == 0
