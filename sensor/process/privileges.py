"""From root, or from a few capabilities, to none: what the process may still do once its sockets are open.

It knows what privileges are, not what they were used for. Only on Linux, only while there is one thread, and checked
afterwards against what the kernel says. Source: capabilities(7), PR_SET_NO_NEW_PRIVS(2const), linux/capability.h,
linux/prctl.h.
"""

import ctypes
import errno
import os
import pwd
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensor.c_library import call
from sensor.errors import ConfigError, SensorError, reason_of

SETTING: Final = "process.user"
SERVICE_USER, FALLBACK_USER = "flowvigil", "nobody"

# linux/prctl.h
PR_SET_DUMPABLE, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 23, 24, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
LINUX_CAPABILITY_VERSION_3: Final = 0x20080522  # linux/capability.h: 64 capabilities in two halves

# Of every library that makes threads when it is imported or first computes.
THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
ARROW_ALLOCATOR = "JE_ARROW_MALLOC_CONF"  # of pyarrow, which begins a thread when it is imported
_OWN = Path("/proc/self")
_HIGHEST_ID = 2**32 - 2  # the one above means "leave as it is" to setresuid


@dataclass(frozen=True, slots=True)
class User:
    """The user that the process becomes, without that user's supplementary groups."""

    name: str
    uid: int
    gid: int  # the only group


def single_threaded_libraries() -> None:
    """Keep libraries from starting threads when they are imported; to be called before numpy is.

    It overrides the user's own counts: capabilities belong to each thread, and drop() can only clear those of its own.
    """
    for name in THREAD_COUNTS:
        os.environ[name] = "1"
    os.environ[ARROW_ALLOCATOR] = "background_thread:false"


def user_to_become(setting: str | int | None, environment: Mapping[str, str] = os.environ) -> User | None:
    """The user to become; None where the process was not started by root and keeps its own.

    setting: a name or a uid, also root's; None: the caller of sudo, else SERVICE_USER, else FALLBACK_USER, never root.
    Raises ConfigError for a user that does not exist.
    """
    if os.geteuid() != 0:
        return None
    if setting is not None:
        return _configured_user(str(setting))
    user = _caller_of_sudo(environment) or _user_named(SERVICE_USER) or _user_named(FALLBACK_USER)
    if user is None:
        raise ConfigError(
            f"{SETTING} is null and neither user {SERVICE_USER!r} nor {FALLBACK_USER!r} exists: "
            "expected a user to become"
        )
    return user


def drop(user: User | None) -> None:
    """Become `user` for good, or keep the user (None), without any capability and without a way to gain one.

    Raises ConfigError when the system refuses to change the user, SensorError when privileges are left.
    """
    try:
        _drop(user)
    except OSError as error:
        raise SensorError(f"privileges cannot be dropped: {error.filename}: {reason_of(error)}") from error


def _drop(user: User | None) -> None:
    _check_single_thread()
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    bounded = _empty_bounding_set()
    if user is not None:
        _become(user)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    _clear_capabilities()
    # The packet sockets outlive the privileges: no other process of that user shall take them out of this one, by
    # ptrace or pidfd_getfd, nor find packets in a core file.
    _prctl(PR_SET_DUMPABLE, 0)
    _verify(user, bounded=bounded)


def _configured_user(setting: str) -> User:
    user = _user_with_uid(int(setting)) if _is_id(setting) else _user_named(setting)
    if user is None:
        raise ConfigError(f"{SETTING} is {setting!r}: no such user, expected the name or the uid of an existing one")
    return user


def _caller_of_sudo(environment: Mapping[str, str]) -> User | None:
    """The user in SUDO_UID with the group in SUDO_GID, where both are there and neither is root."""
    uid, gid = environment.get("SUDO_UID", ""), environment.get("SUDO_GID", "")
    if not _is_id(uid) or not _is_id(gid) or not int(uid) or not int(gid):
        return None
    user = _user_with_uid(int(uid))
    return None if user is None else User(user.name, user.uid, int(gid))


def _user_named(name: str) -> User | None:
    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a zero byte
        return None
    return User(found.pw_name, found.pw_uid, found.pw_gid)


def _user_with_uid(uid: int) -> User | None:
    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return None
    return User(found.pw_name, found.pw_uid, found.pw_gid)


def _is_id(text: str) -> bool:
    """Whether text is a plain decimal number that can be a uid or gid."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _HIGHEST_ID


def _check_single_thread() -> None:
    """Raise SensorError when other threads run: the kernel has capabilities by thread, and theirs would stay."""
    names = [(task / "comm").read_text().strip() for task in (_OWN / "task").iterdir()]
    if len(names) != 1:
        raise SensorError(
            f"privileges cannot be dropped: found {len(names)} threads ({', '.join(names)}), expected one"
        )


def _empty_bounding_set() -> bool:
    """Clear the capability bounding set; returns whether that was permitted (CAP_SETPCAP).

    Without it nothing is lost: PR_SET_NO_NEW_PRIVS keeps programs started later from gaining anything anyway.
    """
    capability = 0
    try:
        while _prctl_or_end(PR_CAPBSET_READ, capability) is not None:
            _prctl(PR_CAPBSET_DROP, capability)
            capability += 1
    except PermissionError:
        return False
    return True


def _become(user: User) -> None:
    """Set groups and user; the groups first, because the new user may no longer change them."""
    try:
        os.setgroups([])
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        reason = reason_of(error)
        raise ConfigError(
            f"cannot become user {user.name} (uid {user.uid}, gid {user.gid}): {reason}, expected CAP_SETUID and "
            f"CAP_SETGID, and {SETTING} to name a user that this container has"
        ) from error


def _clear_capabilities() -> None:
    """Clear the effective, permitted and inheritable capabilities of this thread."""
    header = struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0)  # 0: this thread
    call("capset", ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))


def _verify(user: User | None, *, bounded: bool) -> None:
    """Compare with what the kernel reports for this process. Raises SensorError."""
    found = _status()
    nothing = f"{0:016x}"
    expected = dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), nothing) | {"NoNewPrivs": "1"}
    if bounded:
        expected["CapBnd"] = nothing
    if user is not None:  # real, effective, saved, file system
        expected |= {"Uid": " ".join([str(user.uid)] * 4), "Gid": " ".join([str(user.gid)] * 4), "Groups": ""}
    wrong = [
        f"{name} {found.get(name)!r}, not {value!r}" for name, value in expected.items() if found.get(name) != value
    ]
    if wrong:
        raise SensorError(f"privileges are left after they were dropped: {_OWN}/status has {', '.join(wrong)}")


def _status() -> dict[str, str]:
    """Fields of /proc/self/status, with single blanks between words."""
    fields = (line.partition(":") for line in (_OWN / "status").read_text().splitlines())
    return {name: " ".join(value.split()) for name, _, value in fields}


def _prctl_or_end(operation: int, argument: int) -> int | None:
    """_prctl, but None where the kernel does not know the argument (EINVAL). Raises OSError."""
    try:
        return _prctl(operation, argument)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _prctl(operation: int, argument: int) -> int:
    """prctl(2). Raises OSError."""
    # Its arguments are variadic: each must fill a register. Those that mean nothing must be 0.
    return call("prctl", operation, *map(ctypes.c_ulong, (argument, 0, 0, 0)))
