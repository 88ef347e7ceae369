"""flowvigil rehearse as a user meets it: tables, JSON and the page on traffic of our own making, and clear refusals."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.truth import write_truth
from sensor.episodes.shapes import SHAPES
from sensor.synth.generate import Traffic, generate
from sensor.synth.pcap import WHOLE, pcap_bytes
from sensor.synth.scenarios.guessing import SSH_GUESSING
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.truth import Packet
from tests.support.command import Result, flowvigil, surroundings
from tests.support.packets import tcp, udp

pytestmark = [pytest.mark.ux, pytest.mark.takes(18)]


@pytest.fixture(scope="module")
def normal() -> Traffic:
    return generate([NORMAL], 3, 7.0)


def capture(path: Path, packets: Any) -> Path:
    path.write_bytes(pcap_bytes(packets, WHOLE, nanoseconds=True))
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, normal: Traffic) -> Path:
    """An office's ordinary minutes."""
    return capture(tmp_path_factory.mktemp("site") / "site.pcap", normal.packets)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as the lab leaves it: a scan and guesses in another office's traffic, with their truth."""
    directory = tmp_path_factory.mktemp("lab") / "elsewhere-1"
    directory.mkdir()
    traffic = generate([NORMAL, PORTSCAN, SSH_GUESSING], 5, 2.0)
    capture(directory / "router.pcap", traffic.packets)
    with (directory / "truth.csv").open("w", encoding="utf-8", newline="") as out:
        write_truth(traffic.truth, out)
    return directory


@pytest.fixture(scope="module")
def rehearsed(site: Path, run: Path) -> tuple[Result, str]:
    """A rehearsal on a capture that ends in a packet, with a page, and the page."""
    page, cut = site.with_name("rehearsal.html"), site.with_name("cut.pcap")
    before = site.read_bytes()[:-10]
    cut.write_bytes(before)
    result = flowvigil("rehearse", cut, "--lab", run.parent, "--json", "-o", page)
    assert cut.read_bytes() == before
    return result, page.read_text(encoding="utf-8")


def records(result: Result, kind: str = "attack") -> list[dict[str, Any]]:
    return [record for line in result.stdout.splitlines() if (record := json.loads(line))["kind"] == kind]


def test_every_technique_of_a_shape_is_rehearsed_and_found_in_an_office(
    rehearsed: tuple[Result, str], normal: Traffic
) -> None:
    attacks = records(rehearsed[0])
    assert {shape.technique for shape in SHAPES} <= {record["technique"] for record in attacks}
    assert [record["episode"] for record in attacks if not (record["found"] and record["right"])] == []
    (whole,) = records(rehearsed[0], "all")
    assert (whole["found"], whole["right"], whole["packets"]) == (
        len(attacks),
        len(attacks),
        len(normal.packets) - 1,
    )


def test_attacks_have_hosts_of_the_site_and_are_in_its_time(rehearsed: tuple[Result, str], normal: Traffic) -> None:
    attacks = {(record["from"], record["episode"]): record for record in records(rehearsed[0])}
    (whole,) = records(rehearsed[0], "all")
    for record in attacks.values():
        assert whole["start"] <= record["start"] <= whole["end"]
        assert any(host.startswith("10.20.0.") for host in (*record["attackers"], *record["victims"]))
    clients = {record["attackers"][0] for record in attacks.values() if record["technique"].startswith("T1071")}
    assert clients <= {truth.initiator for truth in normal.truth}
    assert attacks["generator", "dns-tunnel"]["victims"] == ["10.20.0.1"]
    assert attacks["generator", "portscan"]["seconds"] < 60
    assert attacks["generator", "portscan"]["rank"] == 1


def test_a_capture_is_read_up_to_its_damage_which_is_named(rehearsed: tuple[Result, str]) -> None:
    result, page = rehearsed
    assert result.code == 6
    assert any("cut.pcap: truncated" in line for line in result.stderr)
    assert "cut.pcap: truncated" in page


def test_attacks_of_the_lab_s_runs_are_rehearsed_too(rehearsed: tuple[Result, str]) -> None:
    told = [record for record in records(rehearsed[0]) if record["from"] == "elsewhere-1"]
    assert [(record["technique"], record["episode"]) for record in told] == [
        ("T1046", "portscan"),
        ("T1110.001", "ssh"),
    ]


def test_the_page_tells_every_attack_and_needs_nothing(rehearsed: tuple[Result, str]) -> None:
    result, page = rehearsed
    attacks = records(result)
    assert f"{len(attacks)} of {len(attacks)} rehearsed attacks would be found here" in page
    assert all(f">{record['episode']}<" in page and f">{record['technique']}<" in page for record in attacks)
    assert "Nothing was sent." in page
    assert "default-src &#x27;none&#x27;" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http-flood", "").replace("slowhttp", "")


