"""`site.yaml` as people write it: what it says, and what is wrong with it, by line and column."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.errors import CONFIG, ConfigError
from sensor.site.file import LIMIT_BYTES, notes_of_text, read_notes
from sensor.site.networks import DEFAULT_HOME
from sensor.site.roles import ROLES
from tests.support.examples import examples

pytestmark = pytest.mark.ux

FILE = """\
# the office
home: [10.0.0.0/8, 2001:db8::/32]
assets:
  - name: scan-1
    address: 10.0.0.9
    role: scanner
    why: the weekly scan
  - {name: vault, address: [203.0.113.7, 2001:db8::7], role: backup}
rules:
  - source: scan-1
    destination: 10.1.0.0/16
    technique: T1046
    why: yes
  - name: updater
    source: 10.0.0.5
    service: tcp/443
    technique: beat
    until: 2026-12-01
    why: |
      polls its
      maker
marks:
  - {alert: QEYEHUWIL3X4XB4DAELW7R5BJ4, finding: true, why: it was, when: "2026-11-29T18:00:00Z"}
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        notes_of_text(text, "site.yaml")
    assert caught.value.exit_code == CONFIG
    faults = [str(caught.value), *caught.value.detail]
    assert all("\n" not in fault for fault in faults)
    return faults


def test_a_whole_file_says_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(FILE)
    notes = read_notes(path)
    assert [str(network) for network in notes.home] == ["10.0.0.0/8", "2001:db8::/32"]
    assert [(asset.name, asset.role, len(asset.networks), asset.line) for asset in notes.assets] == [
        ("scan-1", "scanner", 1, 4),
        ("vault", "backup", 2, 8),
    ]
    assert [(rule.text, rule.why, rule.line) for rule in notes.rules] == [
        ("scan-1 -> 10.1.0.0/16, T1046", "yes", 10),
        ("updater", "polls its maker", 14),
    ]
    assert notes.rules[1].until_ns == 1_796_169_599_999_999_000  # the end of that day
    assert notes.marks["QEYEHUWIL3X4XB4DAELW7R5BJ4"].true


@pytest.mark.parametrize("text", ["", "# nothing\n", "home:\nassets:\nrules: []\nmarks: ~\n", "---\n"])
def test_a_file_that_says_nothing_has_the_private_networks_for_home(text: str) -> None:
    notes = notes_of_text(text, "site.yaml")
    assert (notes.home, list(notes.assets), list(notes.rules)) == (DEFAULT_HOME, [], [])


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    assert faults_of(
        "home: [10.0.0.1/8, fe80::1%eth0]\nasets: []\nassets:\n  - name: scan-1\n    rol: scanner\n  - 7\nrules:\n"
        "  - technique: T10\n    why: ''\n  - source: 10.0.0.300\n    why: x\n    why: y\n    service: tcp/70000\n"
        "    until: 2026-13-01\n"
    ) == [
        "site.yaml:1:8: home.0 is '10.0.0.1/8': expected 10.0.0.0/8 for the network, or 10.0.0.1 for the host",
        "site.yaml:1:20: home.1 is 'fe80::1%eth0': expected an address without a zone",
        'site.yaml:2:1: unknown name "asets", did you mean "assets"?',
        "site.yaml:4:5: assets.0.address is missing",
        'site.yaml:5:5: unknown name "rol", did you mean "role"?',
        "site.yaml:6:5: assets.1 is '7': expected names with their values, each as `name: value`",
        "site.yaml:8:16: rules.0.technique is 'T10': expected an ATT&CK technique such as T1046, or one of scan, "
        "flood, reflection, overload, guessing, beat, questions, echoes, upload, unusual",
        "site.yaml:9:10: rules.0.why is '': expected some text",
        "site.yaml:10:13: rules.1.source.0 is '10.0.0.300': expected an address or a network such as 10.0.0.0/8",
        'site.yaml:12:5: "why" a second time in rules.1, expected each name once',
        "site.yaml:13:14: rules.1.service is 'tcp/70000': expected a service such as tcp/443, udp/5000-5100, 22, "
        "icmp or one of ftp, ssh, telnet, smtp, dns, http, ntp, snmp, ldap, https, smb, syslog, rdp",
        "site.yaml:14:12: rules.1.until is '2026-13-01': expected a date or time such as 2026-12-31 or "
        "2026-12-31T18:00Z",
    ]


def test_names_must_be_of_assets_and_assets_of_their_own() -> None:
    assert faults_of(
        "assets:\n  - {name: scan-1, address: 10.0.0.9}\n  - {name: scan-1, address: 10.0.0.9}\nrules:\n"
        "  - {source: scn-1, why: a}\n  - {destination: [scan-1, printer], why: a}\n"
    ) == [
        'site.yaml:3:12: a second asset "scan-1", the first is in line 2',
        'site.yaml:3:29: 10.0.0.9 is "scan-1" already, in line 2',
        'site.yaml:5:14: no asset "scn-1", did you mean "scan-1"?',
        'site.yaml:6:28: no asset "printer", expected an address, a network or the name of an asset',
    ]


A_MOMENT = "expected a date or time such as 2026-12-31 or 2026-12-31T18:00Z"


