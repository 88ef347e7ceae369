"""`flowvigil check` without interfaces: what each check finds, in which order, and what it leaves alone."""

import json
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sensor.checks.memory import memory
from sensor.cli.build import build_meter, build_packet_recorder
from sensor.errors import ConfigError
from sensor.packets.directory import PacketDirectory
from sensor.settings.config import Config
from tests.support.command import Result, flowvigil
from tests.support.posts import hooks, postbox

pytestmark = [pytest.mark.ux, pytest.mark.takes(12)]

NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
HOSTILE = "no\x1b[31m\nsuch\u202e"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: without it there is no capability to find")


def findings(result: Result) -> dict[str, dict[str, Any]]:
    """What was found, by the name of the check, in order; the last one is of all."""
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len({finding["check"] for finding in found}) == len(found)
    return {finding["check"]: finding for finding in found}


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def wrong(taken_port: int, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Nearly everything is wrong."""
    nowhere = tmp_path_factory.mktemp("wrong") / "absent"
    options: list[str | Path] = [
        "-m",
        "nosuch",
        "-i",
        HOSTILE,
        "--filter",
        "tcp prt 1",
        "-o",
        nowhere / "alerts",
        "--write",
        nowhere / "p",
    ]
    settings = ["--set", f"stats.metrics_port={taken_port}", "--set", "capture.ring_block_bytes=67108864"]
    return flowvigil("check", "--json", *options, *settings, "--set", "capture.ring_blocks=4096")


@pytest.fixture
def directory() -> Iterator[Path]:
    """Everybody may make files in it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_each_cause_has_its_exit_code_and_the_first_one_decides(wrong: Result) -> None:
    found = findings(wrong)
    codes = {name: finding["exit_code"] for name, finding in found.items() if finding["status"] == "failed"}
    expected = {"bundle": 4, "interface": 5, "filter": 3, "ring": 5, "output": 7, "packets": 7, "metrics": 3}
    if os.geteuid() != 0:  # no ring can be tried without the capability
        expected = {name: code for name, code in expected.items() if name != "ring"} | {"capability": 5}
    assert codes == expected | {"all": 4}
    assert wrong.code == 4


def test_every_check_is_made_whatever_the_others_found(wrong: Result) -> None:
    names = [
        "settings",
        "extras",
        "user",
        "site",
        "geoip",
        "kernel cache",
        "bundle",
        "memory",
        "drift",
        "capability",
        "interface",
        "filter",
        "ring",
        "offloads",
    ]
    names += ["output", "outputs", "packets", "kept packets", "flow log", "attach", "metrics", "speed", "all"]
    assert list(findings(wrong)) == names
    assert findings(wrong)["speed"]["status"] == findings(wrong)["offloads"]["status"] == "skipped"


def test_a_filter_that_is_wrong_is_shown_with_the_place(wrong: Result) -> None:
    assert findings(wrong)["filter"]["detail"] == ["tcp prt 1", "    ^"]


def test_a_ring_larger_than_the_memory_ends_no_process(wrong: Result) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    assert "capture.ring_blocks" in findings(wrong)["ring"]["message"]


def test_where_the_settings_are_wrong_nothing_else_is_looked_at() -> None:
    result = flowvigil("check", "--json", "--set", "capture.rng=1")
    assert list(findings(result)) == ["settings", "all"]
    assert (result.code, findings(result)["all"]["exit_code"]) == (3, 3)


def test_hostile_names_are_shown_escaped_and_on_one_line() -> None:
    result = flowvigil("check", "--quiet", "-i", HOSTILE, "-m", HOSTILE)
    assert result.code == 4
    lines = [line for line in result.stderr if line.startswith("failed   interface")]
    assert len(lines) == 1
    assert lines[0].startswith("failed   interface     no\\x1b[31m such\\u202e: no such interface")
    assert all(line.isprintable() for line in result.stderr)


def test_the_measurement_is_plausible_and_no_file_is_left(directory: Path) -> None:
    alerts = directory / "alerts.jsonl"
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        port = held.getsockname()[1]
    result = flowvigil(
        "check", "--json", "-o", alerts, "--write", directory / "kept", "--set", f"stats.metrics_port={port}"
    )
    found = findings(result)
    assert result.stdout.isascii()
    assert [found[name]["status"] for name in ("speed", "output", "packets", "metrics")] == ["ok"] * 4
    per_s = re.match(r"([\d,]+) packets/s", found["speed"]["message"])
    assert per_s
    assert 10_000 < int(per_s[1].replace(",", "")) < 10_000_000
    assert list(directory.iterdir()) == []
    if os.geteuid() == 0:
        assert (result.code, found["all"]) == (0, {"check": "all", "status": "ok", "exit_code": 0})


@needs_root
def test_files_in_turn_need_a_directory_of_the_process_user(directory: Path) -> None:
    own = directory / "roots"
    own.mkdir(mode=0o755)
    found = []
    for place in (directory, own):
        options = ("--write", place / "kept.pcapng", "-C", "1", "--set", "process.user=nobody")
        found.append(findings(flowvigil("check", "--json", "-q", *options)))
    assert "packets" not in found[0]  # only failures are told
    assert found[1]["packets"]["exit_code"] == 7
    assert (
        "kept_00001.pcapng: permission denied, expected a directory in which its user" in found[1]["packets"]["message"]
    )
    assert [path.name for path in (*directory.iterdir(), *own.iterdir())] == ["roots"]


def test_files_that_are_there_stay_as_they_are(directory: Path) -> None:
    alerts, kept = directory / "alerts.jsonl", directory / "kept.pcapng"
    for path in (alerts, kept):
        path.write_text("before\n")
        os.utime(path, (1, 1))
    flowvigil("check", "--quiet", "-o", alerts, "--write", kept)
    assert [path.read_text() for path in (alerts, kept)] == ["before\n"] * 2
    assert [path.stat().st_mtime for path in (alerts, kept)] == [1, 1]


@needs_root
@pytest.mark.parametrize("json_", [(), ("--json",)])
@pytest.mark.real_start
def test_quiet_says_nothing_when_all_is_well(json_: tuple[str, ...]) -> None:
    result = flowvigil("check", "--quiet", *json_)
    assert (result.code, result.stdout, result.stderr) == (0, b"", [])


def test_quiet_tells_failures_on_stderr_which_a_service_does_not_lose() -> None:
    result = flowvigil("check", "--quiet", "-m", "nosuch")
    assert (result.code, result.stdout) == (4, b"")
    assert [line.split()[:2] for line in result.stderr if "bundle" in line] == [["failed", "bundle"]]


def test_a_pipe_without_a_reader_is_told_and_not_waited_for(directory: Path) -> None:
    os.mkfifo(directory / "pipe")
    found = findings(flowvigil("check", "--json", "-m", "nosuch", "-o", directory / "pipe"))
    assert found["output"]["status"] == "warning"
    assert "waits for its reader" in found["output"]["message"]


def of_directories(kept: Path, log: Path) -> list[tuple[Any, ...]]:
    """What was found of the directories of kept packets and of the flow log: status, exit code and message."""
    found = findings(flowvigil("check", "--json", "-m", "nosuch", "--keep-packets", kept, "--flows", log))
    names = ("kept packets", "flow log")
    return [(found[name]["status"], found[name].get("exit_code"), found[name]["message"]) for name in names]


def test_directories_are_tried_as_a_watch_would_and_left_as_they_were(directory: Path) -> None:
    there, file = directory / "there", directory / "file"
    there.mkdir(mode=0o777)
    there.chmod(0o777)
    file.touch()
    assert of_directories(there, there / "new" / "log") == [
        ("ok", None, f"{there}: can be written to"),
        ("ok", None, f"{there / 'new' / 'log'}: can be made"),
    ]
    with closing(PacketDirectory(there, 1 << 20)):
        assert of_directories(there, file / "log") == [
            (
                "failed",
                7,
                f"packets cannot be kept in {there}: used by another process of flowvigil, "
                "expected a directory of its own",
            ),
            ("failed", 7, f"flows cannot be kept in {file / 'log'}: {file} is no directory"),
        ]
    there.chmod(0o755)
    if os.geteuid() == 0:
        told = "once its privileges have gone, the sensor may not write to"
        assert all(told in message for _, _, message in of_directories(there, there))
    assert sorted(path.name for path in directory.rglob("*")) == ["file", "there"]


def test_memory_that_the_system_does_not_give_is_a_fault_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_sizes: object, **_others: object) -> None:
        raise MemoryError

    monkeypatch.setattr("flows.meter.Meter", none)
    monkeypatch.setattr("sensor.packets.ring.PacketRing", none)
    config = Config.model_validate({"keep_packets": {"directory": tmp_path}})
    context: Any = SimpleNamespace(config=config, new_meter=lambda _config: None)
    with pytest.raises(ConfigError, match=r"^keep_packets\.memory_bytes: found no memory"):
        memory(context)
    with ExitStack() as stack, pytest.raises(ConfigError, match=r"^keep_packets\.memory_bytes: found no memory"):
        build_packet_recorder(stack, config)
    with pytest.raises(ConfigError, match=r"^meter\.capacity_flows: found no memory"):
        build_meter(config)


