"""How far root follows links of others, what it gives away, and that users follow their own as ever."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sensor.cli.kept_of_captures import KeptOfCaptures, directory_name, whole_directory
from sensor.errors import OutputError
from sensor.files.held import held
from sensor.files.ownership import APPEND, make_owned_directory, open_owned
from sensor.jobs.run_directory import Capture
from sensor.process.children import Child, settled
from sensor.process.privileges import User
from sensor.settings.config import Config
from tests.trust.paths import renamers

NOBODY, OTHER = User("nobody", 65534, 65534), User("other", 4711, 4711)

pytestmark = pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs root")


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory of root's that everybody can look into: `roots` in it is root's, `theirs` is nobody's."""
    with TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "roots").mkdir()
        (path / "roots" / "secret").write_text("secret")
        (path / "theirs").mkdir()
        give(path / "theirs")
        yield path


def give(path: Path, user: User = NOBODY) -> Path:
    os.chown(path, user.uid, user.gid, follow_symlinks=False)
    return path


def link(path: Path, target: Path, user: User = NOBODY) -> Path:
    path.symlink_to(target)
    return give(path, user)


def appended(path: Path, owner: User | None = NOBODY) -> int:
    """Append to a file as an output does; whose it is."""
    descriptor = open_owned(path, APPEND, owner)
    os.write(descriptor, b"line\n")
    uid = os.fstat(descriptor).st_uid
    os.close(descriptor)
    return uid


def refused(path: Path, owner: User | None = NOBODY) -> int:
    """The errno with which appending to a file is refused."""
    with pytest.raises(OSError, match=r"link|owner") as raised:
        appended(path, owner)
    assert raised.value.errno is not None
    return raised.value.errno


def test_a_new_file_is_given_away_and_one_that_is_there_keeps_its_owner(base: Path) -> None:
    assert appended(base / "roots" / "new") == NOBODY.uid
    assert appended(base / "theirs" / "new", None) == 0
    assert appended(base / "theirs" / "new") == 0
    assert appended(base / "theirs" / ".." / "roots" / "new") == NOBODY.uid


@pytest.mark.parametrize("owner", [NOBODY, None])
def test_a_users_link_leads_root_to_nothing_that_the_user_could_not_write(base: Path, owner: User | None) -> None:
    link(base / "theirs" / "file", base / "roots" / "secret")
    link(base / "theirs" / "directory", base / "roots")
    assert refused(base / "theirs" / "file", owner) == errno.EPERM
    assert refused(base / "theirs" / "directory" / "new", owner) == errno.ELOOP
    assert refused(base / "theirs" / "directory" / "secret", owner) == errno.EPERM
    assert (base / "roots" / "secret").read_text() == "secret"
    assert os.listdir(base / "roots") == ["secret"]


def test_a_users_link_leads_where_that_user_could_go(base: Path) -> None:
    (base / "data").mkdir()
    give(base / "data")
    link(base / "theirs" / "alerts", base / "data")
    assert appended(base / "theirs" / "alerts" / "a.jsonl") == NOBODY.uid
    assert (base / "data" / "a.jsonl").exists()
    give(base / "data", OTHER)
    assert refused(base / "theirs" / "alerts" / "b.jsonl") == errno.ELOOP


def test_links_of_roots_lead_anywhere(base: Path) -> None:
    (base / "alerts").symlink_to("roots")
    (base / "latest").symlink_to(base / "alerts" / "a.jsonl")
    assert appended(base / "alerts" / "a.jsonl") == NOBODY.uid
    appended(base / "latest")
    assert (base / "roots" / "a.jsonl").read_bytes() == b"line\n" * 2


def test_of_a_directory_with_the_sticky_bit_a_link_is_its_owners_word(base: Path) -> None:
    (base / "tmp").mkdir()
    (base / "tmp").chmod(0o1777)
    link(base / "tmp" / "theirs", base / "roots")
    (base / "tmp" / "roots").symlink_to(base / "roots")
    assert refused(base / "tmp" / "theirs" / "new") == errno.ELOOP
    assert appended(base / "tmp" / "roots" / "new") == NOBODY.uid
    (base / "tmp").chmod(0o777)  # anybody could have put that link there
    assert refused(base / "tmp" / "roots" / "new") == errno.ELOOP


