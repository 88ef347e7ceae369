"""Names that traffic tells: in the lines of alerts as it comes, and judged by none."""

import json
from pathlib import Path
from typing import Any

import pytest

from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.command import flowvigil

pytestmark = [pytest.mark.ux, pytest.mark.takes(6)]

OFF = ("--set", "meter.seen_names=false")


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Guessing of passwords over TLS: its alert shows a flow that says hello."""
    path = tmp_path_factory.mktemp("names") / "imaps.pcap"
    chosen = [scenario for scenario in CATALOGUE if scenario.name == "imaps-guessing"]
    write_pcap(path, pcap_bytes((packet.ts_ns, packet.frame) for packet in generate(chosen, 1).packets))
    return path


def lines(*arguments: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in flowvigil("read", *arguments).stdout.splitlines()]


def without_names(line: dict[str, Any]) -> dict[str, Any]:
    own = {
        name: of for name, of in line["flowvigil"].items() if name not in ("source_names", "destination_names", "ja4")
    }
    return {name: of for name, of in line.items() if name != "tls"} | {"flowvigil": own}


@pytest.mark.parametrize("settings", [(), ("--workers", "2"), ("--workers", "2", "--independent")])
def test_alerts_are_the_same_but_for_names(capture: Path, settings: tuple[str, ...]) -> None:
    named, plain = lines(capture, *settings), lines(capture, *settings, *OFF)
    assert named
    assert all(line["flowvigil"]["ja4"] and line["tls"]["client"]["server_name"] for line in named)
    assert [without_names(line) for line in named] == plain == [without_names(line) for line in plain]
