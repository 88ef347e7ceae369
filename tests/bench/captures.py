"""The captures that are measured: the first packets of the demo, and a large one from a generator of its own."""

import gzip
import sys
from pathlib import Path

from tests.bench.process import REPOSITORY, run

GENERATOR = REPOSITORY.parent / "shared" / "tools" / "gen_pcap.py"
DEMO = REPOSITORY / "sensor" / "synth" / "demo.pcap.gz"
FLOWS_PER_PACKET = 0.03


def large(scratch: Path, packets: int) -> tuple[Path, Path]:
    """A capture of TCP and UDP flows of heavy-tailed sizes, whole and cut to 96 bytes a packet.

    Raises FileNotFoundError where the generator is not beside the repository.
    """
    if not GENERATOR.exists():
        raise FileNotFoundError(f"no generator at {GENERATOR}")
    whole, cut = scratch / f"whole-{packets}.pcap", scratch / f"cut-{packets}.pcap"
    flows = round(packets * FLOWS_PER_PACKET)
    run([sys.executable, str(GENERATOR), str(whole), str(cut), str(packets), str(flows)])
    return whole, cut


def beginning(source: Path, target: Path, packets: int) -> Path:
    """The first packets of a little-endian pcap, which may be gzipped."""
    with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as content, target.open("wb") as out:
        out.write(content.read(24))
        for _ in range(packets):
            header = content.read(16)
            out.write(header)
            out.write(content.read(int.from_bytes(header[8:12], "little")))
    return target
