"""The lab as root: a short site whose truth and capture agree, nothing that leads out, nothing that stays behind."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
import yaml

from flows.truth import FlowTruth, read_truth
from tests.support.command import flowvigil, started
from tests.support.namespaces import inside
from tests.support.waiting import wait_until
from tests.training.lab.sites import SHIPPED, SMALL, TRANSLATED, scenario_of
from training.lab import namespaces
from training.lab.agreement import disagreements
from training.lab.namespaces import NAMESPACES, OVERLAYS, PREFIX, is_leftover, own_prefix, pids_in
from training.lab.network import network_up
from training.lab.orders import site_of
from training.lab.programs import missing_programs, packages_of
from training.lab.reading import read_scenario
from training.lab.run import LabError, run_scenario
from training.lab.scenario import Scenario
from training.lab.services import SERVICES

pytestmark = pytest.mark.live

SHORT = SHIPPED / "short.yaml"


OTHERS: set[str] = set()  # of runs that go on beside these tests


@pytest.fixture(autouse=True, scope="module")
def needs_root_and_programs() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("needs /dev/net/tun")
    missing = missing_programs(read_scenario(SHORT)[0])
    if missing:
        pytest.skip(f"not installed: {', '.join(packages_of(missing))}")


@pytest.fixture(autouse=True)
def what_is_there_before(needs_root_and_programs: None) -> None:  # noqa: ARG001  it comes first
    OTHERS.clear()
    OTHERS.update(left_behind())


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A normal run of 14 seconds."""
    directory = tmp_path_factory.mktemp("normal")
    result = flowvigil("lab", "run", brief(directory, 14), "--no-attacks", "-o", directory / "run")
    assert result.code == 0, result.stderr
    return directory / "run"


def left_behind() -> list[str]:
    """Namespaces, overlays and directories of ended runs or of this process that were not there before the test."""
    places = (NAMESPACES, OVERLAYS, Path(tempfile.gettempdir()))
    names = {path.name for place in places for path in place.glob(f"{PREFIX}*")} - OTHERS
    return sorted(name for name in names if is_leftover(name) or name.startswith(own_prefix()))


def truths_of(directory: Path) -> list[FlowTruth]:
    with (directory / "truth.csv").open(encoding="utf-8", newline="") as lines:
        return read_truth(lines)


def brief(tmp_path: Path, seconds: float) -> Path:
    """The short site without attacks, for so many seconds."""
    text = (
        SHORT.read_text(encoding="utf-8").partition("attacks:")[0].replace("duration_s: 60", f"duration_s: {seconds:g}")
    )
    path = tmp_path / "brief.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def with_attacks(tmp_path: Path) -> Path:
    """The short site with all of its attacks, which begin sooner and end after 36 seconds."""
    content = yaml.safe_load(SHORT.read_text(encoding="utf-8"))
    content["duration_s"] = 36
    for attack in content["attacks"]:
        attack["at_s"] = [0.45 * at_s for at_s in attack["at_s"]]
        attack["for_s"] = min(attack["for_s"], 36 - attack["at_s"][1])
    path = tmp_path / "attacks.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_truth_and_capture_of_an_attack_run_agree(tmp_path: Path) -> None:
    output, site = tmp_path / "short", with_attacks(tmp_path)
    result = flowvigil("lab", "run", site, "-o", output)
    assert result.code == 0, result.stderr
    assert disagreements(output) == []
    assert left_behind() == []
    scenario, digest = read_scenario(site)
    episodes = json.loads((output / "episodes.json").read_text(encoding="utf-8"))
    assert sorted(episode["episode"] for episode in episodes) == sorted(attack.name for attack in scenario.attacks)
    assert all(episode["flows"] and episode["packets"] for episode in episodes)
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    assert record["scenario_sha256"] == digest
    assert record["flows"]["unaccounted"] == {"flows": 0, "packets": 0}
    assert record["packages"]["nmap"]
    check_five_tuples(truths_of(output), scenario)
    check_ipv6(truths_of(output), scenario)
    check_meter_agrees(output, tmp_path)


def check_five_tuples(truths: list[FlowTruth], scenario: Scenario) -> None:
    """What an episode says of its flows is what the scenario says of the episode."""
    address = {name: str(host.address) for name, host in scenario.hosts.items()}
    scan = [truth for truth in truths if truth.scenario == "port-scan"]
    assert {truth.initiator for truth in scan} == {address["mallory"]}
    assert {truth.target for truth in scan} == {address["web"]}
    assert len({truth.target_port for truth in scan}) == 1000
    guessing = [truth for truth in truths if truth.scenario == "ssh-guessing"]
    assert {(truth.initiator, truth.target, truth.target_port) for truth in guessing} == {
        (address["mallory"], address["files"], 22)
    }
    flood = [truth for truth in truths if truth.scenario == "flood"]
    assert len({truth.initiator for truth in flood}) > 1000
    assert not {truth.initiator for truth in flood} & set(address.values())


