"""What is written into `site.yaml`: one entry more, every other byte as it was, whole or not at all."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sensor.alerts.techniques import technique_of
from sensor.errors import ConfigError, OutputError
from sensor.site.file import LIMIT_BYTES, read_notes, values_of_text
from sensor.site.marking import Marking
from sensor.site.notes import SiteNotes
from sensor.site.writing import MARKS, RULES, add_entry, false_entry, say_false, true_entry, why_not_writable
from tests.support.alerts import SPREAD, an_alert
from tests.support.examples import examples

pytestmark = [pytest.mark.ux, pytest.mark.takes(4)]

NOW = "2026-11-29T18:00:00Z"
ALERT = an_alert(id="Q" * 26)
ADDED = """\
- source: 192.0.2.10
  destination: 198.51.100.7
  service: tcp/22
  technique: T1110.001
  until: 2026-12-31
  why: "nightly \\"job\\" \\\\ ü: # x"
  alert: QQQQQQQQQQQQQQQQQQQQQQQQQQ
"""
WHY = 'nightly "job" \\ ü: # x'


def mark(path: Path) -> str:
    return add_entry(path, *false_entry(ALERT, WHY, "2026-12-31", NOW))


def indented(indent: int) -> str:
    return "".join(" " * indent + line for line in ADDED.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "rules:\n{2}"),
        ("# ours\nhome: 10.0.0.0/8", "# ours\nhome: 10.0.0.0/8\nrules:\n{2}"),
        ("rules:\nhome: 10.0.0.0/8\n", "rules:\n{2}home: 10.0.0.0/8\n"),
        ("rules: null # none yet\n# end\n", "rules: # none yet\n{2}# end\n"),
        ("rules: []  # none yet\n", "rules:  # none yet\n{2}"),
        (
            "rules:\n- source: 10.0.0.1\n  why: |\n    a\n    b\n\n# end\nhome: 10.0.0.0/8\n",
            "rules:\n- source: 10.0.0.1\n  why: |\n    a\n    b\n\n{0}# end\nhome: 10.0.0.0/8\n",
        ),
        (
            "rules:\n    # first\n    - why: x   # y\n      source: [10.0.0.1]\n    # after\nmarks: []\n",
            "rules:\n    # first\n    - why: x   # y\n      source: [10.0.0.1]\n{4}    # after\nmarks: []\n",
        ),
        (
            "\ufeffrules:\n  - # a-b\n    {source: 10.0.0.1, why: x}\n",
            "\ufeffrules:\n  - # a-b\n    {source: 10.0.0.1, why: x}\n{2}",
        ),
        (
            "rules:\n  - source: 10.0.0.1\n    why: a\n      b\n...\n",
            "rules:\n  - source: 10.0.0.1\n    why: a\n      b\n{2}...\n",
        ),
    ],
)
def test_an_entry_is_added_and_every_other_byte_stays(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(before, encoding="utf-8")
    assert mark(path).startswith("rule added: source 192.0.2.10, destination 198.51.100.7, service tcp/22, ")
    expected = after
    for indent in (0, 2, 4):
        expected = expected.replace(f"{{{indent}}}", indented(indent))
    assert path.read_text(encoding="utf-8") == expected
    (*_, rule) = read_notes(path).rules
    assert rule.holds(ALERT)
    assert rule.why == WHY
    assert values_of_text(path.read_text(encoding="utf-8"), "site.yaml")["rules"][-1]["alert"] == ALERT.id
    # What another reader of YAML takes it for.
    assert yaml.safe_load(path.read_text(encoding="utf-8-sig"))["rules"][-1]["why"] == WHY


def test_line_ends_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(b"rules:\r\n  - source: 10.0.0.1\r\n    why: x\r\n")
    mark(path)
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") == 10


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rules: [{source: 10.0.0.1, why: x}]\n", "a list in brackets, expected one with dashes"),
        ("{}\n", "nothing can be added to its rules as they are written"),
        ("home: 10.0.0.0/8\n...\n", "nothing can be added to its rules as they are written"),
        ("rules:\n  - why: x\n", "expected a source, a destination or both"),
        ("home: &a 10.0.0.0/8\n", "the anchor"),
        ("#" * (LIMIT_BYTES - 20), "would be longer than"),
    ],
)
def test_a_file_that_cannot_take_it_is_left_as_it_was(text: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=error):
        mark(path)
    assert path.read_text() == text
    assert os.listdir(tmp_path) == ["site.yaml"]


@pytest.mark.parametrize("why", ["", "  ", "x" * 201, "a\x1b[2J"])
def test_a_reason_that_no_file_may_have_is_refused_before_anything_is_written(why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="why"):
        add_entry(tmp_path / "site.yaml", *false_entry(ALERT, why, None, NOW))
    assert not os.listdir(tmp_path)


def test_the_same_is_not_said_twice(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    mark(path)
    before = path.read_bytes()
    assert add_entry(path, *false_entry(replace(ALERT, id="B" * 26), "other words", "2026-12-31", NOW)) == (
        f"{path} says so already"
    )
    assert path.read_bytes() == before
    add_entry(path, *true_entry(ALERT, "it was", NOW))
    assert "already" in add_entry(path, *true_entry(ALERT, "it was", NOW))
    assert read_notes(path).marks[ALERT.id].true


def test_who_looked_again_and_found_otherwise_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    add_entry(path, *true_entry(ALERT, "it was", NOW))
    said = say_false(path, ALERT, "it was not", None, NOW)
    assert said.startswith("rule added: ")
    assert "; mark added: " in said
    assert read_notes(path).of(ALERT).muted is not None
    assert "already" in say_false(path, ALERT, "it was not", None, NOW)
    add_entry(path, *true_entry(ALERT, "it was", NOW))
    assert read_notes(path).of(ALERT).muted is None
    assert "; " not in say_false(path, replace(ALERT, id="B" * 26), "why", "2026-12-31", NOW)


def test_a_false_alert_gives_the_narrowest_rule_that_its_counts_allow() -> None:
    section, entry = false_entry(ALERT, "why", None, NOW)
    assert (section, list(entry)) == (RULES, ["source", "destination", "service", "technique", "why", "alert"])
    sweep = an_alert(spread=replace(SPREAD, targets=200), technique=technique_of("T1046"))
    assert list(false_entry(sweep, "why", None, NOW)[1]) == ["source", "service", "technique", "why", "alert"]
    scan = an_alert(spread=replace(SPREAD, ports=900), technique=None)
    assert false_entry(scan, "why", None, NOW)[1]["technique"] == "unusual"
    assert "service" not in false_entry(scan, "why", None, NOW)[1]
    flood = an_alert(spread=replace(SPREAD, origins=900))
    assert "source" not in false_entry(flood, "why", None, NOW)[1]
    storm = an_alert(hosts_merged=30, spread=replace(SPREAD, targets=9))
    assert false_entry(storm, "why", None, NOW) == (
        MARKS, {"alert": storm.id, "finding": "false", "why": "why", "when": NOW},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="expected none"):
        false_entry(storm, "why", "2026-12-31", NOW)


LINES = (
    "# c\n", "home: 10.0.0.0/8\n", "rules:\n", "  - source: 10.0.0.1\n", "    why: x # y\n", "\n",
    "    until: 2026-12-31\n", "marks:\n", "  - destination: 10.0.0.2\n",
    "    why: >\n      x\n", "assets:\n", "  # d\n",
    "  - {source: 10.0.0.3, why: z}\n",
)  # fmt: skip


@examples(200)
@given(st.lists(st.sampled_from(LINES), max_size=12).map("".join), st.text(min_size=1, max_size=40))
def test_whatever_the_file_it_has_one_entry_more_or_is_as_it_was(text: str, why: str) -> None:
    section, entry = false_entry(ALERT, why, None, NOW)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "site.yaml"
        path.write_text(text)
        try:
            add_entry(path, section, entry)
        except ConfigError:
            assert path.read_text() == text
            return
        added = path.read_text()
    before, after = values_of_text(text, "site.yaml"), values_of_text(added, "site.yaml")
    assert after == {**before, section: [*(before.get(section) or []), {**entry, "why": " ".join(why.split())}]}
    lines = iter(added.splitlines())
    assert all(line in lines for line in text.splitlines())  # in their order


def test_mode_and_links_stay(tmp_path: Path) -> None:
    real, path = tmp_path / "real.yaml", tmp_path / "site.yaml"
    real.write_text("home: 10.0.0.0/8\n")
    real.chmod(0o664)
    path.symlink_to(real)
    mark(path)
    assert path.is_symlink()
    assert len(read_notes(real).rules) == 1
    assert stat.S_IMODE(real.stat().st_mode) == 0o664


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.site.writing.LONGEST_WAIT_S", 60.0)  # forty of them, on a slow machine
    path = tmp_path / "site.yaml"
    marks = [replace(ALERT, target_ports=(port,)) for port in range(1000, 1040)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda alert: add_entry(path, *false_entry(alert, "why", None, NOW)), marks))
    assert {rule.service.text for rule in read_notes(path).rules if rule.service} == {
        f"tcp/{port}" for port in range(1000, 1040)
    }


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from sensor.site.writing import add_entry, false_entry
from tests.support.alerts import an_alert
for port in range(1, 60000):
    add_entry(Path(sys.argv[1]), *false_entry(replace(an_alert(), target_ports=(port,)), "why", None, "2026-11-29"))
"""


