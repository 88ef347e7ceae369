"""Whom the sensor becomes, and what the kernel says of a process that has dropped its privileges."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("privileges are dropped on Linux only", allow_module_level=True)

import pwd

from sensor.errors import ConfigError
from sensor.process.privileges import FALLBACK_USER, SERVICE_USER, User, user_to_become
from sensor.settings.config import effective_config
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[3]
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")
NONE = "0" * 16
NOBODY = pwd.getpwnam("nobody")
# What a process does that holds a socket, drops its privileges and then waits to be looked at.
HOLDER = """
import os, socket, sys, threading
from sensor.process import privileges
from sensor.errors import SensorError
held = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
{before}
try:
    privileges.drop({user!r})
except SensorError as error:
    print(type(error).__name__, error, sep=": ", flush=True)
else:
    print("dropped", flush=True)
sys.stdin.readline()
{after}
print("end", flush=True)
"""
OTHER_THREAD = "threading.Thread(target=threading.Event().wait, name='other', daemon=True).start()"
# Each line fails where the way back is open.
NO_WAY_BACK = """
held.getsockname()
for regain in (lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW), lambda: os.setuid(0), lambda: os.setgid(0)):
    try:
        regain()
    except PermissionError:
        continue
    sys.exit("a privilege is back")
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have something to drop")
needs_setpriv = pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")


@dataclass(frozen=True)
class Dropped:
    """A process after drop(): what it said of it, and its status as the kernel tells others."""

    process: "subprocess.Popen[str]"
    said: str
    status: dict[str, str]

    def end(self) -> str:
        """Let it go on to its end; what it says last."""
        said, _ = self.process.communicate("\n", timeout=20)
        assert self.process.returncode == 0, said
        return said


def short(value: object) -> str:
    """Name of a case."""
    return ascii(value)[:16]


@contextmanager
def dropping(user: User | None, before: str = "", after: str = "", prefix: tuple[str, ...] = ()) -> Iterator[Dropped]:
    """A process that becomes `user`. before, after: what else it does. prefix: a program that starts it."""
    module = Path(sys.modules[User.__module__].__file__ or "").stem
    name = "None" if user is None else f"{module}.{user!r}"
    code = HOLDER.format(before=before, after=after, user=user).replace(f"drop({user!r})", f"drop({name})")
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        yield Dropped(process, said, status(process.pid))
    finally:
        process.kill()
        process.communicate()


def status(pid: int) -> dict[str, str]:
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: " ".join(value.split()) for name, _, value in lines}


def as_user(user: pwd.struct_passwd) -> User:
    return User(user.pw_name, user.pw_uid, user.pw_gid)


@pytest.fixture
def started_by_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_who_is_not_root_stays_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert user_to_become("root", {"SUDO_UID": "1", "SUDO_GID": "1"}) is None


@pytest.mark.usefixtures("started_by_root")
def test_root_becomes_who_called_sudo_with_the_group_that_sudo_names() -> None:
    environment = {"SUDO_UID": str(NOBODY.pw_uid), "SUDO_GID": "12345"}
    assert user_to_become(None, environment) == User(NOBODY.pw_name, NOBODY.pw_uid, 12345)


HOSTILE = (
    "",
    "0",
    "00",
    "-1",
    "+5",
    " 5",
    "5 ",
    "1e3",
    "0x5",
    "1_0",
    "4294967295",
    "4294967296",
    "١",
    "9" * 5000,
    "5\n",
)


@pytest.mark.usefixtures("started_by_root")
@pytest.mark.parametrize("number", HOSTILE, ids=short)
def test_what_is_no_other_users_number_makes_nobody_the_caller_of_sudo(number: str) -> None:
    names = {user.pw_name for user in pwd.getpwall()}
    expected = as_user(pwd.getpwnam(SERVICE_USER if SERVICE_USER in names else FALLBACK_USER))
    one = str(NOBODY.pw_uid)
    assert user_to_become(None, {"SUDO_UID": number, "SUDO_GID": "1"}) == expected
    assert user_to_become(None, {"SUDO_UID": "1", "SUDO_GID": number}) == expected
    assert user_to_become(None, {"SUDO_UID": one}) == user_to_become(None, {"SUDO_GID": one}) == expected


@pytest.mark.usefixtures("started_by_root")
def test_a_caller_of_sudo_whom_the_system_does_not_know_is_passed_over() -> None:
    unknown = str(2**32 - 7)
    assert user_to_become(None, {"SUDO_UID": unknown, "SUDO_GID": unknown}) == user_to_become(None, {})


@pytest.mark.usefixtures("started_by_root")
@pytest.mark.parametrize("setting", [NOBODY.pw_name, str(NOBODY.pw_uid), NOBODY.pw_uid])
def test_the_setting_goes_over_the_caller_of_sudo(setting: str | int) -> None:
    assert user_to_become(setting, {"SUDO_UID": "1", "SUDO_GID": "1"}) == as_user(NOBODY)


@pytest.mark.usefixtures("started_by_root")
def test_a_uid_among_the_settings_needs_no_quotes() -> None:
    config = effective_config(overrides=[f"process.user={NOBODY.pw_uid}"]).config
    assert user_to_become(config.process.user, {}) == as_user(NOBODY)


