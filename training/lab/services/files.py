"""Servers of files: samba, rsync, git, and BitTorrent with its tracker."""

import hashlib
import subprocess
from typing import Final

from training.lab.accounts import PASSWORDS
from training.lab.content import file_root, web_root
from training.lab.place import Place
from training.lab.services.service import Command, Service
from training.lab.traffic import Shout, tcp, udp

TRACKER_PORT: Final = 6969
PEER_PORTS: Final = (6881, 6889)

_SAMBA: Final = """[global]
server role = standalone server
interfaces = {address}
bind interfaces only = yes
smb ports = 445
disable netbios = yes
lock directory = {directory}/lock
state directory = {directory}/state
cache directory = {directory}/cache
private dir = {directory}/private
pid directory = {directory}/pid
ncalrpc dir = {directory}/ncalrpc
log file = /dev/null
load printers = no
printcap name = /dev/null
disable spoolss = yes
passdb backend = tdbsam
map to guest = never
[files]
path = {files}
read only = yes
[work]
path = {work}
read only = no
force create mode = 0666
"""
_NETBIOS: Final = """[global]
netbios name = {name}
workgroup = WORKGROUP
interfaces = {interface}
bind interfaces only = yes
local master = yes
os level = 20
lock directory = {directory}/lock
state directory = {directory}/state
cache directory = {directory}/cache
private dir = {directory}/private
pid directory = {directory}/pid
log file = /dev/null
"""
_RSYNCD: Final = """use chroot = no
max connections = 8
pid file = {directory}/rsyncd.pid
lock file = {directory}/rsyncd.lock
log file = /dev/null
[files]
path = {files}
read only = yes
[backup]
path = {backup}
read only = no
uid = root
gid = root
"""


def _smb(place: Place) -> list[Command]:
    for name in ("lock", "state", "cache", "private", "pid", "ncalrpc"):
        place.folder(name)
    settings = _SAMBA.format(
        address=place.address,
        directory=place.directory,
        files=file_root(place.site.shared),
        work=place.folder("work", 0o777),
    )
    path = place.write("smb.conf", settings)
    words = "".join(
        f"printf '%s\\n%s\\n' '{password}' '{password}' | smbpasswd -c {path} -s -a {user} >/dev/null && "
        for user, password in PASSWORDS.items()
    )
    return [["sh", "-c", f"{words} exec smbd -F --no-process-group -s {path}"]]


def _netbios(place: Place) -> list[Command]:
    for name in ("lock", "state", "cache", "private", "pid"):
        place.folder(name)
    network = place.site.networks[place.host]
    interface = f"{place.address}/{network.prefixlen}"
    settings = _NETBIOS.format(interface=interface, directory=place.directory, name=place.host[:15].upper())
    return [["nmbd", "-F", "--no-process-group", "-s", str(place.write("smb.conf", settings))]]


def _rsync(place: Place) -> list[Command]:
    settings = _RSYNCD.format(
        directory=place.directory, files=file_root(place.site.shared), backup=place.folder("backup", 0o777)
    )
    path = place.write("rsyncd.conf", settings)
    return [["rsync", "--daemon", "--no-detach", f"--config={path}", f"--address={place.address}", "--port=873"]]


def _git(place: Place) -> list[Command]:
    """A repository whose history is the site's files, one after the other."""
    tree, base = place.folder("tree"), place.folder("base")
    who = ["-c", "user.name=lab", "-c", "user.email=lab@lab.test", "-c", "init.defaultBranch=main"]
    _run_git(place, ["git", *who, "init", "-q", str(tree)])
    for path in sorted(file_root(place.site.shared).iterdir()):
        (tree / path.name).write_bytes(path.read_bytes())
        _run_git(place, ["git", *who, "-C", str(tree), "add", path.name])
        _run_git(place, ["git", *who, "-C", str(tree), "commit", "-q", "-m", path.name])
    _run_git(place, ["git", "clone", "-q", "--bare", str(tree), str(base / "site.git")])
    listen = [f"--listen={address}" for address in place.addresses]
    options = [*listen, f"--base-path={base}", "--export-all", "--reuseaddr", str(base)]
    return [["git", "daemon", *options]]


def _run_git(place: Place, command: list[str]) -> None:
    environment = {"HOME": str(place.directory), "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(command, check=True, capture_output=True, timeout=60, env=environment)


def _torrent(place: Place) -> list[Command]:
    """A tracker, and a peer that has all of the file."""
    large, torrent = web_root(place.site.shared) / "large.bin", place.site.shared / "large.torrent"
    announce = f"http://{place.address}:{TRACKER_PORT}/announce"
    torrent.unlink(missing_ok=True)
    command = ["mktorrent", "-a", announce, "-o", str(torrent), "-l", "17", str(large)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    content = torrent.read_bytes()
    described = content[content.index(b"4:info") + len(b"4:info") : -1]  # mktorrent writes it last; BEP 3
    allowed = place.write("allowed", hashlib.sha1(described, usedforsecurity=False).hexdigest() + "\n")
    ports = ["-p", str(TRACKER_PORT), "-P", str(TRACKER_PORT)]
    tracker = ["opentracker", "-i", place.address, *ports, "-u", "nobody", "-w", str(allowed)]
    seed = aria2(place, "-V", "--seed-ratio=0.0", "--dir", str(large.parent), str(torrent))
    return [tracker, ["sh", "-c", 'sleep 1; exec "$@"', "sh", *seed]]  # the tracker goes first


def aria2(place: Place, *options: str) -> list[str]:
    """aria2 as a peer that asks the tracker alone, and nobody else."""
    quiet = ["--no-conf", "--console-log-level=warn", "--show-console-readout=false", "--summary-interval=0"]
    closed = [
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
        "--disable-ipv6",
    ]
    port = [f"--listen-port={PEER_PORTS[0]}-{PEER_PORTS[1]}", f"--interface={place.address}"]
    return ["aria2c", *quiet, *closed, *port, *options]


SMB: Final = Service("smb", "samba, two shares", ("samba",), ("smbd", "smbpasswd"), (tcp(445),), _smb)
NETBIOS: Final = Service(
    "netbios",
    "samba's nmbd, as every Windows has one",
    ("samba",),
    ("nmbd",),
    (udp(137), udp(138)),
    _netbios,
    private=("/run/samba",),
    shouts=(Shout(udp(137)), Shout(udp(138))),
)
RSYNC: Final = Service("rsync", "rsync as a daemon", ("rsync",), ("rsync",), (tcp(873),), _rsync)
GIT: Final = Service("git", "git as a daemon", ("git",), ("git",), (tcp(9418),), _git, ipv6=True)
TORRENT: Final = Service(
    "torrent",
    "a BitTorrent tracker and a peer with the whole file",
    ("opentracker", "aria2", "mktorrent"),
    ("opentracker", "aria2c", "mktorrent"),
    (tcp(TRACKER_PORT), udp(TRACKER_PORT), tcp(*PEER_PORTS)),
    _torrent,
)