def check_ipv6(truths: list[FlowTruth], scenario: Scenario) -> None:
    """What goes by IPv6 has the addresses of the scenario, users and attacks alike."""
    by_ipv6 = [truth for truth in truths if ":" in truth.initiator]
    address = {name: str(host.address6) for name, host in scenario.hosts.items()}
    beacon = {(truth.initiator, truth.target) for truth in by_ipv6 if truth.attack}
    assert beacon == {(address["ben"], address["orders"])}
    doing = {truth.scenario for truth in by_ipv6} - {"neighbours", "beacon"}
    assert doing
    assert {address[name.split("/")[0]] for name in doing} >= {
        truth.initiator for truth in by_ipv6 if truth.scenario in doing
    }


def test_a_normal_run_has_no_attack_and_the_programs_do_what_they_should(normal: Path) -> None:
    assert disagreements(normal) == []
    truths = truths_of(normal)
    assert {truth.technique for truth in truths} == {"benign"}
    assert {truth.protocol for truth in truths} == {6, 17, 58}
    record = json.loads((normal / "run.json").read_text(encoding="utf-8"))
    assert sum(activity["times"] for activity in record["actions"].values()) >= 4
    assert sum(activity["failed"] for activity in record["actions"].values()) == 0
    assert record["captures"]["router"] == record["frames"]["all"]
    assert record["ended_early"] == []


