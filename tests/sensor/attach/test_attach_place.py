"""The socket in the file system: for whom it is, and what it never takes the place of."""

import os
import socket
import stat
from pathlib import Path

import pytest

from sensor.attach.place import gid_of, listen
from sensor.errors import ConfigError
from sensor.process.privileges import User

pytestmark = pytest.mark.ux


def owned(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


def test_it_is_for_who_makes_it_and_their_group_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        place = listen(tmp_path / "sock", None, None)
    finally:
        os.umask(before)
    assert owned(place.path) == (0o660, os.geteuid(), os.getegid())
    place.leave()
    assert not place.path.exists()
    assert os.umask(before) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_makes_it_for_whom_it_becomes_and_for_a_group(tmp_path: Path) -> None:
    user = User("somebody", 1234, 2345)
    place = listen(tmp_path / "own", user, None)
    assert owned(place.path) == (0o660, 1234, 2345)
    place.leave()
    place = listen(tmp_path / "group", user, "daemon")
    assert owned(place.path) == (0o660, 1234, gid_of("daemon"))
    place.leave()


def test_a_socket_that_nobody_listens_at_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(tmp_path / "sock"))
        killed.listen()
    assert (tmp_path / "sock").is_socket()
    place = listen(tmp_path / "sock", None, None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(tmp_path / "sock"))
    place.leave()


def test_a_socket_that_somebody_listens_at_is_left_alone(tmp_path: Path) -> None:
    place = listen(tmp_path / "sock", None, None)
    with pytest.raises(ConfigError, match="somebody listens there already"):
        listen(tmp_path / "sock", None, None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(tmp_path / "sock"))
    place.leave()


@pytest.mark.parametrize("kind", ["file", "directory", "link", "datagram"])
def test_nothing_else_is_ever_replaced(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        held.bind(str(path))
    before = path.lstat()
    with held, pytest.raises(ConfigError, match=r"attach\.socket .*: found|somebody listens"):
        listen(path, None, None)
    assert path.lstat().st_ino == before.st_ino


def test_what_took_its_name_meanwhile_stays(tmp_path: Path) -> None:
    place = listen(tmp_path / "sock", None, None)
    (tmp_path / "sock").unlink()
    (tmp_path / "sock").write_text("of another sensor")
    place.leave()
    assert (tmp_path / "sock").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("none/sock", "there is no directory"), ("x" * 200, "path too long")],
)
def test_where_it_cannot_be_made_is_one_line(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        listen(tmp_path / name, None, None)


def test_an_unknown_group_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"attach\.group is 'nonesuch': no such group"):
        gid_of("nonesuch")
    with pytest.raises(ConfigError, match=r"attach\.group is -5"):
        gid_of(-5)
    assert gid_of(0) == 0
