"""A process that has loaded the sensor and its kernels, and forks for each command that a test starts.

Run as `python -m tests.support.fork_server FD`, FD being a socket (tests.support.forked). A command gets arguments,
directory, environment and streams of its own, runs `sensor.__main__.main()` and ends as an interpreter ends. It becomes
a child of the test's process: its parent here ends at once, and the test's process takes over orphans meanwhile.
"""

import array
import contextlib
import ctypes
import gc
import io
import json
import os
import pkgutil
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any

from sensor.process import systemd

LONGEST = 1 << 17  # bytes of a request: a whole environment
STREAMS = 3
CLONE_NEWNET, CLONE_NEWNS, MNT_DETACH, MS_REC, MS_SLAVE = 0x40000000, 0x00020000, 2, 1 << 14, 1 << 19


@dataclass(frozen=True)
class Start:
    """What a command is started with, beside its streams."""

    arguments: list[str]
    directory: str
    environment: dict[str, str]
    new_session: bool = False
    controls: bool = False  # its stdin is the terminal that controls it
    namespace: str | None = None  # of the network, by its name

    def encoded(self) -> bytes:
        """As it is sent; names of files may be no UTF-8."""
        return json.dumps(asdict(self)).encode()


def load() -> None:
    """Import every module of the product but those of training, and read a capture, so that kernels are compiled."""
    from sensor.cli import app
    from sensor.process.kernel_cache import use_kernel_cache

    use_kernel_cache()
    for room in ("sensor", "flows", "models"):
        for module in pkgutil.walk_packages(import_module(room).__path__, f"{room}."):
            if not module.name.endswith("__main__"):
                with contextlib.suppress(ModuleNotFoundError):  # of an extra that is not installed
                    import_module(module.name)
    for command in ("read", "flows"):
        app([command, "--quiet", str(files("sensor.synth") / "demo.pcap.gz")], standalone_mode=False)
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()  # else a collection in a command copies all of it


def serve(requests: socket.socket) -> Start | None:
    """Fork for each request until there are no more; what to run in a command's process, None in the server's own."""
    while True:
        message, ancillary, _, _ = requests.recvmsg(LONGEST, socket.CMSG_SPACE(STREAMS * array.array("i").itemsize))
        if not message:
            return None
        streams = array.array("i")
        for _, _, received in ancillary:
            streams.frombytes(received)
        answer, told = os.pipe()
        parent = os.fork()
        if parent == 0:
            if os.fork() == 0:
                for own in (answer, requests.detach()):
                    os.close(own)
                start = Start(**json.loads(message))
                take_over(start, list(streams))
                os.write(told, str(os.getpid()).encode())  # not before it has what it was given
                os.close(told)
                return start
            os._exit(0)  # and whoever takes over orphans has the command
        for own in (told, *streams):
            os.close(own)
        os.waitpid(parent, 0)
        requests.send(os.read(answer, 20))
        os.close(answer)


def take_over(start: Start, streams: list[int]) -> None:
    """Give this process what was asked for, as a new interpreter would find it."""
    if start.new_session:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if start.controls:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if start.namespace is not None:
        enter(start.namespace)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(start.directory)
    os.environ.clear()
    os.environ.update(start.environment)
    time.tzset()
    systemd._MAIN = os.getpid()  # the only module that keeps the process in which it was loaded
    sys.argv = ["-c", *start.arguments]
    unbuffered = bool(start.environment.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = stream_of(0, "<stdin>", unbuffered=False)
    sys.stdout = sys.__stdout__ = stream_of(1, "<stdout>", unbuffered=unbuffered)
    sys.stderr = sys.__stderr__ = stream_of(2, "<stderr>", unbuffered=unbuffered)


def enter(namespace: str) -> None:
    """Move this process into a network namespace, with a /sys of its own that shows it, as ip-netns(8) does."""
    system = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{namespace}") as file:
        calls = (
            lambda: system.setns(file.fileno(), CLONE_NEWNET),
            lambda: system.unshare(CLONE_NEWNS),
            lambda: system.mount(b"", b"/", b"none", MS_SLAVE | MS_REC, None),
            lambda: system.umount2(b"/sys", MNT_DETACH),
            lambda: system.mount(namespace.encode(), b"/sys", b"sysfs", 0, None),
        )
        for call in calls:
            if call() != 0:
                raise OSError(ctypes.get_errno(), f"namespace {namespace}")


def stream_of(number: int, name: str, *, unbuffered: bool) -> io.TextIOWrapper:
    """A standard stream as an interpreter makes it (init_sys_streams in pylifecycle.c)."""
    given: Any = getattr(sys, name.strip("<>"))
    raw: Any = open(number, "rb" if number == 0 else "wb", 0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    (raw if unbuffered else raw.raw).name = name
    made = io.TextIOWrapper(
        raw,
        given.encoding,
        given.errors,
        newline="\n",
        line_buffering=number == 2 or os.isatty(number),
        write_through=unbuffered,
    )
    made.mode = "r" if number == 0 else "w"  # type: ignore[misc]
    return made


def main() -> None:
    """Load, serve, and in the process of a command run it."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    load()
    if serve(requests) is not None:
        from sensor.__main__ import main as run

        run()


if __name__ == "__main__":
    main()