def test_a_truth_with_a_flow_less_is_found_out(normal: Path, tmp_path: Path) -> None:
    output = tmp_path / "normal"
    shutil.copytree(normal, output)
    lines = (output / "truth.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (output / "truth.csv").write_text("".join(lines[:-1]), encoding="utf-8")
    assert any("packets of" in line and "0 in the truth" in line for line in disagreements(output))


def test_behind_one_address_truth_and_capture_agree_on_both_sides(tmp_path: Path) -> None:
    content = deepcopy(TRANSLATED)
    content["habits"]["guest"]["pace_s"] = 1
    content["hosts"]["three"] = {**content["hosts"]["two"], "address": "10.1.2.5", "habits": []}
    scan = {**SMALL["attacks"][0], "source": "three", "targets": ["news"], "packets": 200, "at_s": 3, "for_s": 5}
    scenario = scenario_of(tmp_path, {**content, "duration_s": 9, "attacks": [scan]})
    if (missing := missing_programs(scenario)) != []:
        pytest.skip(f"not installed: {', '.join(packages_of(missing))}")
    output = run_scenario(scenario, "", tmp_path / "run", lambda _: None, Event())
    assert disagreements(output) == []
    inside = [truth for truth in truths_of(output) if truth.target == "5.1.1.3"]
    with (output / "outside-truth.csv").open(encoding="utf-8", newline="") as lines:
        outside = [truth for truth in read_truth(lines) if truth.target == "5.1.1.3"]
    assert {truth.initiator for truth in inside} >= {"10.1.2.3", "10.1.2.5"}
    assert {truth.initiator for truth in outside} == {"192.0.2.1"}
    assert Counter(truth.scenario for truth in inside) == Counter(truth.scenario for truth in outside)
    assert {truth.scenario for truth in outside} >= {"scan", "one/guest/browse"}
    assert left_behind() == []


def test_nothing_leads_out_of_the_namespaces(tmp_path: Path) -> None:
    scenario = scenario_of(tmp_path, {**deepcopy(SMALL), "attacks": []})
    before = links(())
    with network_up(scenario, site_of(scenario, tmp_path), tmp_path, {"router": tmp_path / "router.pcap"}) as network:
        assert links(()) == before
        for host in (*scenario.hosts, "router"):
            found = links(("-n", network.namespace(host)))
            kinds = {link["ifname"]: link.get("linkinfo", {}).get("info_kind") for link in found}
            assert kinds.pop("lo") is None
            assert set(kinds.values()) == {"tun"}  # no veth, whose other end could be elsewhere
        routes = ip_json("-n", network.namespace("router"), "route", "show", "type", "blackhole")
        assert [route["dst"] for route in routes] == ["default"]
        with inside(network.namespace("desk")):
            answers = [answered(address) for address in ("10.1.1.2", "203.0.113.9", "9.9.9.9")]
        assert answers == [True, True, False]
    assert left_behind() == []
    assert network.counts["ports"]["lan/desk"]["sent"] > 0


def links(options: tuple[str, ...]) -> list[dict[str, dict[str, str] | str]]:
    found = ip_json(*options, "-d", "link", "show")
    return [{key: link[key] for key in ("ifname", "linkinfo") if key in link} for link in found]


def ip_json(*arguments: str) -> list[dict[str, dict[str, str]]]:
    done = subprocess.run(["ip", "-json", *arguments], check=True, capture_output=True, text=True, timeout=10)
    return json.loads(done.stdout)


def answered(address: str) -> bool:
    """Whether a TCP connection is refused or taken there: somebody answers."""
    with socket.socket() as client:
        client.settimeout(1.5)
        try:
            client.connect((address, 9))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_all_down_and_leaves_no_directory(tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "stopped"
    with started("lab", "run", SHORT, "-o", output) as process:
        wait_for_line(process, "users and")
        time.sleep(2)
        process.send_signal(number)
        assert process.wait(30) == 130
    assert left_behind() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == []


def test_a_killed_run_takes_all_with_it(tmp_path: Path) -> None:
    with started("lab", "run", brief(tmp_path, 60), "-o", tmp_path / "killed") as process:
        wait_for_line(process, "users and")
        servers = [pid for name in namespaces_of(process.pid) for pid in pids_in(name)]
        process.kill()
        process.wait(10)
    assert servers
    wait_until(lambda: not left_behind() and len(list(tmp_path.iterdir())) == 1 and not existing(servers))
    assert [path.name for path in tmp_path.iterdir()] == ["brief.yaml"]


def test_what_a_killed_run_leaves_behind_is_removed_at_the_next_start(tmp_path: Path) -> None:
    with started("lab", "run", brief(tmp_path, 60), "-o", tmp_path / "killed") as process:
        wait_for_line(process, "users and")
        (remover,) = (pid for pid in children_of(process.pid) if b"training.lab.leftovers" in command_of(pid))
        os.kill(remover, signal.SIGKILL)
        process.kill()
        process.wait(10)
    assert left_behind()
    servers = [pid for name in left_behind() for pid in pids_in(name)]
    assert servers
    result = flowvigil("lab", "run", brief(tmp_path, 2), "-o", tmp_path / "next")
    assert result.code == 0, result.stderr
    assert any("which a run left behind that was killed" in line for line in result.stderr)
    assert left_behind() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brief.yaml", "next"]
    wait_until(lambda: not existing(servers))


def existing(pids: list[int]) -> list[int]:
    """Those that are still there, be it only until somebody hears of their end."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def namespaces_of(pid: int) -> list[str]:
    return [path.name for path in NAMESPACES.glob(f"{PREFIX}{pid}.*")]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def wait_for_line(process: "subprocess.Popen[bytes]", part: str) -> None:
    """Read stderr up to a line."""
    assert process.stderr is not None
    for line in process.stderr:
        if part in line.decode():
            return
    raise AssertionError(part)


def test_a_service_that_does_not_start_is_named_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(SERVICES["http"], commands=lambda _: [["sh", "-c", "echo out of paper; exit 1"]])
    monkeypatch.setitem(SERVICES, "http", broken)
    scenario = scenario_of(tmp_path, {**deepcopy(SMALL), "attacks": []})
    with pytest.raises(LabError, match="service http of host server is not ready: out of paper"):
        run_scenario(scenario, "", tmp_path / "out", lambda _: None, Event())
    assert left_behind() == []
    assert not (tmp_path / "out").exists()


def test_the_meter_finds_the_truth_of_every_flow(normal: Path, tmp_path: Path) -> None:
    check_meter_agrees(normal, tmp_path)


def check_meter_agrees(run: Path, tmp_path: Path) -> None:
    """The meter's five-tuples are those of the truth."""
    told = {
        five_tuple(truth.protocol, (truth.initiator, truth.initiator_port), (truth.target, truth.target_port))
        for truth in truths_of(run)
    }
    table = tmp_path / "flows.csv"
    assert flowvigil("flows", run / "router.pcap", "-o", table).code == 0
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = [
        five_tuple(
            int(row["protocol"]),
            (row["src_address"], int(row["src_port"])),
            (row["dst_address"], int(row["dst_port"])),
        )
        for row in rows
    ]
    assert found
    assert set(found) == told


def five_tuple(protocol: int, *ends: tuple[str, int]) -> tuple[int, frozenset[tuple[str, int]]]:
    return protocol, frozenset(ends)


def test_what_the_system_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "TUN", "/dev/net/no-such-device")
    scenario = scenario_of(tmp_path, {**deepcopy(SMALL), "attacks": []})
    with pytest.raises(LabError, match=r"^/dev/net/no-such-device: no such file or directory$"):
        run_scenario(scenario, "", tmp_path / "out", lambda _: None, Event())
    assert left_behind() == []
    assert not (tmp_path / "out").exists()
