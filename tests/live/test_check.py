"""`flowvigil check` on real interfaces, and that `flowvigil watch` then does what was said."""

import array
import fcntl
import json
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sensor.sources.live.offloads import ETHTOOL_GGRO, INTERFACE_NAME, SIOCETHTOOL, merging_offloads
from tests.support.command import Result, flowvigil
from tests.support.namespaces import inside, ip
from tests.support.sensors import watching

pytestmark = pytest.mark.live

NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
ETHTOOL_SGRO = ETHTOOL_GGRO + 1


def run(command: str, namespace: str, *options: str | Path, prefix: tuple[str, ...] = ()) -> Result:
    return flowvigil(command, *options, prefix=prefix, namespace=namespace)


def findings(namespace: str, *options: str | Path, prefix: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """What was found, by the name of the check; without a model, so that nothing is measured."""
    result = run("check", namespace, "--json", "-m", "nosuch", *options, prefix=prefix)
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return {finding["check"]: finding for finding in found}


def codes(namespace: str, *options: str | Path) -> list[int]:
    """Exit codes of check and of watch."""
    return [run(command, namespace, "-q", *options).code for command in ("check", "watch")]


def merge(interface: str) -> None:
    """As ethtool -K gro on."""
    value = array.array("I", [ETHTOOL_SGRO, 1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        request = struct.pack(f"{INTERFACE_NAME}sP16x", interface.encode(), value.buffer_info()[0])
        fcntl.ioctl(asking.fileno(), SIOCETHTOOL, request)


@pytest.fixture
def taken_port(namespaces: tuple[str, str]) -> Iterator[int]:
    with inside(namespaces[1]):
        taken = socket.create_server(("127.0.0.1", 0))
    with closing(taken):
        yield taken.getsockname()[1]


def test_what_check_accepts_watch_starts_with(namespaces: tuple[str, str], tmp_path: Path) -> None:
    right = namespaces[1]
    options = ["--filter", "inbound and not port 22", "--promiscuous", "--set", "stats.metrics_port=19124"]
    options += ["--set", "capture.ring_blocks=4", "--set", "capture.workers=2"]
    alerts = tmp_path / "live.jsonl"
    told = run("check", right, "--json", "-i", "fv1", "-i", "lo", "-o", alerts, *options)
    found = {finding["check"]: finding for finding in map(json.loads, told.stdout.splitlines())}
    assert (told.code, told.stderr) == (0, [])
    assert found["interface"] == {"check": "interface", "status": "ok", "message": "up: fv1, lo"}
    assert found["filter"]["message"] == "compiles for fv1, lo"
    assert found["ring"]["message"] == "2 × 4 MiB can be mapped"
    assert found["metrics"]["status"] == "ok"
    assert not alerts.exists()
    with watching(right, tmp_path, "-i", "lo", *options, write=False) as watch:
        assert watch.stop().code == 0


def test_interfaces_that_are_absent_down_or_named_twice_stop_both(namespaces: tuple[str, str]) -> None:
    right = namespaces[1]
    assert codes(right, "-i", "fv9") == [5, 5]
    ip("-n", right, "link", "set", "fv1", "down")
    assert codes(right, "-i", "fv1") == [5, 5]
    assert "is down" in findings(right, "-i", "fv1")["interface"]["message"]
    ip("-n", right, "link", "set", "fv1", "up")
    ip("-n", right, "link", "property", "add", "dev", "fv1", "altname", "uplink")
    assert codes(right, "-i", "fv1", "-i", "uplink") == [5, 5]


def test_an_interface_without_a_carrier_is_a_warning(namespaces: tuple[str, str], tmp_path: Path) -> None:
    left, right = namespaces
    ip("-n", left, "link", "set", "fv0", "down")
    found = findings(right, "-i", "fv1")["interface"]
    assert (found["status"], found["message"]) == ("warning", "no carrier, so no packets yet: fv1")
    assert run("check", right, "-q", "-i", "fv1").code == 0
    with watching(right, tmp_path) as watch:
        assert watch.stop().code == 0


def test_what_merges_packets_is_named_with_its_cure(namespaces: tuple[str, str]) -> None:
    right = namespaces[1]
    with inside(right):
        before = merging_offloads("fv1")
        merge("fv1")
    assert "gro" not in before
    found = findings(right, "-i", "fv1")["offloads"]
    assert found["status"] == "warning"
    assert "fv1 (gro, " in found["message"]
    assert "turn it off: ethtool -K fv1 gro off" in found["message"]


def test_features_by_name_are_read_as_those_with_a_question(namespaces: tuple[str, str]) -> None:
    from sensor.sources.live.offloads import _has_feature

    with inside(namespaces[1]), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        assert not _has_feature(asking, b"fv1", "rx-gro")
        merge("fv1")
        assert _has_feature(asking, b"fv1", "rx-gro")
        assert not _has_feature(asking, b"fv1", "no-such-feature")
        assert not _has_feature(asking, b"fv9", "rx-gro")


def test_without_the_capability_the_way_to_it_is_told(namespaces: tuple[str, str]) -> None:
    right = namespaces[1]
    if subprocess.run([*NOBODY, "true"], check=False).returncode:
        pytest.skip("setpriv cannot become nobody here")
    found = findings(right, "-i", "fv1", prefix=NOBODY)
    assert found["capability"]["exit_code"] == 5
    assert "AmbientCapabilities=CAP_NET_RAW" in found["capability"]["message"]
    assert found["ring"]["status"] == "skipped"
    assert found["interface"]["status"] == "ok"
    able = (*NOBODY, "--inh-caps=+net_raw", "--ambient-caps=+net_raw")
    assert findings(right, "-i", "fv1", prefix=able)["ring"]["status"] == "ok"


def test_root_without_the_capability_stops_both(namespaces: tuple[str, str]) -> None:
    prefix = ("setpriv", "--bounding-set", "-net_raw")
    ends = [run(command, namespaces[1], "-q", "-i", "fv1", prefix=prefix) for command in ("check", "watch")]
    assert [result.code for result in ends] == [5, 5], ends


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--filter", "tcp prt 1"], 3),
        (["--set", "capture.ring_blocks=4096", "--set", "capture.ring_block_bytes=67108864"], 5),
        (["-o", "/proc/absent/alerts"], 7),
        (["--write", "/proc/absent/kept"], 7),
        (["--set", "stats.metrics_port=81"], 3),
        (["--keep-packets", "/proc/absent/kept"], 7),
        (["--flows", "/proc/absent/log"], 7),
    ],
    ids=["filter", "ring", "output", "packets", "privileged port", "kept packets", "flow log"],
)
def test_watch_stops_with_the_exit_code_of_the_check(
    namespaces: tuple[str, str], options: list[str], code: int
) -> None:
    assert codes(namespaces[1], "-i", "fv1", *options) == [code, code]


def test_a_metrics_port_that_is_taken_stops_both(namespaces: tuple[str, str], taken_port: int) -> None:
    assert codes(namespaces[1], "-i", "fv1", "--set", f"stats.metrics_port={taken_port}") == [3, 3]


def test_root_leaves_nothing_that_belongs_to_it(namespaces: tuple[str, str], tmp_path: Path) -> None:
    right = namespaces[1]
    alerts, kept = tmp_path / "alerts", tmp_path / "kept"
    assert run("check", right, "-q", "-i", "fv1", "-o", alerts, "--write", kept).code == 0
    assert os.listdir(tmp_path) == []


def test_a_filter_that_the_kernel_has_no_memory_for_stops_both(namespaces: tuple[str, str]) -> None:
    most = Path("/proc/sys/net/core/optmem_max")
    with inside(namespaces[1]):
        if not most.exists():
            pytest.skip("this kernel has one bound for all namespaces")
        most.write_text("1024\n")
    hosts = " or ".join(f"host 10.0.{number}.1" for number in range(100))
    assert codes(namespaces[1], "-i", "fv1", "--filter", hosts) == [5, 5]
    assert "larger net.core.optmem_max" in findings(namespaces[1], "-i", "fv1", "--filter", hosts)["filter"]["message"]
