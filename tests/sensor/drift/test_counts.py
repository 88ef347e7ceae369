"""What is counted for a bundle: which columns days are compared in, and from when on."""

from pathlib import Path

import numpy as np

from flows.columns import NAMES
from flows.context.columns import CONTEXT_NAMES
from sensor.cli.build import load_model
from sensor.drift.counts import CONTEXT_DAYS, DETECTOR_DAYS, NEVER, BundleView, settled_on
from sensor.settings.config import Config, DetectionSection


def view(bundle: str) -> BundleView:
    return BundleView(load_model(Config(detection=DetectionSection(bundle=Path(bundle)))))


def test_a_flows_own_columns_are_compared_from_the_first_day_and_context_that_remembers_long_never() -> None:
    own, context = [settled_on(name) for name in NAMES], {name: settled_on(name) for name in CONTEXT_NAMES}
    assert set(own) == {0}
    assert context["src_flows_10m"] == context["svc_surge"] == CONTEXT_DAYS
    assert context["pair_age"] == context["pair_sent_mean"] == context["src_new_peers_day"] == NEVER
    never = {name for name, day in context.items() if day == NEVER}
    assert {name for name in CONTEXT_NAMES if name.endswith("_day")} < never
    assert not {name for name in never if name.endswith(("_1s", "_10s", "_1m", "_10m"))}


def test_only_the_columns_that_a_bundle_uses_are_counted() -> None:
    default, published = view("default"), view("cic2017")
    assert default.detectors_settled == DETECTOR_DAYS
    assert published.detectors_settled == 0
    assert published.of_flow.all()
    assert set(np.array(default.columns)[~default.of_flow]) <= set(CONTEXT_NAMES)
    assert default.quantiles.shape == (len(default.columns), 4)
    assert not np.isnan(default.quantiles).any()
