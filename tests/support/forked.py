"""Commands that the fork server starts (tests.support.fork_server), as child processes like any other."""

import array
import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from tests.support.fork_server import LONGEST, Start

PR_SET_CHILD_SUBREAPER = 36
# What the interpreter and its libraries look at only once, when they are loaded.
READ_AT_START = ("PYTHON", "NUMBA", "LC_", "LANG", "LD_", "OMP_", "OPENBLAS_", "MALLOC_", "HOME", "XDG_", "CACHE_")
AT_ANY_START = {"PYTHONUNBUFFERED"}  # which is looked at for each command


class Forked(subprocess.Popen[bytes]):
    """A command of the sensor in a process forked from one that has loaded it. controls, namespace: as in Start."""

    def __init__(
        self, server: "ForkServer", arguments: list[str], *, controls: bool, namespace: str | None, **others: Any
    ) -> None:
        self._server = server
        self._controls = controls
        self._namespace = namespace
        super().__init__(arguments, **others)

    def _execute_child(
        self, args: Any, _executable: Any, _preexec: Any, _close: Any, _passed: Any, cwd: Any, env: Any,
        _startupinfo: Any, _flags: Any, _shell: Any, *rest: Any,
    ) -> None:  # fmt: skip
        pipes, start_new_session = rest[:6], rest[-2]
        inputs, _, _, outputs, _, errors = pipes
        streams = [given if given != -1 else own for own, given in enumerate((inputs, outputs, errors))]
        start = Start(
            list(args), os.fspath(cwd or os.getcwd()), dict(env), start_new_session, self._controls, self._namespace
        )
        self.pid = self._server.fork(start, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


class ForkServer:
    """The server's process, with the environment of the tests' own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()],
            )  # fmt: skip

    def fork(self, start: Start, streams: list[int]) -> int:
        """The process of a command, which is a child of ours."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams))]
        with self._lock:
            adopt_orphans(True)
            try:
                self._requests.sendmsg([start.encoded()], rights)
                answer = self._requests.recv(20)
            finally:
                adopt_orphans(False)
        assert answer, f"the fork server has ended with {self._process.wait(10)}"
        return int(answer)

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Whether a command with this environment is the same when it is forked."""
        names = {name for name in self.environment.keys() | environment.keys() if name.startswith(READ_AT_START)}
        return all(self.environment.get(name) == environment.get(name) for name in names - AT_ANY_START)

    def close(self) -> None:
        """Let it end."""
        self._requests.close()
        self._process.wait(20)


def adopt_orphans(whether: bool) -> None:
    """Whether descendants whose parent ends become children of this process (prctl(2))."""
    assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(whether), 0, 0, 0) == 0
