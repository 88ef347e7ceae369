"""What people do with servers that they log on to: ssh, sftp and ftp."""

from random import Random
from typing import Final

from training.lab.accounts import PASSWORDS
from training.lab.actions.action import Action, Step
from training.lab.place import Place

QUIET_SSH: Final = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
PEOPLE: Final = ("anna", "ben", "clara", "david")
_WORK: Final = (
    "ls -l /usr/share | head -40",
    "uptime",
    "df -h",
    "ps aux | head -30",
    "cat /etc/services",
    "dmesg | tail",
)


def account_of(host: str) -> tuple[str, str]:
    """The account that a host's user has everywhere: name and password."""
    user = PEOPLE[sum(host.encode()) % len(PEOPLE)]
    return user, PASSWORDS[user]


def with_password(password: str, command: list[str]) -> list[str]:
    """The command with a password typed in for it."""
    return ["sshpass", "-p", password, *command]


def _session(place: Place, target: str, draw: Random) -> list[Step]:
    """A session in which somebody types commands and reads what they say."""
    user, password = account_of(place.host)
    work = "; ".join(
        f"{draw.choice(_WORK)}; sleep {draw.lognormvariate(0.7, 0.8):.1f}" for _ in range(draw.randint(1, 8))
    )
    command = ["ssh", "-tt", *QUIET_SSH, f"{user}@{place.site.name(target)}", work]
    return [Step(with_password(password, command))]


def _mistyped(place: Place, target: str, draw: Random) -> list[Step]:
    """A password mistyped once, then a session."""
    user, _ = account_of(place.host)
    command = ["ssh", *QUIET_SSH, "-o", "NumberOfPasswordPrompts=1", f"{user}@{place.site.name(target)}", "true"]
    return [Step(with_password("Tulpe-41-regne", command), draw.uniform(2, 5)), *_session(place, target, draw)]


def _copy(place: Place, target: str, draw: Random) -> list[Step]:
    user, password = account_of(place.host)
    source = place.site.shared / "files" / f"report-{draw.randrange(16)}.odt"
    return [
        Step(with_password(password, ["scp", *QUIET_SSH, str(source), f"{user}@{place.site.name(target)}:/dev/null"]))
    ]


def _ftp(place: Place, target: str, draw: Random) -> list[Step]:
    user, password = account_of(place.host)
    base = f"ftp://{place.site.name(target)}"
    return [
        Step(["curl", "-sS", "-u", f"{user}:{password}", "-o", "/dev/null", f"{base}/"], draw.uniform(1, 6)),
        Step(["curl", "-sS", "-u", f"{user}:{password}", "-o", "/dev/null", f"{base}/report-{draw.randrange(16)}.odt"]),
    ]


_SSH: Final = (("openssh-client", "sshpass"), ("ssh", "sshpass"), "ssh")

SHELLS: Final = (
    Action("ssh-session", "types commands over ssh", *_SSH, _session, ipv6=True),
    Action("ssh-mistyped", "mistypes a password, then does", *_SSH, _mistyped, ipv6=True),
    Action("ssh-copy", "copies a file over ssh", *_SSH, _copy, ipv6=True),
    Action("ftp-fetch", "lists and fetches files by FTP", ("curl",), ("curl",), "ftp", _ftp),
)
