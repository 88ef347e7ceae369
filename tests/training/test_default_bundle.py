"""The default bundle is what its manifest says it is."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from flows.columns import NAMES, usable_by_models
from flows.context.columns import CONTEXT_NAMES, context_contract
from models.bundle import load_bundle
from models.fusion import Hybrid
from models.support import COLUMNS
from sensor.cli.build import bundle_path
from sensor.episodes.shapes import CHANNEL_LABEL, DOS_LABEL, GUESS_LABEL, SCAN_LABEL, UPLOAD_LABEL, label_kind
from training.evaluation.networks.recipes import networks_recipe
from training.train_networks import MOST_BYTES

RECIPE = Path(__file__).resolve().parents[2] / "configs" / "training" / "default.yaml"
BUNDLE = bundle_path(None)


@pytest.fixture(scope="module")
def shipped() -> Hybrid:
    return load_bundle(BUNDLE, context_contract())


def test_its_weights_are_small_and_the_named_ones(shipped: Hybrid) -> None:
    weights = (BUNDLE / "weights.safetensors").read_bytes()
    assert len(weights) < MOST_BYTES
    assert hashlib.sha256(weights).hexdigest() == shipped.sha256
    assert shipped.model_id == BUNDLE.name == "default"


def test_it_holds_the_recipe_that_made_it(shipped: Hybrid) -> None:
    assert shipped.about["recipe"] == RECIPE.read_text(encoding="utf-8")


def test_it_says_which_networks_it_saw_by_hash(shipped: Hybrid) -> None:
    (recipe, _), sources = networks_recipe(RECIPE), shipped.about["sources"]
    assert [source["name"] for source in sources] == [source.name for source in recipe.captures]
    assert len({network for source in sources for network in source["networks"]}) > 20
    for source in sources:
        assert len(source["sha256"]) == 64
        assert source["citation"]
        assert sum(source["families"].values()) == source["attack"]
        assert source["normal"] + source["attack"] + source["without_label"] == source["flows"]


def test_nothing_of_the_clinic_was_shown_to_it(shipped: Hybrid) -> None:
    assert "clinic" not in {network for source in shipped.about["sources"] for network in source["networks"]}


def test_its_detectors_see_behaviour_of_flows_and_what_their_hosts_did_before(shipped: Hybrid) -> None:
    allowed = {*usable_by_models(fingerprints=False), *CONTEXT_NAMES}
    for member in (*shipped.known, *shipped.novel):
        assert set(member.detector.scaling.columns) <= allowed  # type: ignore[attr-defined] # all of them have one
    assert set(shipped.used) & set(NAMES)
    assert set(shipped.used) & set(CONTEXT_NAMES)


def test_it_works_where_nobody_knows_the_context(shipped: Hybrid) -> None:
    assert set(shipped.maskable) == set(shipped.used) & set(CONTEXT_NAMES)


def test_its_known_lane_is_calibrated_class_by_class(shipped: Hybrid) -> None:
    assert shipped.classes is not None
    assert len(shipped.classes) == len(shipped.labels) - 1


def test_its_labels_speak_for_shapes_of_each_kind(shipped: Hybrid) -> None:
    kinds = {label_kind(technique) for technique in shipped.techniques if technique}
    assert kinds >= {SCAN_LABEL, DOS_LABEL, GUESS_LABEL, CHANNEL_LABEL, UPLOAD_LABEL}


# protocol, packets there and back: ICMP and ICMPv6 echoes, TCP and UDP answered, and lone packets of both
ORDINARY = [[1, 4, 4], [58, 4, 4], [6, 9, 9], [17, 1, 1], [6, 1, 0], [17, 1, 0]]


def test_it_judges_what_every_network_has(shipped: Hybrid) -> None:
    assert shipped.support is not None
    columns = [*shipped.contract.columns]
    rows = np.zeros((len(ORDINARY), len(columns)))
    rows[:, [columns.index(name) for name in COLUMNS]] = ORDINARY
    assert shipped.support.judges(rows).all()
