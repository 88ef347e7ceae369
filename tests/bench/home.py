"""The story of two sites: a bundle of other networks on a site, before and after a baseline of its own traffic.

`python -m tests.bench.home [--lab RUNS]`: of each site of the lab with runs without attacks and with them (`flowvigil
lab run`), what the bundles say of it as they are, and after a baseline on the run without; without such runs of the
generator's office, which takes no root. Then alerts a day as they were asked for and as they came, on days of that
office that nothing was learnt from.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from flows.batch import END_NS, REPORTED_NS, START_NS, FlowBatch
from flows.meter import concatenate
from models.fusion import Hybrid
from sensor.baseline.learning import Asked, learn
from sensor.cli.build import load_model
from sensor.cli.learning import SiteSensor, fit_forest
from sensor.cli.made_traffic import MadeTraffic
from sensor.cli.replay import DefaultSensor
from sensor.run.detection import in_parts
from sensor.settings.config import Config
from training.datasets.captures.index import CaptureIndex, LabelledCapture, read_index
from training.datasets.captures.lab_runs import lab_runs
from training.datasets.captures.metered import CaptureTable, read_captures
from training.evaluation.networks.judged import judged_capture

BUNDLES = ("default", "cic2017")
ASKED = (1.0, 5.0, 20.0)
ATTACKS = ("portscan", "ssh", "synflood", "slowhttp", "dns-tunnel", "exfiltration", "udp-sweep", "rdp-guessing")
DAY_MINUTES, DAY_NS = 1440.0, 86_400_000_000_000
LEARNT_DAYS, JUDGED_DAYS = 3, 2


@dataclass(frozen=True)
class Told:
    """What is said of the runs of a site with attacks, and without."""

    false: int
    host_days: float
    found: int
    named: int
    episodes: int


def bundle(name: str) -> Hybrid:
    return load_model(Config.model_validate({"detection": {"bundle": name}}))


def at_home(hybrid: Hybrid, records: FlowBatch, alerts_per_day: float) -> Hybrid:
    """The bundle after a baseline on these records."""
    learning = learn(
        hybrid, lambda: in_parts(records), SiteSensor(Config()), Asked(alerts_per_day), fit_forest, lambda _: None
    )
    return learning.hybrid


def told(hybrid: Hybrid, table: CaptureTable, captures: Sequence[int]) -> Told:
    sensor = DefaultSensor()
    judged = [judged_capture(table, number, sensor.alerts(hybrid, table.records(number))) for number in captures]
    episodes = [episode for own in judged for episode in own.episodes]
    return Told(
        sum(len(own.false_alerts) for own in judged),
        sum(own.host_days for own in judged),
        sum(episode.found for episode in episodes),
        sum(episode.named for episode in episodes),
        len(episodes),
    )


def sites_of(table: CaptureTable) -> Iterator[tuple[str, int, list[int]]]:
    """Site, its capture without attacks, and all others."""
    by_site: dict[str, list[int]] = defaultdict(list)
    attacked = {episode.capture for episode in table.episodes}
    for number, capture in enumerate(table.index.captures):
        by_site[capture.network].append(number)
    for site, captures in sorted(by_site.items()):
        quiet = [number for number in captures if number not in attacked]
        if quiet and len(quiet) < len(captures):
            yield site, quiet[0], captures


def made_site(directory: Path) -> list[LabelledCapture]:
    """The generator's office, once without attacks and once with each."""
    traffic, lines = MadeTraffic(), ["path,kind,network,truth"]
    for seed, names in enumerate([("normal",), *(("normal", attack) for attack in ATTACKS)], start=41):
        capture, truth = directory / f"{names[-1]}.pcap", directory / f"{names[-1]}.csv"
        traffic.write(names, seed, 120.0 if len(names) == 1 else 40.0, capture, truth)
        lines.append(f"{capture.name},labelled,office (made),{truth.name}")
    (directory / "index.csv").write_text("\n".join(lines) + "\n")
    return list(read_index(directory / "index.csv").captures)


def two_sites(captures: Sequence[LabelledCapture], index: Path) -> None:
    table = read_captures(CaptureIndex(index, tuple(captures), ""), DefaultSensor().metered, lambda _: None)
    print(f"{'bundle':<9}{'site':<16}{'':<8}{'false alerts':>13}{'host-days':>11}{'found':>12}{'named':>7}")
    for name in BUNDLES:
        shipped = bundle(name)
        for site, quiet, all_of in sites_of(table):
            own = at_home(shipped, table.records(quiet), 1.0)
            for when, hybrid in (("before", shipped), ("after", own)):
                said = told(hybrid, table, all_of)
                print(
                    f"{name:<9}{site:<16}{when:<8}{said.false:>13}{said.host_days:>11.2f}"
                    f"{f'{said.found} of {said.episodes}':>12}{said.named:>7}",
                    flush=True,
                )


def made_day(seed: int) -> FlowBatch:
    """A day of the generator's office."""
    with TemporaryDirectory() as directory:
        capture = Path(directory) / "day.pcap"
        MadeTraffic().write(["normal"], seed, DAY_MINUTES, capture, Path(directory) / "truth.csv")
        return DefaultSensor().metered(capture)[0]


def later(records: FlowBatch, days: int) -> FlowBatch:
    identity = records.identity.copy()
    identity[:, [START_NS, END_NS, REPORTED_NS]] += np.int64(days * DAY_NS)
    return FlowBatch(identity, records.values)


def alerts_a_day() -> None:
    with ProcessPoolExecutor(2) as pool:
        days = list(pool.map(made_day, range(31, 31 + LEARNT_DAYS + JUDGED_DAYS)))
    learnt = concatenate([later(day, number) for number, day in enumerate(days[:LEARNT_DAYS])])
    judged = concatenate([later(day, number) for number, day in enumerate(days[LEARNT_DAYS:])])
    print(f"\nalerts a day, {LEARNT_DAYS} days learnt, {JUDGED_DAYS} others judged")
    print(f"{'asked':>8}{'expected':>22}{'came':>8}")
    shipped = bundle("default")
    print(f"{'shipped':>8}{'':>22}{_fresh(shipped, judged) / JUDGED_DAYS:>8.1f}")
    for asked in ASKED:
        own = at_home(shipped, learnt, asked)
        assert own.site is not None
        low, mean, high = own.site.expected_alerts_per_day
        came = _fresh(own, judged) / JUDGED_DAYS
        print(f"{asked:>8g}{f'{mean:.1f} ({low:.1f} to {high:.1f})':>22}{came:>8.1f}", flush=True)


def _fresh(hybrid: Hybrid, records: FlowBatch) -> int:
    """Alerts that are no habits of the site."""
    from sensor.alerts.alert import Alert
    from sensor.cli.build import build_judge

    hybrid.forget()
    judge = build_judge(Config(), hybrid)
    items = [item for part in in_parts(records) for item in judge.judge(part)]
    hybrid.forget()
    return sum(isinstance(item, Alert) and item.action == "opened" and item.habit is None for item in items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, help="directory of runs of the lab")
    parser.add_argument("--no-days", action="store_true", help="leave out the alerts a day")
    asked = parser.parse_args()
    with TemporaryDirectory() as directory:
        runs = asked.lab is not None and asked.lab.is_dir() and any(asked.lab.iterdir())
        if runs:
            two_sites(lab_runs(asked.lab, "lab"), asked.lab)
        else:
            print("no runs of the lab (make lab-sites): the generator's office instead")
            two_sites(made_site(Path(directory)), Path(directory))
    if not asked.no_days:
        alerts_a_day()


if __name__ == "__main__":
    main()