@needs_root
def test_a_file_that_cannot_be_opened_again_without_privileges_is_told(directory: Path) -> None:
    roots = directory / "roots"
    roots.mkdir(mode=0o755)
    theirs = directory / "theirs.jsonl"
    theirs.touch(mode=0o600)
    for path in (roots / "alerts", theirs):
        found = findings(flowvigil("check", "--json", "-m", "nosuch", "-o", path, SUDO_UID="", SUDO_GID=""))
        assert found["output"]["status"] == "warning"
        assert "not opened again" in found["output"]["message"]
    assert list(roots.iterdir()) == []


@needs_root
def test_a_link_to_nothing_fails_where_the_file_would_be_given_away(directory: Path) -> None:
    (directory / "link").symlink_to(directory / "nothing")
    result = flowvigil("check", "--json", "-m", "nosuch", "-o", directory / "link")
    assert findings(result)["output"]["exit_code"] == 7
    assert not (directory / "nothing").exists()


@needs_root
def test_a_link_of_a_users_is_followed_no_further_than_a_watch_does(directory: Path) -> None:
    roots, theirs = directory / "roots", directory / "theirs"
    roots.mkdir(mode=0o700)
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    os.chown(roots, 0, 0)
    (theirs / "link").symlink_to(roots)
    (roots / "there").touch()
    for name in ("new", "there"):
        found = findings(flowvigil("check", "--json", "-m", "nosuch", "-o", theirs / "link" / name))
        assert found["output"]["exit_code"] == 7
        assert "a link of others, which root does not follow" in found["output"]["message"]
    assert os.listdir(roots) == ["there"]