@pytest.mark.usefixtures("started_by_root")
@pytest.mark.parametrize("setting", ["root", "0", 0])
def test_only_the_setting_makes_root_stay_root(setting: str | int) -> None:
    assert user_to_become(setting, {}) == as_user(pwd.getpwuid(0))


@pytest.mark.usefixtures("started_by_root")
@pytest.mark.parametrize(
    "setting", ["nobody-has-this-name", "", "-1", -1, "4294967295", "١", "a\0b", "9" * 5000, "\udc80"], ids=short
)
def test_a_setting_that_names_no_user_is_told_with_what_was_expected(setting: str | int) -> None:
    with pytest.raises(ConfigError, match=r"process\.user is .*: no such user, expected the name or the uid"):
        user_to_become(setting, {})


@needs_root
def test_root_becomes_the_user_without_groups_capabilities_or_a_way_back() -> None:
    with dropping(as_user(NOBODY), "os.setgroups([1, 2])", NO_WAY_BACK) as dropped:
        found = dropped.status
        assert dropped.said == "dropped"
        assert found["Uid"] == " ".join([str(NOBODY.pw_uid)] * 4)
        assert found["Gid"] == " ".join([str(NOBODY.pw_gid)] * 4)
        assert found["Groups"] == ""
        assert {name: found[name] for name in (*CAPABILITIES, "CapBnd")} == dict.fromkeys(
            (*CAPABILITIES, "CapBnd"), NONE
        )
        assert found["NoNewPrivs"] == "1"
        assert dropped.end() == "end\n"


@needs_root
def test_root_that_stays_root_has_no_capability_either() -> None:
    with dropping(
        as_user(pwd.getpwuid(0)), after="os.execvp('grep', ['grep', 'CapEff', '/proc/self/status'])"
    ) as dropped:
        assert dropped.said == "dropped"
        assert {dropped.status[name] for name in (*CAPABILITIES, "CapBnd")} == {NONE}
        assert dropped.end().split() == ["CapEff:", NONE]  # nor has a program that it starts


@needs_root
@needs_setpriv
def test_other_processes_of_the_user_cannot_take_the_sockets() -> None:
    """The same look at a process that has only changed its user succeeds."""
    nobody = ("setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups")

    def look_at(pid: int) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run([*nobody, "ls", f"/proc/{pid}/fd"], capture_output=True, check=False, timeout=20)

    with (
        dropping(as_user(NOBODY)) as dropped,
        subprocess.Popen([*nobody, "sleep", "20"]) as plain,
    ):
        try:
            assert dropped.said == "dropped"
            wait_until(lambda: look_at(plain.pid).returncode == 0)  # once it has changed its user
            look = look_at(dropped.process.pid)
        finally:
            plain.kill()
    assert look.returncode != 0
    assert b"Permission denied" in look.stderr


@needs_root
def test_nothing_is_dropped_while_another_thread_runs() -> None:
    before = status(os.getpid())
    with dropping(as_user(NOBODY), OTHER_THREAD) as dropped:
        assert dropped.said.startswith("SensorError: privileges cannot be dropped: found 2 threads (")
        assert {name: dropped.status[name] for name in ("Uid", "CapEff", "CapPrm", "NoNewPrivs")} == {
            name: before[name] for name in ("Uid", "CapEff", "CapPrm", "NoNewPrivs")
        }


@needs_root
@needs_setpriv
def test_a_service_with_one_ambient_capability_gives_it_up() -> None:
    # With the second one the interpreter is found where it is root's alone.
    capabilities = "-all,+net_raw,+dac_read_search"
    service = (
        "setpriv",
        f"--reuid={NOBODY.pw_uid}",
        f"--regid={NOBODY.pw_gid}",
        "--clear-groups",
        f"--inh-caps={capabilities}",
        f"--ambient-caps={capabilities}",
        f"--bounding-set={capabilities}",
    )
    had = "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff')])"
    with dropping(None, had, NO_WAY_BACK, service) as dropped:
        assert dropped.said != NONE
        assert dropped.process.stdout is not None
        assert dropped.process.stdout.readline() == "dropped\n"
        found = status(dropped.process.pid)
        assert {found[name] for name in CAPABILITIES} == {NONE}
        assert found["CapBnd"] != NONE  # to empty it takes CAP_SETPCAP; without new privileges it is of no use
        assert found["NoNewPrivs"] == "1"
        assert found["Uid"] == " ".join([str(NOBODY.pw_uid)] * 4)
        assert dropped.end() == "end\n"


@needs_root
@needs_setpriv
def test_root_that_may_not_change_its_user_is_told_what_it_needs() -> None:
    with dropping(as_user(NOBODY), prefix=("setpriv", "--bounding-set=-setuid,-setgid")) as dropped:
        assert dropped.said.startswith(f"ConfigError: cannot become user nobody (uid {NOBODY.pw_uid}")
        assert "expected CAP_SETUID and CAP_SETGID" in dropped.said


@needs_root
def test_privileges_that_are_left_are_told_as_the_kernel_has_them() -> None:
    careless = "privileges._clear_capabilities = lambda: None"
    with dropping(as_user(pwd.getpwuid(0)), careless) as dropped:
        assert dropped.said.startswith("SensorError: privileges are left after they were dropped")
        assert f"CapEff {dropped.status['CapEff']!r}, not {NONE!r}" in dropped.said
