"""A bundle that uses columns of context: judged on rows that have them, and refused where rows come by themselves."""

from pathlib import Path

import numpy as np
import pytest

from flows.batch import FlowBatch
from flows.block import block_of
from flows.columns import NAMES
from flows.context.columns import CONTEXT_NAMES, context_contract
from flows.context.context import Context
from flows.meter import Meter, concatenate
from models.bundle import save_bundle
from models.calibration import fit_calibration
from models.detector import FlowSteps
from models.forest import IsolationForest
from models.fusion import Hybrid, Member, NormalProfile
from models.scaling import fit_scaling
from sensor.cli.build import build_judge, load_model
from sensor.cli.serve import row_format_for
from sensor.errors import ModelError
from sensor.settings.config import Config
from sensor.synth.generate import generate
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.models.builders import random_trees

COLUMNS = (*NAMES, *CONTEXT_NAMES)
USED = (NAMES[1], NAMES[2], NAMES[4], "src_flows_10s", "src_failed_share_10m", "pair_gaps", "svc_surge")


@pytest.fixture(scope="module")
def records() -> FlowBatch:
    """Of an office's morning with a scan in it."""
    packets = generate([NORMAL, PORTSCAN], seed=5, minutes=3.0).packets
    meter = Meter(4096, news_only=True)
    block = block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
    return concatenate([meter.feed(block), meter.drain()])


@pytest.fixture(scope="module")
def bundle(records: FlowBatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forest that looks at three columns of the record and four of its context."""
    rows = Context(4096, 1).columns(records)
    place = {name: COLUMNS.index(name) for name in USED}
    detector = IsolationForest(fit_scaling(rows, place), random_trees(20, 1, 5), psi=256)
    n = len(rows)
    steps = FlowSteps(rows, np.zeros((n, 2), dtype=np.int64), np.arange(n), np.ones(n, dtype=np.bool_))
    p01, median, p99, p999 = np.quantile(rows, (0.01, 0.5, 0.99, 0.999), axis=0)
    normal = NormalProfile(COLUMNS, p01, median, p99, p999).only(np.array(sorted(place.values())))
    hybrid = Hybrid(
        known=(),
        novel=(Member(detector, fit_calibration(detector.score(steps))),),
        labels=("BENIGN",),
        techniques=(None,),
        thresholds={0.001: (0.0005, 0.0005), 0.01: (0.005, 0.005)},
        normal=normal,
        contract=context_contract(),
        model_id="with-context",
    )
    path = tmp_path_factory.mktemp("bundles") / "with-context"
    save_bundle(path, hybrid, {})
    return path


def loaded(bundle: Path) -> tuple[Config, Hybrid]:
    config = Config()
    config = config.model_copy(update={"detection": config.detection.model_copy(update={"bundle": bundle})})
    return config, load_model(config)


def test_it_names_the_columns_of_context_that_it_uses_and_is_for_rows_that_have_them(bundle: Path) -> None:
    _, hybrid = loaded(bundle)
    assert hybrid.contract == context_contract()
    assert set(hybrid.used) == set(USED)


@pytest.mark.parametrize("size", [64, 100_000])
def test_a_judge_sees_the_context_of_records_however_they_come(bundle: Path, records: FlowBatch, size: int) -> None:
    config, hybrid = loaded(bundle)
    judge = build_judge(config, hybrid)
    seen: list[np.ndarray] = []
    make = judge.row_maker
    assert make is not None

    class Watched:
        def columns(self, batch: FlowBatch) -> np.ndarray:
            seen.append(make.columns(batch))
            return seen[-1]

    judge.row_maker = Watched()
    for first in range(0, len(records), size):
        judge.judge(FlowBatch(records.identity[first : first + size], records.values[first : first + size]))
    judge.finish()
    assert np.concatenate(seen).tobytes() == Context(4096, 1).columns(records).tobytes()


def test_each_run_has_a_context_of_its_own(bundle: Path, records: FlowBatch) -> None:
    config, hybrid = loaded(bundle)
    first, second = build_judge(config, hybrid).row_maker, build_judge(config, hybrid).row_maker
    assert first is not None
    assert second is not None
    assert first.columns(records).tobytes() == second.columns(records).tobytes()


def test_rows_of_context_that_gave_way_are_counted(bundle: Path, records: FlowBatch) -> None:
    config, hybrid = loaded(bundle)
    roomy = build_judge(config, hybrid)
    roomy.judge(records)
    assert roomy.context_evicted == 0
    small = config.model_copy(update={"episodes": config.episodes.model_copy(update={"capacity_hosts": 16})})
    judge = build_judge(small, hybrid)
    judge.judge(records)
    alone = Context(16, 1)
    alone.observe(records)
    assert judge.context_evicted == alone.evicted > 0


def test_rows_that_come_by_themselves_have_no_context(bundle: Path) -> None:
    _, hybrid = loaded(bundle)
    with pytest.raises(ModelError, match="with-context: found columns of what hosts did before"):
        row_format_for(hybrid)


def test_a_bundle_without_context_makes_no_rows() -> None:
    config = Config()
    judge = build_judge(config, load_model(config))
    assert judge.row_maker is None
    assert judge.context_evicted is None
    assert judge.hybrid.contract != context_contract()