@needs_root
def test_a_port_that_only_root_may_take_is_no_port_of_the_sensors() -> None:
    found = findings(flowvigil("check", "--json", "-m", "nosuch", "--set", "stats.metrics_port=81"))
    assert found["metrics"]["exit_code"] == 3
    assert "permission denied" in found["metrics"]["message"]


@needs_root
def test_root_that_may_not_become_another_user_is_told_so() -> None:
    result = flowvigil("check", "--quiet", prefix=("setpriv", "--bounding-set", "-setuid,-setgid"))
    assert result.code == 3
    assert result.stderr[0].startswith("failed   user          cannot become user")


@needs_root
def test_kernels_that_root_has_compiled_do_not_stop_another_user(directory: Path) -> None:
    (directory / "flows_0").mkdir(mode=0o755)  # numba makes one for each room
    found = findings(flowvigil("check", "--json", "-m", "nosuch", prefix=NOBODY, NUMBA_CACHE_DIR=str(directory)))
    assert found["kernel cache"]["status"] == "warning"
    assert "another user" in found["kernel cache"]["message"]
    assert found["bundle"]["exit_code"] == 4


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--set", "capture.rng=1"], 3),
        (["-m", "nosuch"], 4),
        (["--write", "kept", "--set", "capture.workers=2"], 3),
        (["--write", "same", "-o", "same"], 7),
        (["--keep-packets", "kept", "--set", "capture.workers=2"], 3),
        pytest.param(["--set", "process.user=zorro"], 3, marks=needs_root),
    ],
)
def test_watch_stops_with_the_same_exit_code_before_it_comes_to_the_interface(options: list[str], code: int) -> None:
    assert [flowvigil(command, "-q", "-i", "nosuch", *options).code for command in ("check", "watch")] == [code, code]


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # of the test's server
def test_messages_are_tried_with_their_secret_and_none_is_sent(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("correct horse\n")
    secret.chmod(0o644)
    settings = tmp_path / "settings.yaml"
    with postbox(None, b"correct horse") as box, hooks() as server:
        settings.write_text(
            f"outputs:\n- {{type: webhook, url: '{server.url}'}}\n- {{type: mail, host: 127.0.0.1, port: {box.port}, "
            f"security: none, user: ids, secret_file: {secret}, sender: a@example.net, recipients: b@example.net}}\n"
        )
        open_to_all = findings(flowvigil("check", "--json", "-c", settings))["outputs"]
        secret.chmod(0o600)
        well = findings(flowvigil("check", "--json", "-c", settings))["outputs"]
        secret.write_text("wrong")
        wrong = findings(flowvigil("check", "--json", "-c", settings))["outputs"]
        assert (box.taken, server.taken) == ([], [])
        assert {password for _, password in box.logins} == {b"correct horse", b"wrong"}  # it tries two ways of AUTH
    assert open_to_all["status"] == "warning"
    assert "everybody may read its secret" in open_to_all["message"]
    assert well["status"] == "ok"
    assert "answers 535" in wrong["message"]
    secret.unlink()
    missing = findings(flowvigil("check", "--json", "-c", settings))["outputs"]
    assert (missing["status"], "password: no such file" in missing["message"]) == ("failed", True)