def a_rule(says: str) -> str:
    return f"rules:\n  - {{{says}, why: x}}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (a_rule("source: '::ffff:10.0.0.5'"), "2:14: rules.0.source.0 is '::ffff:10.0.0.5': expected 10.0.0.5, as "),
        ("home: ['::ffff:10.0.0.0/104']\n", "1:8: home.0 is '::ffff:10.0.0.0/104': expected 10.0.0.0/8, as"),
        (a_rule("source: 'fe80::1%eth0'"), "2:14: rules.0.source.0 is 'fe80::1%eth0': expected an address without a"),
        (a_rule("source: 10.0.0.5, until: 20261231"), f"2:31: rules.0.until is '20261231': {A_MOMENT}"),
        (a_rule("source: 10.0.0.5, until: 2026-W01"), f"2:31: rules.0.until is '2026-W01': {A_MOMENT}"),
        (a_rule("source: 10.0.0.5, until: 2026-W01-1"), f"2:31: rules.0.until is '2026-W01-1': {A_MOMENT}"),
        (a_rule("source: 10.0.0.5, until: 9999-12-31"), "2:31: rules.0.until is '9999-12-31': expected a date from"),
        ("rules:\n" + "- {source: 10.0.0.5, why: x}\n" * 2001, "2:1: rules: expected at most 2,000 entries, found"),
        ("rules:\n  - why: x\n", "2:5: rules.0: expected a source, a destination or both"),
        ("rules:\n  - source: 10.0.0.9\n", "2:5: rules.0.why is missing"),
        ("rules: {source: 10.0.0.9}\n", "1:8: rules: expected a list, each entry behind a dash"),
        ("- rules\n", "1:1: the file is a list, expected home, assets, rules or marks"),
        ("rules\n", "1:1: the file is a plain value, expected home, assets, rules or marks"),
        ("home: []\n", "1:7: home: expected 1 to 64 of them"),
        ("marks:\n  - {alert: abc, finding: true, why: x}\n", "2:13: marks.0.alert is 'abc': expected an alert"),
        ("marks:\n  - {alert: QEYEHUWIL3X4XB4DAELW7R5BJ4, finding: on, why: x}\n", "2:50: marks.0.finding is 'on'"),
        ("assets:\n  - {name: 10.0.0.9, address: 10.0.0.9}\n", "2:12: assets.0.name is '10.0.0.9': expected a name"),
        ("assets:\n  - {name: a, address: {b: c}}\n", "2:24: assets.0.address.0: expected some text"),
        ("rules:\n  - {source: 10.0.0.9, why: \"\\e[2J\"}\n", "2:29: rules.0.why is '\\x1b[2J': expected printable"),
        ("rules:\n  - {source: 10.0.0.9, why: " + "x" * 201 + "}\n", "2:29: rules.0.why is 'xx"),
        ("home: &a 10.0.0.0/8\n", "1:7: the anchor &a, expected a plain value"),
        ("a: *b\n", "1:4: an alias, expected a plain value"),
        ("home: !!python/object:os.system x\n", "1:7: the tag tag:yaml.org,2002:python/object:os.system, expected"),
        ("home: " + "[" * 40, "1:14: nested too deeply"),
        ("<<: {home: x}\n", "1:1: a merge key (<<), expected each setting by its name"),
        ("home: 10.0.0.0/8\n---\nhome: 10.0.0.0/8\n", "2:1: a second document (---), expected one in a file"),
        ("home: {\n", "2:1: "),
        ("home: \x00\n", "1:7: character 0x00, expected text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_line_and_column(text: str, fault: str) -> None:
    assert faults_of(text)[0].startswith(f"site.yaml:{fault}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has named pipes")
def test_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "site.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="is a pipe or a device, expected a file with notes of a site"):
            read_notes(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * (LIMIT_BYTES + 1)])
def test_a_file_that_is_none_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"site\.yaml.*expected notes of a site"):
        read_notes(path)


def test_twenty_faults_are_told_and_the_rest_counted() -> None:
    faults = faults_of("rules:\n" + "  - {source: x y, why: a}\n" * 50)
    assert len(faults) == 21
    assert faults[-1] == "and 30 more"


def test_a_thousand_rules_are_read_while_a_ring_waits() -> None:
    text = "rules:\n" + "".join(
        f"  - {{source: 10.0.{n // 250}.{n % 250}, technique: scan, why: a}}\n" for n in range(1000)
    )
    began = time.process_time()
    assert len(notes_of_text(text, "site.yaml").rules) == 1000
    assert time.process_time() - began < 5


@examples(200)
@given(st.text(max_size=200) | st.lists(st.sampled_from(FILE.splitlines(keepends=True))).map("".join))
def test_any_text_is_notes_or_one_error_of_lines(text: str) -> None:
    told: tuple[str, ...] = ()
    try:
        notes_of_text(text, "site.yaml")
    except ConfigError as error:
        told = (str(error), *error.detail)
    assert all(line.startswith(("site.yaml", "and ")) and "\n" not in line for line in told)


def test_the_example_of_the_manual_is_read_and_the_manual_names_every_role() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "home.md").read_text()
    section = page.partition("## Allow-lists and notes")[2].partition("\n## ")[0]
    notes = notes_of_text(section.partition("```yaml\n")[2].partition("```")[0], "home.md")
    assert (len(notes.assets), len(notes.rules)) == (2, 1)
    assert {line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")} == {
        "role", *(excuse.role for excuse in ROLES),
    }  # fmt: skip
    assert "without it 10/8, 172.16/12, 192.168/16 and fc00::/7" in section
    assert [str(network) for network in DEFAULT_HOME] == ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
