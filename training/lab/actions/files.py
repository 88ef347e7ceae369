"""What people and programs do with files: shares, backups, repositories, BitTorrent."""

from random import Random
from typing import Final

from training.lab.actions.action import Action, Step
from training.lab.actions.shells import account_of
from training.lab.place import Place
from training.lab.services.files import PEER_PORTS, aria2
from training.lab.traffic import tcp


def _share(place: Place, target: str, draw: Random) -> list[Step]:
    """Files of a share, opened one after the other, and one put back."""
    user, password = account_of(place.host)
    name = place.site.name(target)
    reading = [f"get report-{draw.randrange(16)}.odt /dev/null" for _ in range(draw.randint(1, 4))]
    source = place.site.shared / "files" / f"report-{draw.randrange(16)}.odt"
    smbclient = ["smbclient", "-s", "/dev/null", "-p", "445", "-U", f"{user}%{password}"]
    steps = [Step([*smbclient, f"//{name}/files", "-c", "; ".join(["ls", *reading])], draw.lognormvariate(1.5, 0.8))]
    if draw.random() < 0.5:
        steps.append(Step([*smbclient, f"//{name}/work", "-c", f"put {source} {place.host}.odt"]))
    return steps


def _backup(place: Place, target: str, draw: Random) -> list[Step]:
    """A backup of all files; what has not changed is only compared."""
    url = f"rsync://{place.site.addresses[target]}/backup/{place.host}-{draw.randrange(4)}/"
    return [Step(["rsync", "-a", f"{place.site.shared / 'files'}/", url])]


def _mirror(place: Place, target: str, draw: Random) -> list[Step]:
    copy = place.folder(f"mirror-{draw.randrange(6)}")
    return [Step(["rsync", "-a", f"rsync://{place.site.name(target)}/files/", f"{copy}/"])]


def _repository(place: Place, target: str, draw: Random) -> list[Step]:
    """A look whether anything is new; now and then the whole repository."""
    url = f"git://{place.site.name(target)}/site.git"
    if draw.random() < 0.3:
        script = 'rm -rf "$1" && exec git clone -q "$2" "$1"'
        return [Step(["sh", "-c", script, "sh", str(place.path("clone")), url])]
    return [Step(["git", "ls-remote", "-q", url])]


def _torrent(place: Place, target: str, draw: Random) -> list[Step]:  # noqa: ARG001  the torrent names its tracker
    directory = place.path(f"torrent-{draw.randrange(1 << 20)}")
    torrent = str(place.site.shared / "large.torrent")
    options = ["--seed-time=0.2", f"--dir={directory}", "--max-download-limit=1500K", torrent]
    return [Step(aria2(place, *options)), Step(["rm", "-rf", str(directory)])]


_RSYNC: Final = (("rsync",), ("rsync",), "rsync")

FILES: Final = (
    Action("share", "opens files of a share", ("smbclient",), ("smbclient",), "smb", _share),
    Action("backup", "copies its files to a backup", *_RSYNC, _backup),
    Action("mirror", "fetches what is new of a directory", *_RSYNC, _mirror),
    Action("repository", "fetches from a repository", ("git",), ("git",), "git", _repository, ipv6=True),
    Action(
        "torrent",
        "fetches a file by BitTorrent",
        ("aria2",),
        ("aria2c",),
        "torrent",
        _torrent,
        among=(tcp(*PEER_PORTS),),
    ),
)
