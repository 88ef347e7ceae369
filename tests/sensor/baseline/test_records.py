"""A baseline of connection records: further records of the same kind are flagged as often as the rate says."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle import save_bundle
from models.fusion import Hybrid
from sensor.cli.build import load_model
from sensor.errors import INPUT, OK, USAGE
from sensor.settings.config import Config
from tests.support.command import flowvigil
from tests.support.kdd_tables import as_kdd_text, kdd_table, small_recipe
from training.evaluation.records import record_steps, seen_by_bundle
from training.fit.kdd import fit_kdd
from training.labels import BENIGN

for package in ("sklearn", "polars"):
    pytest.importorskip(package)

pytestmark = [pytest.mark.takes(12)]
NO_ATTACKS = dict.fromkeys(("neptune", "back", "satan", "guess_passwd", "rootkit"), 0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle fitted to records of another network."""
    directory = tmp_path_factory.mktemp("kdd") / "small"
    fitted = fit_kdd(small_recipe(), kdd_table(), 7, lambda _: None)
    save_bundle(directory, fitted, {})
    return directory


def read(bundle: Path) -> Hybrid:
    return load_model(Config(detection={"bundle": bundle}))  # type: ignore[arg-type]


def flagged(hybrid: Hybrid, values: np.ndarray, rate: float) -> float:
    hybrid.forget()
    told = hybrid.judge(record_steps(values))
    known, novel = hybrid.thresholds[rate]
    return float(((told.p_known < known) | (told.p_novel < novel)).mean())


def test_further_records_are_flagged_as_often_as_the_rate_says(bundle: Path, tmp_path: Path) -> None:
    """Attacks in the file are left out by their labels, so that the same are found as before."""
    learnt_from = as_kdd_text(kdd_table(seed=5, normal=4000), tmp_path / "site.txt")
    result = flowvigil("baseline", bundle, learnt_from, "-o", tmp_path / "site")
    assert result.code == OK, result
    assert any("left out 314 records that are labelled as attacks" in line for line in result.stderr)
    site = read(tmp_path / "site")
    further = seen_by_bundle(kdd_table(seed=6, normal=8000, **NO_ATTACKS), content=True)
    for rate in (0.01, 0.05):
        actual = flagged(site, further.values, rate)
        assert rate / 1.5 <= actual <= 1.5 * rate, (rate, actual)
    attacked = kdd_table(seed=7)
    attacks = seen_by_bundle(attacked.take(attacked.family != BENIGN), content=True)
    assert flagged(site, attacks.values, 0.05) >= flagged(read(bundle), attacks.values, 0.05) - 0.02


def test_too_few_records_and_several_files_are_refused(bundle: Path, tmp_path: Path) -> None:
    few = as_kdd_text(kdd_table(seed=5, normal=200), tmp_path / "few.txt")
    result = flowvigil("baseline", bundle, few, "-o", tmp_path / "site")
    assert (result.code, "found 200 normal rows; expected 1,000 or more" in result.stderr[-1]) == (INPUT, True)
    result = flowvigil("baseline", bundle, few, few, "-o", tmp_path / "site")
    assert (result.code, "found several sources, expected one file of records" in result.stderr[-1]) == (USAGE, True)
    assert not (tmp_path / "site").exists()
