"""python -m sensor.synth: write synthetic traffic to a capture, and its ground truth to a CSV file."""

from pathlib import Path
from typing import Annotated

import typer

from flows.truth import write_truth
from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import DEMO_SEED, DEMO_SNAPLEN, SCENARIOS, generate
from sensor.synth.pcap import WHOLE, pcap_bytes, write_pcap

_ALL = "demo"
_BY_NAME = {scenario.name: scenario for scenario in CATALOGUE}
_NAMES = (_ALL, *_BY_NAME)

_EPILOG = """Examples:

python -m sensor.synth demo.pcap.gz

python -m sensor.synth morning.pcap --scenario normal --minutes 30 --snaplen 262144

python -m sensor.synth scan.pcap.gz --scenario normal --scenario portscan --seed 3 --truth scan.csv

python -m sensor.synth beacon.pcap.gz --scenario tls-beacon --minutes 480
"""

app = typer.Typer(add_completion=False)


def _known(names: list[str] | None) -> list[str] | None:
    for name in names or []:
        if name not in _NAMES:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(_NAMES)}")
    return names


def _list(wanted: bool) -> None:
    """Print the scenarios, and leave."""
    if not wanted:
        return
    typer.echo(f"{_ALL:20} {', '.join(scenario.name for scenario in SCENARIOS)}")
    for scenario in CATALOGUE:
        typer.echo(f"{scenario.name:20} {scenario.summary}")
    raise typer.Exit


@app.command(epilog=_EPILOG)
def main(
    out: Annotated[Path, typer.Argument(metavar="OUT.pcap[.gz]", help="Capture to write; .gz compresses it.")],
    *,
    scenario: Annotated[
        list[str] | None, typer.Option(callback=_known, help="One of those that --list names; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = DEMO_SEED,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, max=10_080.0, help="Length of the capture; else what the scenarios need.")
    ] = None,
    snaplen: Annotated[int, typer.Option(min=14, max=WHOLE, help="Bytes kept of each packet.")] = DEMO_SNAPLEN,
    nanoseconds: Annotated[bool, typer.Option(help="Nanosecond timestamps instead of microseconds.")] = False,
    truth: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV of what each flow is.")] = None,
    list_: Annotated[  # noqa: ARG001  its callback has acted
        bool, typer.Option("--list", callback=_list, is_eager=True, help="Name the scenarios, and what each is.")
    ] = False,
) -> None:
    """Write traffic of our own making to a capture: an office's ordinary morning, and attacks on it."""
    requested = scenario or [_ALL]
    chosen = [each for each in CATALOGUE if each.name in requested or (_ALL in requested and each in SCENARIOS)]
    traffic = generate(chosen, seed, minutes)
    write_pcap(out, pcap_bytes(traffic.packets, snaplen, nanoseconds))
    if truth is not None:
        with truth.open("w", encoding="utf-8", newline="") as stream:
            write_truth(traffic.truth, stream)
    typer.echo(f"{out}: {len(traffic.packets)} packets, {len(traffic.truth)} flows", err=True)


if __name__ == "__main__":
    app()