def test_a_writer_that_is_killed_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("# ours\nrules:\n  - {source: 10.0.0.1, why: x}\n")
    for number in range(4):
        before = len(read_notes(path).rules)
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=Path(__file__).parents[3])
        deadline = time.monotonic() + 20
        while len(read_notes(path).rules) <= before + number and time.monotonic() < deadline:
            time.sleep(0.003)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        rules = read_notes(path).rules
        assert len(rules) > before
        assert [rule.service.text for rule in rules[1:] if rule.service] == [f"tcp/{n}" for n in range(1, len(rules))]
    left = [name for name in os.listdir(tmp_path) if name != "site.yaml"]
    assert len(left) <= 1  # as each writer removes what the one before it left
    assert all(name.startswith(".site.yaml.") and name.endswith(".part") for name in left)
    mark(path)  # what a killed writer left stops nobody, and goes
    assert os.listdir(tmp_path) == ["site.yaml"]
    assert path.read_text().startswith("# ours\n")


def test_a_change_by_an_editor_meanwhile_is_not_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("home: 10.0.0.0/8\n")
    sync = os.fsync

    def edited(descriptor: int) -> None:
        path.write_text("home: 192.168.0.0/16\n")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", edited)
    with pytest.raises(OutputError, match="changed by someone else meanwhile"):
        mark(path)
    assert path.read_text() == "home: 192.168.0.0/16\n"
    assert os.listdir(tmp_path) == ["site.yaml"]


