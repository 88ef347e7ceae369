"""Real syslog receivers, unprivileged on loopback with a configuration of their own and default line limits.

rsyslog keeps up to 50 000 messages in memory and by default throws away at its end what it has not written by then. No
sender can know of that, so its queue is saved here, as it has to be wherever nothing may be lost.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.support import syslog_ng
from tests.support.certificates import Identity

RSYSLOG = """
global(workDirectory="{work}")
main_queue(queue.type="LinkedList" queue.filename="main" queue.saveOnShutdown="on" queue.workerThreads="1")
module(load="imtcp")
module(load="imudp")
module(load="mmjsonparse")
input(type="imtcp" port="{port}" address="127.0.0.1")
input(type="imudp" port="{port}" address="127.0.0.1")
template(name="fields" type="list") {{
  property(name="app-name") constant(value=" ") property(name="msgid") constant(value=" ")
  property(name="syslogseverity") constant(value=" ") property(name="$!event!id") constant(value=" ")
  property(name="$!event!sequence") constant(value=" OK\\n") }}
action(type="mmjsonparse" cookie="")
action(type="omfile" file="{out}" template="fields")
"""
SYSLOG_NG = """@version: 3.38
source s {{ syslog(ip(127.0.0.1) port({port}) transport("tcp")); }};
source u {{ syslog(ip(127.0.0.1) port({port}) transport("udp")); }};
parser j {{ json-parser(prefix("j.")); }};
destination d {{ file("{out}" template(
  "$PROGRAM $MSGID $LEVEL_NUM ${{j.event.id}} ${{j.event.sequence}} OK\\n")); }};
log {{ source(s); source(u); parser(j); destination(d); }};
"""


# The same over TLS. {asked}: whether who sends must show a certificate of the same authority.
RSYSLOG_TLS = """
global(defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{ca}"
  defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="{asked}")
"""
SYSLOG_NG_TLS = """transport("tls") tls(ca-file("{ca}") cert-file("{certificate}") key-file("{key}")
  peer-verify({asked}))"""


class Receiver(Protocol):
    """A daemon that writes one line of fields for each message that it could parse."""

    port: int
    out: Path

    def start(self) -> None:
        """Run and listen."""

    def stop(self) -> None:
        """End as an operator would (SIGTERM)."""


class _Daemon:
    def __init__(self, directory: Path, identity: Identity | None = None, *, asks: bool = False) -> None:
        """identity: with TLS, by this certificate. asks: who sends must have one of the same authority."""
        self.directory, self.out, self.port = directory, directory / "out", free_port()
        self.identity, self.asks = identity, asks
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.directory)
        deadline = time.monotonic() + 20
        while not listening(self.port):
            assert self._process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


class Rsyslog(_Daemon):
    def command(self) -> list[str]:
        config = self.directory / "rsyslog.conf"
        text = RSYSLOG.format(work=self.directory, port=self.port, out=self.out)
        if self.identity is not None:
            asked = "x509/certvalid" if self.asks else "anon"
            text = text.replace('module(load="imtcp")', RSYSLOG_TLS.format(**vars(self.identity), asked=asked))
        config.write_text(text)
        return ["rsyslogd", "-n", "-f", str(config), "-i", str(self.directory / "pid")]


class SyslogNg(_Daemon):
    def command(self) -> list[str]:
        config = self.directory / "syslog-ng.conf"
        text = SYSLOG_NG.format(port=self.port, out=self.out)
        if self.identity is not None:
            asked = "required-trusted" if self.asks else "optional-untrusted"
            text = text.replace('transport("tcp")', SYSLOG_NG_TLS.format(**vars(self.identity), asked=asked))
        config.write_text(text)
        named = {"-f": config, "-R": "persist", "-p": "pid", "-c": "control"}
        files = [word for option, name in named.items() for word in (option, str(self.directory / name))]
        return [*(syslog_ng.program() or ()), "-F", "--no-caps", *files]


RECEIVERS: dict[str, type[_Daemon]] = {"rsyslogd": Rsyslog, "syslog-ng": SyslogNg}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def skip_without(program: str) -> None:
    """Skip the test where that receiver is not there."""
    if program == "syslog-ng" and syslog_ng.program() is None:
        pytest.skip(syslog_ng.HOW)
    if program == "rsyslogd" and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


@contextmanager
def receiver(
    program: str, directory: Path, identity: Identity | None = None, *, asks: bool = False
) -> Iterator[_Daemon]:
    skip_without(program)
    if identity is not None and program == "rsyslogd" and not any(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
        pytest.skip("rsyslog-gnutls is not installed")
    daemon = RECEIVERS[program](directory, identity, asks=asks)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def received(out: Path) -> list[tuple[str, int]]:
    """event.id and event.sequence of each message that was parsed, in the order of their arrival."""
    if not out.exists():
        return []
    whole = out.read_text().rpartition("\n")[0]
    fields = [line.split() for line in whole.splitlines()]
    wrong = [words[:8] for words in fields if len(words) != 6 or (words[0], words[5]) != ("flowvigil", "OK")]
    assert not wrong, wrong[:3]
    return [(words[3], int(words[4])) for words in fields]
