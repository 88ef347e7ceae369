"""`flowvigil watch -m nsl-kdd-flow` on a cable: connection records judged live, with KDD's columns as reasons."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.namespaces import inside, ip
from tests.support.packets import tcp
from tests.support.sensors import watching

pytestmark = pytest.mark.live

FLOODER, SWEEPER, SERVER, SILENT = "10.99.0.4", "10.99.0.1", "10.99.0.2", "10.99.0.9"
SYNS, SYNS_PER_S = 1200, 400
TOLD_WITHIN_S = 30  # a connection without an answer is first reported ten seconds after its SYN


@pytest.fixture
def cable(namespaces: tuple[str, str]) -> tuple[str, str]:
    left, right = namespaces
    ip("-n", left, "address", "add", f"{SWEEPER}/24", "dev", "fv0")
    ip("-n", right, "address", "add", f"{SERVER}/24", "dev", "fv1")
    return left, right


def sweep(namespace: str) -> None:
    """Try three hundred ports of the server, which refuses."""
    with inside(namespace):
        for port in range(1, 301):
            with socket.socket() as knocking:
                knocking.settimeout(0.2)
                knocking.connect_ex((SERVER, port))
            time.sleep(0.005)


def flood(namespace: str) -> None:
    """SYNs to the web port of an address that never answers."""
    with inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("fv0", 0))
        for number in range(SYNS):
            wire.send(tcp(f"{FLOODER}:{1024 + number}", f"{SILENT}:80", "S").frame)
            time.sleep(1 / SYNS_PER_S)


def alerts_about(source: str, alerts: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    return [a for a in alerts if a["source"]["ip"] == source and a["flowvigil"]["label"] == label]


def reasons(alerts: list[dict[str, Any]]) -> set[str]:
    return {feature["name"] for alert in alerts for feature in alert["flowvigil"]["features"]}


def test_a_syn_flood_and_a_port_sweep_are_told_by_the_columns_of_their_connections(
    cable: tuple[str, str], tmp_path: Path
) -> None:
    left, right = cable
    with watching(right, tmp_path, "-m", "nsl-kdd-flow", write=False) as watch:
        sweep(left)
        flood(left)
        deadline = time.monotonic() + TOLD_WITHIN_S
        while not alerts_about(FLOODER, watch.records("alert"), "DoS") and time.monotonic() < deadline:
            time.sleep(0.1)
        told_live = alerts_about(FLOODER, watch.records("alert"), "DoS")
        result = watch.stop()
    assert result.code == 0, result
    assert told_live, "a flood that nobody answers is reported while it runs, not when the sensor ends"
    alerts = watch.records("alert")
    floods, sweeps = alerts_about(FLOODER, alerts, "DoS"), alerts_about(SWEEPER, alerts, "Probe")
    assert floods
    assert sweeps
    assert any(name.endswith("serror_rate") for name in reasons(floods))
    counts = {"count", "srv_count", "dst_host_count"}  # or how many SYNs had no answer: what is outside of normal
    assert any(name in counts or name.endswith("serror_rate") for name in reasons(floods))
    assert any(name.endswith(("rerror_rate", "diff_srv_rate")) for name in reasons(sweeps))
    assert {alert["flowvigil"]["model"]["id"] for alert in alerts} == {"nsl-kdd-flow"}