def test_people_get_a_table_of_standard_input_and_missing_fails_only_where_asked(site: Path) -> None:
    deaf = "--set", "meter.active_timeout_s=1", "--set", "meter.idle_timeout_s=1"
    shown = flowvigil("rehearse", "-", *deaf, "--fail-on-missed", stdin=site.read_bytes())
    lines = shown.stdout.decode().splitlines()
    assert lines[0].split() == ["Technique", "Attack", "Named", "After", "Risk", "Rank"]
    assert any(line.startswith("T1046      portscan ") and "Network" in line for line in lines)
    assert any(line.startswith("T1571      held-channel ") and "MISSED" in line for line in lines)
    assert max(map(len, lines)) <= 80
    assert any("rehearsed attacks would be found here" in line for line in shown.stderr)
    assert shown.code == 11


def one_sided() -> list[Packet]:
    packets = [tcp(f"10.0.0.1:{40000 + number}", "10.0.0.2:80", "PA", at=number, payload=9) for number in range(100)]
    return [Packet(packet.ts_ns, packet.frame) for packet in packets]


def of_ipv6() -> list[Packet]:
    ends = "[2001:db8::1]:5000", "[2001:db8::2]:53"
    return [Packet(packet.ts_ns, packet.frame) for packet in (udp(*ends, payload=9), udp(*ends[::-1], at=0.1))]


def of_arp() -> list[Packet]:
    return [Packet(10**18, bytes(12) + b"\x08\x06" + bytes(46))]


def of_one_datagram() -> list[Packet]:
    packet = udp("10.0.0.1:5000", "10.0.0.255:137", payload=9)
    return [Packet(packet.ts_ns, packet.frame)]


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        ([], "found 0 packets and no flow in them"),
        (of_arp(), "found 1 packets and no flow in them"),
        (of_ipv6(), "found flows of IPv6 alone, expected IPv4"),
        (one_sided(), "found answers in 0 of "),
        (of_one_datagram(), "found no host whose flows were answered"),
    ],
    ids=["empty", "ARP", "IPv6", "one side", "one datagram"],
)
def test_traffic_in_which_nothing_can_be_rehearsed_is_refused_in_one_line(
    packets: list[Packet], words: str, tmp_path: Path
) -> None:
    result = flowvigil("rehearse", capture(tmp_path / "x.pcap", packets))
    assert (result.code, len(result.stderr), result.stdout) == (6, 1, b"")
    assert words in result.stderr[0]
    assert str(tmp_path / "x.pcap") in result.stderr[0]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nothing.pcap"], 6, "nothing.pcap: found no such file"),
        (["SITE", "-m", "nsl-kdd"], 4, "found columns that need payloads"),
        (["SITE", "--for", "soon"], 2, "--for: found 'soon', expected a time such as 90s"),
        (["SITE", "--for", "0s"], 2, "expected a time such as 90s"),
        (["lo", "SITE"], 2, "found lo beside 1 more, expected captures or one interface"),
        (["SITE", "-o", "SITE"], 7, "found one of the inputs"),
        (["SITE", "--lab", "EMPTY"], 6, "holds no run; expected runs of the lab"),
        (["SITE", "--lab", "nowhere"], 6, "cannot be read"),
        (["SITE", "--filter", "tcp prot 9"], 3, "tcp prot 9"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], code: int, words: str, site: Path, tmp_path: Path
) -> None:
    names = {"SITE": str(site), "EMPTY": str(tmp_path)}
    result = flowvigil("rehearse", *(names.get(word, word) for word in arguments))
    assert (result.code, result.stdout) == (code, b"")
    assert any(words in line for line in result.stderr)


def test_a_run_of_the_lab_with_a_truth_that_is_none_is_refused(site: Path, tmp_path: Path) -> None:
    (tmp_path / "router.pcap").write_bytes(site.read_bytes()[:1000])
    (tmp_path / "truth.csv").write_text("no truth\n")
    result = flowvigil("rehearse", site, "--lab", tmp_path)
    assert (result.code, len(result.stderr)) == (6, 1)
    assert "truth.csv: is no truth of a capture" in result.stderr[0]


def test_an_attack_in_a_truth_whose_end_is_no_address_is_refused(site: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "router.pcap").write_bytes(site.read_bytes()[:1000])
    truth = (run / "truth.csv").read_text().replace("203.0.113.45", "\x1b[2J")
    (tmp_path / "truth.csv").write_text(truth)
    result = flowvigil("rehearse", site, "--lab", tmp_path)
    assert (result.code, len(result.stderr)) == (6, 1)
    assert "expected an address of a host" in result.stderr[0]
    assert "\x1b" not in result.stderr[0]


@pytest.mark.real_start
def test_it_needs_no_package_of_an_extra(run: Path) -> None:
    program = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("sklearn", "polars", "tensorflow", "matplotlib", "jinja2", "scipy", "river"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from sensor.cli.lab_attacks import lab_runs_in
import sensor.cli.rehearse, sensor.cli.selftest, sensor.rehearsal.page, sensor.rehearsal.selftest, training.labels
from pathlib import Path
print(len(list(lab_runs_in(Path(sys.argv[1])).episodes())))
"""
    shown = subprocess.run(
        [sys.executable, "-c", program, str(run)], capture_output=True, text=True, env=surroundings(), check=False
    )
    assert (shown.stdout, shown.returncode) == ("2\n", 0), shown.stderr