def test_where_nothing_can_be_written_that_is_said(tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "site.yaml"
    assert why_not_writable(nowhere) == f"there is no directory {nowhere.parent}"
    with pytest.raises(OutputError, match="cannot be written: no such file"):
        mark(nowhere)
    assert why_not_writable(tmp_path / "site.yaml") == ""


def test_a_mark_from_a_screen_is_in_force_at_once(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("home: 10.0.0.0/8\n")
    taken_over: list[SiteNotes] = []
    marking = Marking(path, read_notes(path), taken_over.append, lambda: NOW)
    assert not marking.problem
    assert marking.notes.of(ALERT).muted is None
    assert "rule added" in marking.mark_false(marking.notes.of(ALERT), "ours")
    assert marking.notes.of(ALERT).muted is not None
    assert taken_over == [marking.notes]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has named pipes")
def test_nothing_is_added_to_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="is a pipe or a device"):
        mark(path)


def test_a_reason_of_several_lines_is_written_as_one(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    add_entry(path, *false_entry(ALERT, "the nightly\n\tjob ", None, NOW))
    assert read_notes(path).rules[0].why == "the nightly job"


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_who_holds_the_lock_of_the_directory_does_not_make_a_screen_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr("sensor.site.writing.LONGEST_WAIT_S", 0.05)
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        with pytest.raises(OutputError, match="another process has held its lock"):
            mark(tmp_path / "site.yaml")
    finally:
        os.close(held)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has named pipes")
def test_what_has_a_name_of_the_new_file_is_written_to_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    os.mkfifo(tmp_path / f".site.yaml.{'a' * 16}.part")
    os.link(tmp_path / "theirs", tmp_path / ".site.yaml.new")
    (tmp_path / f".site.yaml.{'b' * 16}.part").symlink_to(tmp_path / "theirs")
    mark(tmp_path / "site.yaml")
    assert len(read_notes(tmp_path / "site.yaml").rules) == 1
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_where_the_disk_is_full_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "site.yaml"
    path.write_text("home: 10.0.0.0/8\n")
    monkeypatch.setattr("sensor.site.writing.os.fsync", full)
    with pytest.raises(OutputError, match="cannot be written: no space left"):
        mark(path)
    assert (list(tmp_path.iterdir()), path.read_text()) == ([path], "home: 10.0.0.0/8\n")
