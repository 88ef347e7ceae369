"""An alert storm: ten thousand hosts a second, each of which an alert opens for, with the budget and without.

    python -m tests.bench.storm [hosts] [seconds]

Each host asks ports of a target of its own that refuses them, in the second that is its own; with one target for all
it would be a flood. Prints lines, alerts and CPU time of `flowvigil read` with the default budget and with none, and
whether the counts of both add up to the same.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sensor.synth.packets import IPV4, TCP, Flag, ethernet, internet, tcp
from sensor.synth.pcap import pcap_bytes, write_pcap

PORTS = 6
START_NS = 1_700_000_000_000_000_000


def storm(hosts: int, seconds: int) -> Iterator[tuple[int, bytes]]:
    """SYN and RST of each host's few ports, in time order."""
    step_ns = 1_000_000_000 // (hosts * PORTS * 2)
    at_ns = START_NS
    for second in range(seconds):
        for host in range(hosts):
            number = second * hosts + host
            source = bytes((10, number >> 16 & 255, number >> 8 & 255, number & 255))
            target = bytes((11, number >> 16 & 255, number >> 8 & 255, number & 255))
            for port in range(PORTS):
                ports = 40000 + port, 20 + port
                asked = tcp((source, target), ports, 1, 0, Flag.SYN, window=1024)
                refused = tcp((target, source), ports[::-1], 0, 2, Flag.RST | Flag.ACK, window=0)
                for addresses, segment in (((source, target), asked), ((target, source), refused)):
                    body = internet(*addresses, TCP, segment, ttl=64, ident=number)
                    frame = ethernet(b"\x02" * 6, b"\x04" * 6, IPV4, body)
                    yield at_ns, frame
                    at_ns += step_ns


def read(capture: Path, *settings: str) -> tuple[list[dict[str, object]], float]:
    """The lines that a capture gives rise to, and user + sys seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [part for setting in settings for part in ("--set", setting)]
    run = subprocess.run(
        [str(Path(sys.executable).with_name("flowvigil")), "read", "-q", *arguments, str(capture)],
        stdout=subprocess.PIPE,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [json.loads(line) for line in run.stdout.splitlines()], spent


def totals(lines: list[dict[str, object]]) -> tuple[int, int, int]:
    """Hosts, flows and packets that the last line of each alert counts."""
    ends = {line["event"]["id"]: line["flowvigil"] for line in lines}.values()  # type: ignore[index]
    counted = [(own["sources"], own["flows"], own["packets"]) for own in ends]  # type: ignore[index]
    return sum(c[0] for c in counted), sum(c[1] for c in counted), sum(c[2] for c in counted)


def main() -> None:
    """The same storm twice."""
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as name:
        capture = Path(name) / "storm.pcap"
        write_pcap(capture, pcap_bytes(storm(hosts, seconds)))
        size = capture.stat().st_size
        print(f"{hosts:,} hosts a second for {seconds} s: {hosts * seconds * PORTS:,} flows, {size / 1e6:.0f} MB")
        found = {}
        for budget in ("120", "null"):
            lines, spent = read(capture, f"episodes.alerts_per_minute={budget}", "episodes.capacity_hosts=65536")
            opened = sum(line["event"]["action"] == "opened" for line in lines)  # type: ignore[index]
            found[budget] = totals(lines)
            print(
                f"alerts_per_minute {budget}: {opened:,} alerts in {len(lines):,} lines, {spent:.1f} s of CPU; "
                f"hosts, flows, packets counted: {', '.join(f'{n:,}' for n in found[budget])}"
            )
    assert found["120"] == found["null"], "the counts differ"
    assert found["120"][0] == hosts * seconds


if __name__ == "__main__":
    main()
