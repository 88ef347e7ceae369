"""`flowvigil read` as a user meets it: the real command in its own process, its lines, its words, its exit codes."""

import fcntl
import gzip
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import zipfile
from array import array
from pathlib import Path

import numpy as np
import pytest

from flows.columns import NAMES, feature_contract
from sensor.packets.pcapng import create_capture
from sensor.sources.captures.files import open_capture
from sensor.synth.generate import DEMO_MINUTES, DEMO_SEED, SCENARIOS, generate
from sensor.version import VERSION
from tests.support.command import DEMO, FLOWVIGIL, Result, alerts_of, ended, flowvigil, started, surroundings

pytestmark = [pytest.mark.ux, pytest.mark.takes(20)]

PCAP_HEADER, RECORD_HEADER = 24, 16
CIC2017 = Path(__file__).resolve().parents[3] / "models" / "pretrained" / "cic2017"  # one without context


@pytest.fixture(scope="module")
def demo() -> Result:
    """The demo's capture, read as it is."""
    return flowvigil("read", DEMO)


@pytest.fixture(scope="module")
def unpacked() -> bytes:
    """The demo's capture without compression."""
    return gzip.decompress(DEMO.read_bytes())


@pytest.fixture(scope="module")
def halves(unpacked: bytes, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The demo's capture in two files, the earlier first."""
    at = PCAP_HEADER
    while at < len(unpacked) // 2:
        at += RECORD_HEADER + struct.unpack_from("<I", unpacked, at + 8)[0]
    directory = tmp_path_factory.mktemp("halves")
    first, second = directory / "z-first.pcap", directory / "a-second.pcap"
    first.write_bytes(unpacked[:at])
    second.write_bytes(unpacked[:PCAP_HEADER] + unpacked[at:])
    return first, second


@pytest.fixture(scope="module")
def quiet_capture(unpacked: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture in which nothing happens: the demo's first packets."""
    at = PCAP_HEADER
    for _ in range(50):
        at += RECORD_HEADER + struct.unpack_from("<I", unpacked, at + 8)[0]
    path = tmp_path_factory.mktemp("quiet") / "quiet.pcap"
    path.write_bytes(unpacked[:at])
    return path


def refusal(result: Result, code: int) -> str:
    """The one line of a command that stopped before it had anything to say."""
    assert result.code == code, result
    assert result.stdout == b""
    assert len(result.stderr) == 1, result.stderr
    assert result.stderr[0].startswith("flowvigil: ")
    return result.stderr[0].removeprefix("flowvigil: ")


# What it finds and how it tells it


def test_the_demos_alerts_name_its_four_attackers_and_nobody_else(demo: Result) -> None:
    truth = generate(SCENARIOS, DEMO_SEED, DEMO_MINUTES).truth
    attackers = {flow.initiator for flow in truth if flow.attack}
    assert len(attackers) == 4
    assert {alert["source"]["ip"] for alert in alerts_of(demo.stdout)} == attackers
    assert demo.code == 0


def test_every_line_is_json_of_at_most_8_kib_and_numbered_without_gaps(demo: Result) -> None:
    lines = demo.stdout.splitlines(keepends=True)
    assert all(len(line) <= 8192 and line.endswith(b"\n") for line in lines)
    sequence = [json.loads(line)["event"]["sequence"] for line in lines]
    assert sequence == list(range(sequence[0], sequence[0] + len(lines)))


def test_each_alert_is_opened_once_and_closed_once(demo: Result) -> None:
    alerts = alerts_of(demo.stdout)
    for action in ("opened", "closed"):
        ids = [alert["event"]["id"] for alert in alerts if alert["event"]["action"] == action]
        assert sorted(ids) == sorted({alert["event"]["id"] for alert in alerts})


def test_into_a_pipe_there_is_json_on_stdout_and_a_summary_line_on_stderr(demo: Result) -> None:
    assert len(demo.stderr) == 1
    assert re.match(r"flowvigil: read demo\.pcap\.gz: 32,858 packets, [\d,]+ flows, 4 attack and ", demo.stderr[0])


def test_quiet_says_nothing_but_alerts(demo: Result) -> None:
    result = flowvigil("read", "--quiet", DEMO)
    assert (result.code, result.stderr) == (0, [])
    assert result.stdout == demo.stdout


def test_a_capture_without_attacks_gives_no_lines(quiet_capture: Path) -> None:
    result = flowvigil("read", quiet_capture)
    assert (result.code, result.stdout) == (0, b"")


# The same packets, the same bytes


@pytest.mark.real_start
def test_reading_twice_gives_the_same_bytes(demo: Result) -> None:
    assert flowvigil("read", DEMO).stdout == demo.stdout


@pytest.mark.real_start
def test_a_pipe_gives_the_same_bytes(demo: Result) -> None:
    result = flowvigil("read", "-", stdin=DEMO.read_bytes())
    assert (result.code, result.stdout) == (0, demo.stdout)


def test_without_gzip_the_bytes_are_the_same(demo: Result, unpacked: bytes, tmp_path: Path) -> None:
    (tmp_path / "demo.pcap").write_bytes(unpacked)
    assert flowvigil("read", tmp_path / "demo.pcap").stdout == demo.stdout


def test_as_pcapng_the_bytes_are_the_same(demo: Result, tmp_path: Path) -> None:
    writer = create_capture(tmp_path / "demo.pcapng")
    interface = writer.add_interface("made", 1)
    for block in open_capture(DEMO):
        writer.write(block, np.full(len(block), interface))
    writer.close()
    result = flowvigil("read", tmp_path / "demo.pcapng")
    assert (result.code, result.stdout) == (0, demo.stdout)


@pytest.mark.parametrize("turn", [1, -1], ids=["in order", "backwards"])
def test_several_captures_are_read_in_the_order_of_their_packets(
    demo: Result, halves: tuple[Path, Path], turn: int
) -> None:
    assert flowvigil("read", *halves[::turn]).stdout == demo.stdout


def test_an_output_file_gets_what_stdout_gets_and_is_appended_to(demo: Result, tmp_path: Path) -> None:
    output = tmp_path / "alerts.jsonl"
    assert flowvigil("read", DEMO, "-o", output).stdout == demo.stdout
    assert output.read_bytes() == demo.stdout
    flowvigil("read", DEMO, "-o", output)
    assert output.read_bytes() == 2 * demo.stdout


# Input that is not as it should be


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    line = refusal(flowvigil("read", tmp_path / "gone.pcap"), 6)
    assert line == f"{tmp_path}/gone.pcap: found no such file, expected a pcap or pcapng capture"


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("capture.pcap", b"inside")
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"# a note\n", "a text file"),
        (zipped(), "a zip archive"),
        (gzip.compress(b"# a note\n"), "gzip of a text file"),
        (b"\xd4\xc3\xb2\xa1\x02\0", "a pcap header cut short after 6 of 24 bytes"),
    ],
    ids=["empty", "text", "zip", "gzip of text", "cut inside the header"],
)
def test_what_is_no_capture_is_called_what_it_is(content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(content)
    assert f"input: found {found}" in refusal(flowvigil("read", tmp_path / "input"), 6)
    assert f"-: found {found}" in refusal(flowvigil("read", "-", stdin=content), 6)


def test_a_directory_without_captures_is_refused(tmp_path: Path) -> None:
    assert "found a directory without captures, expected" in refusal(flowvigil("read", tmp_path), 6)


def test_every_damaged_capture_is_named_and_what_was_skipped(tmp_path: Path, unpacked: bytes) -> None:
    names = [tmp_path / f"{'long-name-' * 6}{number}.pcap" for number in range(12)]
    for name in names:
        name.write_bytes(unpacked[:2003])
    for number in range(5):
        (tmp_path / f"notes{number}.txt").write_text("about")
    result = flowvigil("read", tmp_path)
    assert result.code == 6
    for name in names:
        assert any(f"{name}: truncated: " in line for line in result.stderr)
    (skipped,) = [line for line in result.stderr if "no capture" in line]
    assert f"skipped 5, no capture: {tmp_path}/notes0.txt, " in skipped
    assert skipped.endswith(" and 2 more")


@pytest.mark.parametrize(("command", "log_format"), [("read", "text"), ("flows", "json")])
def test_captures_none_of_which_can_be_read_have_a_line_each(command: str, log_format: str, tmp_path: Path) -> None:
    """As where some can be read: a line for each, up to a bound, and one with how many more."""
    names = [tmp_path / f"{number:04}.pcap" for number in range(1_003)]
    for name in names:
        name.write_bytes(b"\xd4\xc3\xb2\xa1 cut")
    result = flowvigil("--log-format", log_format, command, *names)
    assert result.code == 6
    assert len(result.stderr) == 1_001
    if log_format == "json":
        told = [json.loads(line) for line in result.stderr]
        assert told[-1]["process"]["exit_code"] == 6
        lines = [document["message"] for document in told]
    else:
        lines = [line.removeprefix("flowvigil: ") for line in result.stderr]
    assert [line.partition(":")[0] for line in lines[:-1]] == [str(name) for name in names[:1000]]
    assert lines[-1] == "and 3 more problems"


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_truncated_capture_is_reported_up_to_where_it_ends(packed: bool, unpacked: bytes, tmp_path: Path) -> None:
    content = DEMO.read_bytes() if packed else unpacked
    (tmp_path / "cut").write_bytes(content[: len(content) // 2 + 5])
    result = flowvigil("read", tmp_path / "cut")
    assert result.code == 6
    assert "203.0.113.45" in {alert["source"]["ip"] for alert in alerts_of(result.stdout)}
    assert len(result.stderr) == 2
    assert re.search(r": 1\d,\d{3} packets", result.stderr[0])
    assert f"{tmp_path}/cut: truncated: " in result.stderr[1]


def test_what_cannot_be_read_does_not_keep_the_rest_from_being_read(
    demo: Result, halves: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("notes\n")
    result = flowvigil("read", tmp_path / "gone.pcap", *halves, tmp_path / "notes.txt")
    assert (result.code, result.stdout) == (6, demo.stdout)
    assert any("gone.pcap: found no such file" in line for line in result.stderr[-2:])
    assert "notes.txt: found a text file" in result.stderr[-1]


@pytest.mark.parametrize("quiet", [(), ("--quiet",)], ids=["summary", "quiet"])
def test_a_hostile_file_name_reaches_the_terminal_only_escaped(
    quiet: tuple[str, ...], unpacked: bytes, tmp_path: Path
) -> None:
    damaged = tmp_path / "\x1b[31mred\n[bold]\u202ename\udcff"
    damaged.write_bytes(unpacked[:100_003])
    for path, code in ((damaged, 6), (tmp_path / "gone\x1b[2J\n\udcfe", 6)):
        result = flowvigil("read", *quiet, path)
        assert result.code == code
        assert all(line.startswith("flowvigil: ") and line.isprintable() for line in result.stderr)
        assert "\\x1b[" in result.stderr[-1]


# Settings and models


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "meter:\n  idle_timout_s: 5\n",
            ':2:3: unknown setting "meter.idle_timout_s", did you mean "meter.idle_timeout_s"?',
        ),
        ("meter: [1,\n", ":2:1: "),
        ("meter:\n  idle_timeout_s: soon\n", ":2:19: meter.idle_timeout_s is 'soon': "),
    ],
    ids=["unknown key", "bad YAML", "bad value"],
)
def test_a_bad_config_is_named_with_line_and_column(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    line = refusal(flowvigil("read", DEMO, "-c", tmp_path / "config.yaml"), 3)
    assert line.startswith(f"{tmp_path}/config.yaml{expected}")


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    assert "gone.yaml: no such file" in refusal(flowvigil("read", DEMO, "-c", tmp_path / "gone.yaml"), 3)


def test_a_bad_setting_on_the_command_line_or_in_the_environment_says_where_it_stands() -> None:
    assert "--set meter.idle=5: unknown setting" in refusal(flowvigil("read", DEMO, "--set", "meter.idle=5"), 3)
    result = flowvigil("read", DEMO, FLOWVIGIL__METER__IDLE="5")
    assert "environment variable FLOWVIGIL__METER__IDLE: unknown setting" in refusal(result, 3)


def test_a_setting_has_its_effect(quiet_capture: Path) -> None:
    split = flowvigil("read", quiet_capture, "--set", "meter.idle_timeout_s=0.001", "--set", "episodes.quiet_s=1")
    whole = flowvigil("read", quiet_capture)
    flows = [int(re.search(r"packets, ([\d,]+) flows", result.stderr[0])[1]) for result in (split, whole)]
    assert flows[0] > flows[1]


def test_a_bundle_with_a_changed_byte_is_refused(tmp_path: Path) -> None:
    shutil.copytree(CIC2017, tmp_path / "bundle")
    weights = bytearray((tmp_path / "bundle" / "weights.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (tmp_path / "bundle" / "weights.safetensors").write_bytes(weights)
    line = refusal(flowvigil("read", DEMO, "-m", tmp_path / "bundle"), 4)
    assert re.search(r"weights\.safetensors has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}$", line)


def test_a_bundle_of_another_feature_contract_is_refused_by_name(tmp_path: Path) -> None:
    shutil.copytree(CIC2017, tmp_path / "bundle")
    manifest = tmp_path / "bundle" / "manifest.json"
    text = manifest.read_text()
    digest = json.loads(text)["feature_contract"]["fwd_bytes"]
    manifest.write_text(text.replace(digest, "00000000"))
    line = refusal(flowvigil("read", DEMO, "-m", tmp_path / "bundle"), 4)
    assert f"column 'fwd_bytes' has another unit or definition here ({digest})" in line
    assert "00000000" in line


def former(bundle: Path) -> Path:
    """A shipped bundle as its format 1 had it, in this directory."""
    shutil.copytree(CIC2017, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text())
    used = {entry["column"]: entry for entry in manifest["normal"]}
    unused = dict.fromkeys(("p01", "median", "p99", "p999"), 0.0)
    manifest["normal"] = [used.get(name, {"column": name, **unused}) for name in NAMES]
    manifest |= {"format": "flowvigil-bundle/1", "feature_contract": feature_contract().former}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def test_a_bundle_of_format_1_gives_the_same_alerts(tmp_path: Path) -> None:
    same = flowvigil("read", DEMO, "-m", "cic2017")
    assert same.code == 0
    assert flowvigil("read", DEMO, "-m", former(tmp_path / "cic2017")).stdout == same.stdout


def test_a_bundle_of_format_1_for_other_columns_is_refused(tmp_path: Path) -> None:
    manifest = former(tmp_path / "bundle") / "manifest.json"
    manifest.write_text(manifest.read_text().replace(feature_contract().former, "0" * 16))
    line = refusal(flowvigil("read", DEMO, "-m", tmp_path / "bundle"), 4)
    assert f"fitted on feature contract '{'0' * 16}', expected '{feature_contract().former}'" in line


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "bundle" in refusal(flowvigil("read", DEMO, "-m", tmp_path / "gone"), 4)


def test_the_default_bundle_can_be_named(demo: Result) -> None:
    assert flowvigil("read", DEMO, "-m", "default").stdout == demo.stdout


def test_another_shipped_bundle_is_taken_by_its_name(demo: Result) -> None:
    by_name = flowvigil("read", DEMO, "-m", "cic2017")
    assert {alert["flowvigil"]["model"]["id"] for alert in alerts_of(by_name.stdout)} == {"cic2017"}
    assert {alert["flowvigil"]["model"]["id"] for alert in alerts_of(demo.stdout)} == {"default"}


# Outputs


def test_an_output_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    assert "gone/alerts.jsonl: cannot be opened" in refusal(
        flowvigil("read", DEMO, "-o", tmp_path / "gone" / "alerts.jsonl"), 7
    )


def test_a_full_output_is_named_and_the_others_still_get_what_was_found(demo: Result) -> None:
    result = flowvigil("read", DEMO, "-o", "/dev/full")
    assert result.code == 7
    told = alerts_of(result.stdout)  # with a line about the output itself, where that failed before the run was over
    assert result.stderr[-1] == f"flowvigil: /dev/full: no space left, after no whole lines, {len(told)} lost"
    assert told[0] == alerts_of(demo.stdout)[0]
    assert [line["event"]["action"] for line in told if line["event"]["kind"] == "alert"][-1] == "closed"


@pytest.mark.real_start
def test_a_reader_that_has_seen_enough_ends_it_quietly() -> None:
    run = started("read", DEMO)
    assert run.stdin is not None
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    run.stdin.close()
    errors = run.stderr.read()
    assert (run.wait(60), errors) == (141, b"")
    run.stderr.close()


def test_help_into_a_closed_pipe_ends_quietly() -> None:
    script = f"{sys.executable} -c '{FLOWVIGIL[2]}' read --help | true; echo ${{PIPESTATUS[0]}} >&2"
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stderr.strip() in ("141", "0")  # 0 when all was written before the reader went


def test_closed_streams_do_no_harm(demo: Result, tmp_path: Path) -> None:
    output = tmp_path / "alerts.jsonl"
    script = f"{sys.executable} -c '{FLOWVIGIL[2]}' read {DEMO} -o {output} >&- 2>&-"
    run = subprocess.run(["bash", "-c", script], env=surroundings(), timeout=60, check=False)
    assert run.returncode == 0
    assert output.read_bytes() == demo.stdout


# The command line itself


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("read", "--nonsense", "x"), "found --nonsense, which is no option of read"),
        (("raed",), "found 'raed', which is no command, did you mean read?"),
        (("read",), "read needs CAPTURE"),
        (("read", "--color", "blue", "x"), "--color: found 'blue', expected one of 'auto', 'always', 'never'"),
        (("read", "x", "-o", "-"), "-o or --output: found -, expected a file: JSONL goes to stdout by itself"),
        (("watch",), "watch needs -i or --interface"),
    ],
    ids=["option", "command", "no capture", "colour", "hyphen", "no interface"],
)
def test_a_wrong_command_line_is_one_line_that_says_where_help_is(arguments: tuple[str, ...], said: str) -> None:
    line = refusal(flowvigil(*arguments), 2)
    assert said in line
    assert re.search(r"\(see .+ --help\)$", line)


def test_help_shows_the_commands_and_each_commands_help_shows_examples() -> None:
    overview = flowvigil("--help").stdout.decode()
    for command in ("read", "watch", "train"):
        assert re.search(rf"^  {command} ", overview, re.MULTILINE)
        page = flowvigil(command, "--help")
        assert page.code == 0
        assert re.search(rf"^  (sudo )?flowvigil {command} \S", page.stdout.decode(), re.MULTILINE)


def test_the_version_is_told() -> None:
    result = flowvigil("--version")
    assert (result.code, result.stdout.decode()) == (0, f"flowvigil {VERSION}\n")


def test_reading_loads_no_package_that_only_other_commands_need() -> None:
    foreign = ("tensorflow", "keras", "sklearn", "scipy.linalg", "scapy", "polars", "matplotlib", "flask", "training")
    program = f"""
import sys
import tempfile
sys.argv = ["flowvigil", "read", "--quiet", {str(DEMO)!r}]
import sensor.cli
try:
    sensor.cli.main()
finally:
    print([name for name in {foreign!r} if name in sys.modules], file=sys.stderr)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env=surroundings(), timeout=120, check=True
    )
    assert run.stderr == b"[]\n"


# Interfaces that cannot be watched


def test_an_interface_that_does_not_exist_is_named_beside_those_that_do() -> None:
    line = refusal(flowvigil("watch", "-i", "nowhere0"), 5)
    assert line.startswith("nowhere0: no such interface, expected one of ")
    assert "lo" in line


def test_watching_without_permission_says_what_would_give_it() -> None:
    prefix = ("setpriv", "--bounding-set", "-net_raw") if os.geteuid() == 0 else ()
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"setpriv does not work here: {error}")
    line = refusal(flowvigil("watch", "-i", "lo", prefix=prefix), 5)
    assert "no permission to capture, which needs CAP_NET_RAW" in line


def test_a_capture_of_an_earlier_run_is_never_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcapng"
    kept.write_bytes(b"old")
    assert str(kept) in refusal(flowvigil("watch", "-i", "nowhere0", "--write", kept), 7)
    assert kept.read_bytes() == b"old"
    refusal(flowvigil("watch", "-i", "nowhere0", "--write", tmp_path / "new.pcapng"), 5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-C 0", "--write-size: found 0, expected 0.01 to 1,000,000,000 millions of bytes"),
        ("-C 1e30", "--write-size: found 1e+30, expected"),
        ("-C nan", "--write-size: found nan, expected"),
        ("-C -inf", "--write-size: found -inf, expected"),
        ("-G 0", "-G or --write-every"),
        ("-G 1e30", "-G or --write-every"),
        ("-G 1 -W 0", "-W or --write-files"),
        ("-W 3", "--write-files: expected --write-size or --write-every beside it"),
    ],
)
def test_a_rotation_that_makes_no_sense_is_a_usage_error(tmp_path: Path, options: str, words: str) -> None:
    for command in ("watch", "check"):
        assert words in refusal(flowvigil(command, "-i", "lo", "--write", tmp_path / "a", *options.split()), 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--write-size", "--write-every", "--write-files"])
def test_a_rotation_of_no_file_is_a_usage_error(option: str) -> None:
    assert f"{option}: expected --write FILE beside it" in refusal(flowvigil("watch", "-i", "lo", option, "3"), 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pipe", "found a pipe, device or directory"),
        ("", "found a pipe, device or directory"),
        ("%D", "found a pattern that gives"),
        ("%Y/a.pcapng", "found a pattern in the directory"),
        ("nosuch/a.pcapng", "there is no directory"),
        ("a" * 252, "file name too long"),
    ],
)
def test_a_name_that_cannot_be_rotated_is_refused(name: str, words: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        os.mkfifo(Path(directory) / "pipe")
        result = flowvigil("watch", "-i", "nowhere0", "--write", Path(directory) / name, "-G", "1")
        assert words in refusal(result, 7)
        assert os.listdir(directory) == ["pipe"]


def test_beside_a_capture_of_an_earlier_run_a_rotation_goes_on_with_a_number() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        kept = Path(directory) / "kept.pcapng"
        kept.write_bytes(b"old")
        refusal(flowvigil("watch", "-i", "nowhere0", "--write", kept, "-C", "1"), 5)
        assert kept.read_bytes() == b"old"


# Interrupted


def test_an_interrupt_ends_a_read_with_what_was_found_so_far(demo: Result, unpacked: bytes) -> None:
    with started("read", "-") as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write(unpacked[: len(unpacked) // 2])
        run.stdin.flush()  # and nothing more comes: the sensor waits for the rest
        first = run.stdout.readline()
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        before = time.monotonic()
        rest, errors = run.communicate(timeout=30)
    assert time.monotonic() - before < 15
    result = ended(run.returncode, first + rest, errors)
    assert result.code == 130
    assert first == demo.stdout.splitlines(keepends=True)[0]
    assert alerts_of(result.stdout)[-1]["event"]["action"] == "closed"
    assert result.stderr[-1] == "flowvigil: stopped by the user before the end of the input"


@pytest.mark.real_start
def test_an_interrupt_ends_a_read_that_has_got_nothing_yet(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with started("read", fifo) as run:
        time.sleep(2)
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert ended(run.returncode, b"", errors).code == 130


def wait_for_the_reader(run: "subprocess.Popen[bytes]") -> None:
    """Read nothing until the command has written what a small pipe holds and waits for its reader."""
    assert run.stdout is not None
    fcntl.fcntl(run.stdout, fcntl.F_SETPIPE_SZ, 4096)  # less than the alerts: writing them waits for us
    waiting = array("i", [0])
    while not waiting[0]:
        fcntl.ioctl(run.stdout, termios.FIONREAD, waiting)
        assert run.poll() is None
        time.sleep(0.1)
    time.sleep(1)


def test_a_reader_that_has_fallen_asleep_is_waited_for_and_gets_everything(demo: Result) -> None:
    with started("read", DEMO) as run:
        wait_for_the_reader(run)
        time.sleep(6)  # longer than a watch would wait at its end
        assert run.poll() is None
        stdout, errors = run.communicate(timeout=30)
    result = ended(run.returncode, stdout, errors)
    assert (result.code, result.stdout) == (0, demo.stdout)


def test_an_interrupt_ends_the_waiting_for_a_reader_and_what_it_did_not_get_is_told() -> None:
    with started("read", DEMO) as run:
        wait_for_the_reader(run)
        run.send_signal(signal.SIGINT)
        code = run.wait(20)
        stdout, errors = run.communicate()
    result = ended(code, stdout, errors)
    assert result.code == 7
    assert re.search(r"stdout: the receiver did not take everything by the end, \d+ lines lost", result.stderr[-1])


def test_a_second_interrupt_ends_a_read_whose_reader_has_fallen_asleep(unpacked: bytes, tmp_path: Path) -> None:
    (tmp_path / "demo.pcap").write_bytes(unpacked)
    with started("read", tmp_path / "demo.pcap") as run:
        wait_for_the_reader(run)
        run.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert run.poll() is None
        run.send_signal(signal.SIGINT)
        code = run.wait(30)
        _, errors = run.communicate()
    assert ended(code, b"", errors).code == 130


def test_an_interrupt_while_kernels_are_compiled_ends_it_quietly(tmp_path: Path) -> None:
    with started("read", DEMO, XDG_CACHE_HOME=str(tmp_path)) as run:
        assert run.stderr is not None
        first = run.stderr.readline()
        time.sleep(4)
        run.send_signal(signal.SIGINT)
        stdout, errors = run.communicate(timeout=30)
    assert b"first run: compiling kernels" in first
    assert ended(run.returncode, stdout, errors) == Result(130, b"", [])


def test_alerts_are_never_appended_to_a_capture(tmp_path: Path) -> None:
    capture = tmp_path / "a.pcap.gz"
    capture.write_bytes(DEMO.read_bytes())
    link = tmp_path / "link"
    link.symlink_to(capture)
    for output in (capture, link):
        result = flowvigil("read", capture, "-o", output)
        assert result.code == 7
        assert len(result.stderr) == 1
        assert "expected another one" in result.stderr[0]
        assert capture.read_bytes() == DEMO.read_bytes()
