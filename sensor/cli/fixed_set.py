"""The fixed set that every challenger is tried on: the generator's attacks and its normal traffic, at fixed seeds.

Each capture is one scenario (sensor.synth.catalogue), made when it is judged and then forgotten: no file but its truth.
Of each family of attacks there are EPISODES at least, of each kind of normal traffic NORMAL_SEEDS captures.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import FlowBatch
from flows.block import block_of
from flows.meter import Meter, concatenate
from flows.truth import write_truth
from models.fusion import Hybrid
from sensor.cli.replay import DefaultSensor
from sensor.files.unfinished import kept_in
from sensor.synth.catalogue import ATTACKS, EVERYDAY
from sensor.synth.generate import SCENARIOS, Traffic, generate
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.scenario import Scenario
from training.datasets.captures.index import CaptureIndex, Kind, LabelledCapture
from training.evaluation.networks.sensor import RaisedAlert
from training.labels import technique_family

NAME: Final = "the fixed set"
EPISODES: Final = 60  # of each family: then one that is lost is within the margin (training.evaluation.promotion)
NORMAL_SEEDS: Final = 3
FIRST_SEED: Final = 20_170
ATTACKING: Final = (*(scenario for scenario in SCENARIOS if scenario is not NORMAL), *ATTACKS)
ORDINARY: Final = (NORMAL, *EVERYDAY)
_METER_FLOWS: Final = 16_384  # more than any of them has at once


@dataclass(frozen=True, slots=True)
class _Made:
    """One capture that is to be made."""

    scenario: Scenario
    seed: int


class FixedSet:
    """The captures of the set, and the sensor that judges them (training.evaluation.promotion.trials.TrialSensor)."""

    def __init__(
        self,
        work: Path,
        sensor: DefaultSensor,
        attacks: Sequence[Scenario] = ATTACKING,
        normal: Sequence[Scenario] = ORDINARY,
        episodes: int = EPISODES,
        normal_seeds: int = NORMAL_SEEDS,
    ) -> None:
        """work: directory for truths. sensor: raises the alerts. episodes: of each family of attacks, at least."""
        self._work = work
        self._sensor = sensor
        self._digest = hashlib.sha256()
        families = {scenario: _family(scenario) for scenario in attacks}
        each = Counter(families.values())
        seeds = {scenario: -(-episodes // each[families[scenario]]) for scenario in attacks}
        self._attacks = {
            self._path(scenario, seed): _Made(scenario, seed)
            for scenario in attacks
            for seed in range(FIRST_SEED, FIRST_SEED + seeds[scenario])
        }
        self._normal = {
            self._path(scenario, seed): _Made(scenario, seed)
            for seed in range(FIRST_SEED, FIRST_SEED + normal_seeds)
            for scenario in normal
        }

    @property
    def index(self) -> CaptureIndex:
        """All captures, those with attacks first."""
        attacks = [_labelled(path, made, "labelled") for path, made in self._attacks.items()]
        normal = [_labelled(path, made, "benign") for path, made in self._normal.items()]
        return CaptureIndex(self._work, (*attacks, *normal), "")

    @property
    def sha256(self) -> str:
        """Digest of the packets of all captures that were made so far."""
        return self._digest.hexdigest()

    def metered(self, capture: Path) -> tuple[FlowBatch, Sequence[str]]:
        """All records of a capture as a judge gets them; its truth is written. Nothing of it is unreadable."""
        made = self._attacks.get(capture) or self._normal[capture]
        traffic = generate([made.scenario], made.seed)
        if capture in self._attacks:
            with kept_in(self._work), _truth_of(capture).open("w", encoding="utf-8", newline="") as out:
                write_truth(traffic.truth, out)
        for packet in traffic.packets:
            self._digest.update(packet.ts_ns.to_bytes(8, "little"))
            self._digest.update(packet.frame)
        return _metered(traffic), ()

    def alerts(self, hybrid: Hybrid, records: FlowBatch) -> list[RaisedAlert]:
        """The alerts on the records of one capture, in the order of their opening; the model begins without state."""
        return self._sensor.alerts(hybrid, records)

    def flagged(self, hybrid: Hybrid, records: FlowBatch, cuts: tuple[float, float]) -> NDArray[np.bool_]:
        """Which records of one capture have a p-value below a lane's cut, (n,); the model begins without state."""
        return self._sensor.flagged(hybrid, records, cuts)

    def normal_records(self) -> list[FlowBatch]:
        """The records of one capture of each kind of normal traffic, to take the time of judging by."""
        first: dict[Scenario, _Made] = {}
        for made in self._normal.values():
            first.setdefault(made.scenario, made)
        return [_metered(generate([made.scenario], made.seed)) for made in first.values()]

    def _path(self, scenario: Scenario, seed: int) -> Path:
        return self._work / f"{scenario.name}-{seed}"


def _family(scenario: Scenario) -> str:
    """Family of the attack that a scenario is."""
    techniques = [truth.technique for truth in generate([scenario], FIRST_SEED).truth if truth.attack]
    return technique_family(techniques[0])


def _labelled(path: Path, made: _Made, kind: Kind) -> LabelledCapture:
    truth = _truth_of(path) if kind == "labelled" else None
    name = made.scenario.name
    return LabelledCapture(path.name, path, kind, name, name, frozenset(), "", truth, "")


def _truth_of(capture: Path) -> Path:
    return capture.with_name(f"{capture.name}.csv")


def _metered(traffic: Traffic) -> FlowBatch:
    """Records of traffic as a judge gets them."""
    meter = Meter(_METER_FLOWS, news_only=True)
    block = block_of([packet.frame for packet in traffic.packets], [packet.ts_ns for packet in traffic.packets])
    return concatenate([meter.feed(block), meter.drain()])
