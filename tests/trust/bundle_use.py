"""What a sensor and its commands do with a bundle that has loaded, in one process and without files: it has to work."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

import sensor
from flows.batch import FlowBatch
from models.detector import FlowSteps
from models.fusion import Hybrid
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.api.budget import TimeBudget
from sensor.api.reasons import REASONS
from sensor.api.samples import Samples
from sensor.api.scoring import ModelLease, model_document, rows_document
from sensor.cli.build import build_drift, build_judge, build_row_maker, load_model
from sensor.cli.model import _about, _facts, _line
from sensor.cli.replay import DefaultSensor
from sensor.cli.serve import row_format_for
from sensor.episodes.learned_site import site_in_words, warming_site
from sensor.episodes.reasons import Explainer
from sensor.report.subject import judging_of
from sensor.run.detection import in_parts
from sensor.settings.config import Config

DEMO: Final = Path(str(sensor.__file__)).parent / "synth" / "demo.pcap.gz"
# What floats are at their ends, and numbers at the edges of what columns hold.
EXTREMES: Final = (
    *(0.0, -0.0, 1.0, -1.0, 2.0, 6.0, 17.0, 255.0, 256.0, 65535.0, 2.0**53, 2.0**63, -(2.0**63)),
    *(1.4e-45, -1.4e-45, 5e-324, 3.4e38, -3.4e38, 1e39, 1.79e308, -1.79e308, math.inf, -math.inf, math.nan),
)


@cache
def demo_records(every: int) -> FlowBatch:
    """Each so many-th record of the demo capture, as a judge gets them."""
    records, _ = DefaultSensor().metered(DEMO)
    return FlowBatch(records.identity[::every].copy(), records.values[::every].copy())


def loaded(bundle: Path, keys: str | None = None) -> Hybrid:
    """The bundle as every command loads it. keys: detection.bundle_keys. Raises ModelError."""
    return load_model(Config.model_validate({"detection": {"bundle": bundle, "bundle_keys": keys}}))


def use(hybrid: Hybrid, every: int = 5, seed: int = 1) -> None:
    """What read, check, report, serve and model do with it. Raises ModelError for a refusal, else for a fault."""
    config = Config.model_validate({"drift": {"runs": "all"}})
    judge = build_judge(config, hybrid)
    drift = build_drift(config, hybrid, live=True)
    judge.observer = drift
    records = demo_records(every)
    items = [item for part in in_parts(records) for item in judge.judge(part)]
    items += judge.finish()
    for item in items:
        if isinstance(item, Alert):
            check_finite(orjson.loads(alert_line(item)), "alert")
    judging_of(hybrid)
    about = _about(hybrid, "bundle")
    orjson.dumps([about, _facts(about), _line(about, 1)])
    if hybrid.site is not None:
        site_in_words(hybrid.site)
        warming_site(hybrid.site)
    hybrid.forget()
    use_api(hybrid, records)
    use_extremes(hybrid, np.random.default_rng(seed))
    hybrid.forget()


def use_api(hybrid: Hybrid, records: FlowBatch) -> None:
    """What the API says of the model, and of rows with their reasons."""
    maker = build_row_maker(hybrid, 1024)
    rows = (records.values if maker is None else maker.columns(records))[-40:]
    rate = hybrid.default_rate
    check_finite(model_document(hybrid, rate, row_format_for(hybrid).name), "model")
    lease = ModelLease(hybrid, Explainer(hybrid.normal), TimeBudget(60.0))
    for reasons in REASONS:
        check_finite(rows_document(hybrid, lease.score(Samples(rows), rate, reasons)), "row")


def use_extremes(hybrid: Hybrid, rng: np.random.Generator) -> None:
    """Rows of whatever a float can be: all that is said of them is finite."""
    steps = extreme_steps(rng, 64, len(hybrid.normal.columns))
    check_judgement(hybrid, steps)


def extreme_steps(rng: np.random.Generator, rows: int, width: int, *, masked: bool = False) -> FlowSteps:
    """Rows of extremes, of random bits, and of both beside ordinary numbers; times and hosts likewise."""
    values = rng.choice(EXTREMES, (rows, width))
    bits = rng.integers(0, 1 << 64, (rows, width), dtype=np.uint64).view(np.float64)
    plain = np.exp(rng.normal(3.0, 4.0, (rows, width)))
    kind = rng.integers(0, 3, (rows, width))
    values = np.select([kind == 0, kind == 1], [values, bits], plain)
    values[0], values[1], values[2] = np.nan, np.inf, -np.inf
    times = rng.integers(-(1 << 63), (1 << 63) - 1, rows)
    hosts = rng.integers(-2, 3, (rows, 2))
    return FlowSteps(values, hosts, times, rng.random(rows) < 0.7, masked)


def check_judgement(hybrid: Hybrid, steps: FlowSteps) -> None:
    """Raise AssertionError where something of a judgement is not finite or out of its range."""
    for rate in hybrid.thresholds:
        with np.errstate(all="raise", under="ignore"):
            judgement = hybrid.judge(steps, rate)
        for name, p in (("known", judgement.p_known), ("novel", judgement.p_novel)):
            if not ((p > 0) & (p <= 1)).all():
                raise AssertionError(f"p of the {name} lane is {p.min()} to {p.max()}")
        for name, score in judgement.scores.items():
            if not ((score >= 0) & (score <= 1)).all():
                raise AssertionError(f"scores of {name} are {score.min()} to {score.max()}")
        if not ((judgement.label >= 0) & (judgement.label < len(hybrid.labels))).all():
            raise AssertionError("labels out of range")


def check_finite(value: Any, where: str) -> None:
    """Raise AssertionError for a number in a document that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        raise AssertionError(f"{where} is {value}")
    if isinstance(value, Mapping):
        for key, each in value.items():
            check_finite(each, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for each in value:
            check_finite(each, where)