def test_a_second_name_of_roots_file_in_a_users_directory_is_refused(base: Path) -> None:
    os.link(base / "roots" / "secret", base / "theirs" / "alerts.jsonl")
    assert refused_in_words(base / "theirs" / "alerts.jsonl") == "a file of root's under a second name"
    (base / "theirs" / "alerts.jsonl").unlink()
    os.link(base / "roots" / "secret", base / "roots" / "other")
    appended(base / "roots" / "other")


def refused_in_words(path: Path) -> str:
    with pytest.raises(PermissionError) as raised:
        appended(path)
    return str(raised.value.strerror)


def test_what_is_open_has_names_of_the_systems_own(base: Path) -> None:
    reading, writing = os.pipe()
    for name in (f"/dev/fd/{writing}", f"/proc/self/fd/{writing}"):
        appended(Path(name))
        assert os.read(reading, 100) == b"line\n"
    os.close(reading)
    os.close(writing)
    appended(Path("/dev/null"))
    assert base.exists()


def test_links_without_end_are_refused(base: Path) -> None:
    (base / "one").symlink_to("two")
    (base / "two").symlink_to("one")
    assert refused(base / "one" / "x") == errno.ELOOP


def test_a_directory_is_given_away_and_those_above_it_are_not(base: Path) -> None:
    make_owned_directory(base / "roots" / "a" / "b", NOBODY)
    assert [(base / "roots" / name).stat().st_uid for name in ("a", "a/b")] == [0, NOBODY.uid]
    assert (base / "roots" / "a" / "b").stat().st_mode & 0o777 == 0o750
    link(base / "theirs" / "link", base / "roots")
    with pytest.raises(OSError, match="link"):
        make_owned_directory(base / "theirs" / "link" / "new", NOBODY)
    assert not (base / "roots" / "new").exists()


def test_a_user_follows_links_of_anybody_as_ever(base: Path) -> None:
    (base / "data").mkdir()
    give(base / "data")
    link(base / "theirs" / "alerts", base / "data", OTHER)
    base.chmod(0o777)

    def as_nobody() -> int:
        settled()
        os.setgroups([])
        os.setresgid(*[NOBODY.gid] * 3)
        os.setresuid(*[NOBODY.uid] * 3)
        appended(base / "theirs" / "alerts" / "a.jsonl", None)
        with held(base / "theirs" / "alerts" / "a.jsonl") as place:
            place.rename("b.jsonl")
        return 0

    assert Child(as_nobody, print).ended(20) == "exit code 0"
    assert (base / "data" / "b.jsonl").read_bytes() == b"line\n"


def test_a_directory_exchanged_for_links_at_any_moment_costs_root_nothing() -> None:
    outcome = renamers(0.1)
    assert outcome.failures == []
    assert outcome.tries >= 100


def test_what_is_made_in_a_directory_that_hands_its_group_on_has_that_group(base: Path) -> None:
    place = base / "alerts"
    place.mkdir()
    os.chown(place, NOBODY.uid, OTHER.gid)
    place.chmod(0o2750)
    os.close(open_owned(place / "a.jsonl", APPEND, NOBODY))
    make_owned_directory(place / "packets", NOBODY)
    made = [(path.stat().st_uid, path.stat().st_gid) for path in (place / "a.jsonl", place / "packets")]
    assert made == [(NOBODY.uid, OTHER.gid)] * 2
    assert (place / "packets").stat().st_mode & 0o7777 == 0o2750


def test_packets_of_captures_remove_nothing_behind_a_link_of_others(base: Path) -> None:
    capture = Capture("net.pcap", 5)
    config = Config.model_validate({"keep_packets": {"directory": base / "theirs", "directory_bytes": 1 << 20}})
    (base / "roots" / "large").write_bytes(bytes(1 << 21))
    link(base / "theirs" / directory_name(capture), base / "roots")
    with KeptOfCaptures(config, [capture]).held() as kept, pytest.raises(OutputError, match="link"):
        kept.ended(capture, {})
    place = base / "theirs" / directory_name(capture)
    with pytest.raises(OSError, match=r"[Dd]irectory"), whole_directory(place) as made:
        (made / "a.pcapng").touch()
    assert sorted(os.listdir(base / "roots")) == ["large", "secret"]
