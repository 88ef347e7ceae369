"""Alerts on captures of networks that nobody trained on, counted.

    python -m tests.bench.foreign DIR

DIR holds captures and an `index.csv` with the columns path (below DIR), kind (benign or attack), group, and expect (the
ATT&CK ids that an alert on it may have, parents, separated by spaces). Each is read by `flowvigil read` with its
defaults, in a process forked from one that has the kernels and the bundle. An alert has a right name where its
technique, or the one above it, is among those expected.

Nothing here passes or fails.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sensor.__main__ import main as flowvigil
from sensor.alerts.techniques import technique_of
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes
from sensor.synth.scenarios.portscan import PORTSCAN

SEVERE = 60
COLUMNS = ("captures", "flows", "alerts", "attack", "severe", "raised", "named", "severe, named wrongly", "failed")


def main() -> None:
    """Read every capture of the index and print a line for each group, then one for each kind."""
    options = argparse.ArgumentParser(description="Count alerts on captures of networks that nobody trained on.")
    options.add_argument("directory", type=Path, help="captures and their index.csv")
    options.add_argument("-v", "--verbose", action="store_true", help="print each alert's last message as well")
    chosen = options.parse_args()
    index = chosen.directory / "index.csv"
    if not index.is_file():
        print(f"foreign captures: skipped, there is no {index}")
        return
    with index.open() as table, tempfile.TemporaryDirectory() as scratch:
        counts = counted(csv.DictReader(table), chosen.directory, Path(scratch), verbose=chosen.verbose)
    for kind in sorted({kind for kind, _ in counts}):
        groups = {group: count for (k, group), count in sorted(counts.items()) if k == kind}
        for group, count in groups.items():
            print(f"{kind}/{group}:", in_words(count))
        total: Counter[str] = sum(groups.values(), Counter())
        rate = f", {1000 * total['alerts'] / max(1, total['flows']):.2f} alerts a 1,000 flows" * (kind == "benign")
        print(f"{kind.upper()}:", in_words(total) + rate)


def in_words(count: Counter[str]) -> str:
    """Such as `16 captures, 8,475 flows, 14 alerts`, without what is 0."""
    return ", ".join(f"{count[column]:,} {column}" for column in COLUMNS if count[column])


def counted(
    rows: Iterable[dict[str, str]], directory: Path, scratch: Path, *, verbose: bool
) -> dict[tuple[str, str], Counter[str]]:
    """What was said of each group of captures, by kind and group."""
    warm = scratch / "warm.pcap"
    warm.write_bytes(pcap_bytes(generate([PORTSCAN], seed=1, minutes=0.2).packets))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    run(warm, scratch / "warm")  # here, so that those forked have all of it
    counts: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        count = counts.setdefault((row["kind"], row["group"]), Counter())
        said = scratch / "said"
        code = forked(directory / row["path"], said)
        expected = set(row["expect"].split())
        alerts = list(last_lines(said))
        right = [bool(techniques(alert) & expected) for alert in alerts]
        severe = [alert["event"]["severity"] >= SEVERE for alert in alerts]
        count["captures"] += 1
        count["failed"] += code not in (0, 6)
        count["flows"] += flows_of(Path(f"{said}.err"))
        count["alerts"] += len(alerts)
        count["attack"] += sum(alert["flowvigil"]["verdict"] == "attack" for alert in alerts)
        count["severe"] += sum(severe)
        count["raised"] += bool(alerts)
        count["named"] += any(right)
        count["severe, named wrongly"] += sum(s and not r for s, r in zip(severe, right, strict=True))
        if verbose:
            for alert in alerts:
                print(row["path"], alert["message"], sep=": ")
    return counts


def forked(capture: Path, said: Path) -> int:
    """Exit code of `flowvigil read` of a capture, its lines in `said` and its words in `said`.err."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(run(capture, said) & 255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(capture: Path, said: Path) -> int:
    """The same in this process, whose output is put back afterwards."""
    before = os.dup(1), os.dup(2)
    for number, name in ((1, str(said)), (2, f"{said}.err")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["flowvigil", "read", str(capture)]
    try:
        code = int(flowvigil() or 0)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    sys.stdout.flush()
    for number, saved in zip((1, 2), before, strict=True):
        os.dup2(saved, number)
        os.close(saved)
    return code


def last_lines(said: Path) -> Iterator[dict[str, Any]]:
    """The last line of each alert."""
    lines = (json.loads(line) for line in said.read_bytes().splitlines())
    yield from {line["event"]["id"]: line for line in lines if line["event"]["dataset"] == "flowvigil.alert"}.values()


def techniques(alert: dict[str, Any]) -> set[str]:
    """Ids of the techniques that an alert names, parents."""
    named = (technique_of(name) for name in alert.get("threat", {}).get("technique", {}).get("id", []))
    return {technique.parent for technique in named if technique is not None}


def flows_of(words: Path) -> int:
    """Flows that the summary line tells of."""
    for part in words.read_text(errors="replace").split(", "):
        number, _, unit = part.partition(" ")
        if unit == "flows":
            return int(number.replace(",", ""))
    return 0


if __name__ == "__main__":
    main()
