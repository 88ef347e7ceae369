"""A small bundle that uses columns of context, and records to judge by it."""

from functools import cache

import numpy as np

from flows.batch import FlowBatch
from flows.block import block_of
from flows.columns import INDEX, NAMES
from flows.context.columns import CONTEXT_NAMES, context_contract
from flows.context.context import Context
from flows.meter import Meter, concatenate
from models.calibration import fit_calibration
from models.detector import FlowSteps
from models.forest import IsolationForest
from models.fusion import Hybrid, Member
from models.logistic import LogisticRegression
from models.masking import Masking, fit_masking
from models.normal import NormalProfile
from models.scaling import fit_scaling
from models.support import Support
from sensor.synth.generate import generate
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from sensor.synth.scenarios.scenario import Scenario
from tests.models.builders import random_trees

COLUMNS = (*NAMES, *CONTEXT_NAMES)
# By which a scan stands out, and what each weighs.
TELLING = {"fwd_bytes": -0.3, "rst_flag_count": 0.3, "src_ports_10m": 2.0, "src_failed_share_10m": 1.5}
LOOKED_AT = ("flow_duration", "fwd_packets", "bwd_packets", "src_flows_10s", "src_failed_share_10m", "pair_gaps",
             "svc_surge")  # fmt: skip


@cache
def records_of(*scenarios: Scenario, seed: int = 5, minutes: float = 3.0) -> FlowBatch:
    """Records of an office's morning as a judge gets them."""
    packets = generate(scenarios, seed=seed, minutes=minutes).packets
    meter = Meter(4096, news_only=True)
    block = block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
    return concatenate([meter.feed(block), meter.drain()])


def with_a_scan() -> FlowBatch:
    """Records of a morning with a port scan in it."""
    return records_of(NORMAL, PORTSCAN)


def context_hybrid(*, masked: bool = True) -> Hybrid:
    """A regression by which a scan stands out, mostly by its context, and a forest of trees drawn at random.

    masked: whether it can judge rows without context.
    """
    rows = Context(4096, 1).columns(records_of(NORMAL, seed=4, minutes=10.0))
    fitted = Context(4096, 1).columns(with_a_scan())
    telling = {name: COLUMNS.index(name) for name in TELLING}
    looked_at = {name: COLUMNS.index(name) for name in LOOKED_AT}
    known = LogisticRegression(fit_scaling(fitted, telling), np.array(list(TELLING.values())), bias=-4.0)
    novel = IsolationForest(fit_scaling(rows, looked_at), random_trees(20, 1, 5), psi=256)
    n = len(rows)
    steps = FlowSteps(rows, np.zeros((n, 2), dtype=np.int64), np.arange(n), np.ones(n, dtype=np.bool_))
    used = telling | looked_at | {name: INDEX[name] for name in ("protocol", "fwd_packets", "bwd_packets")}
    quantiles = np.quantile(rows, (0.01, 0.5, 0.99, 0.999), axis=0)
    return Hybrid(
        known=(Member(known, fit_calibration(known.score(steps))),),
        novel=(Member(novel, fit_calibration(novel.score(steps))),),
        labels=("BENIGN",),
        techniques=(None,),
        thresholds={0.001: (0.0005, 0.0005), 0.01: (0.005, 0.005)},
        normal=NormalProfile(COLUMNS, *quantiles).only(np.array(sorted(used.values()))),
        contract=context_contract(),
        model_id="with-context",
        support=Support(COLUMNS, None),
        masking=masking_of(rows, sorted(used.items(), key=lambda item: item[1])) if masked else None,
    )


def masking_of(rows: np.ndarray, used: list[tuple[str, int]]) -> Masking:
    """What stands for the columns of context among those used."""
    return fit_masking(rows, {name: place for name, place in used if name in CONTEXT_NAMES})
