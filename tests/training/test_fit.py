from pathlib import Path

import numpy as np
import pytest

from models.detector import FlowSteps
from models.lstm import Lstm
from models.scaling import Scaling, fit_scaling
from training.errors import RecipeError
from training.fit.forests import fit_isolation_forest
from training.fit.lstm import Disturbance, GapScale, LstmSettings, LstmWeights, fit_lstm
from training.sequences import FlowReports, Lanes, sequences

SECOND = 1_000_000_000
GAP = GapScale(center=0.5, scale=1.0)


def disturbance(**changes: object) -> Disturbance:
    settings: dict[str, object] = {
        "noise": 0.0,
        "column_drop": 0.0,
        "fingerprint_drop": 0.0,
        "fingerprints": (),
        "time_decades": 0.0,
        "time_unit": np.zeros(3, dtype=np.float32),
    }
    return Disturbance(**{**settings, **changes})  # type: ignore[arg-type]


def test_no_disturbance_leaves_the_columns_alone() -> None:
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    assert (disturbance().applied(x, x != 0, np.random.default_rng(1)) == x).all()


def test_a_stretch_moves_times_up_and_rates_down_but_not_zeros() -> None:
    unit = np.array([1.0, -1.0, 0.0], dtype=np.float32)
    x = np.zeros((64, 2, 3), dtype=np.float32)
    moved = np.ones(x.shape, dtype=np.bool_)
    moved[:, 1] = False
    out = disturbance(time_decades=2.0, time_unit=unit).applied(x, moved, np.random.default_rng(1))
    assert (out[:, 0, 0] == -out[:, 0, 1]).all()
    assert np.abs(out[:, 0, 0]).max() > 1.5
    assert (out[:, 1] == 0).all()
    assert (out[:, :, 2] == 0).all()


def test_fingerprints_are_dropped_together_for_a_whole_chunk() -> None:
    x = np.ones((200, 5, 3), dtype=np.float32)
    out = disturbance(fingerprint_drop=0.5, fingerprints=(0, 2)).applied(x, x != 0, np.random.default_rng(1))
    assert (out[:, :, 1] == 1).all()
    assert (out[:, :, 0] == out[:, :, 2]).all()
    assert (out[:, :, 0] == out[:, :1, 0]).all()
    assert 0.3 < out[:, 0, 0].mean() < 0.7


def test_context_is_hidden_together_for_a_whole_chunk_and_reads_as_what_stands_for_it() -> None:
    x = np.ones((200, 5, 3), dtype=np.float32)
    changes = {"context_drop": 0.5, "context": (0, 2), "unknown_context": (-0.25, 0.5)}
    out = disturbance(**changes).applied(x, x != 0, np.random.default_rng(1))
    hidden = out[:, 0, 0] == -0.25
    assert 0.3 < hidden.mean() < 0.7
    assert (out[hidden] == np.array([-0.25, 1.0, 0.5], dtype=np.float32)).all()
    assert (out[~hidden] == 1.0).all()


def test_an_unknown_gap_reads_zero() -> None:
    assert GAP.scaled(np.array([np.nan, np.expm1(0.5)])).tolist() == [0.0, 0.0]
    assert GAP.scaled(np.array([1e12])).tolist() == [8.0]


def alternating(hosts: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Flows of which only the host's previous one says whether they are an attack: values, target, host, start."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(hosts, length, 3))
    target = np.zeros((hosts, length), dtype=np.int64)
    target[:, 1:] = values[:, :-1, 0] > 0
    owner = np.zeros((hosts, length, 2), dtype=np.int64)
    owner[..., 1] = np.arange(hosts)[:, None]
    start = np.broadcast_to(np.arange(length) * SECOND, (hosts, length))
    return values.reshape(-1, 3), target.ravel(), owner.reshape(-1, 2), start.ravel().astype(np.int64)


def fitted(
    seed: int, epochs: int = 30, classes: int = 2, rate: float = 0.02
) -> tuple[LstmWeights, Scaling, list[float]]:
    values, target, host, start = alternating(hosts=64, length=24)
    scaling = fit_scaling(values, {"a": 0, "b": 1, "c": 2})
    order = np.argsort(start, kind="stable")
    told = FlowReports(order, start[order], np.ones(len(order), dtype=np.bool_))
    losses: list[float] = []
    weights, _ = fit_lstm(
        x=scaling.transform(values),
        moved=values != 0,
        target=target,
        classes=classes,
        weight=np.ones(len(target), dtype=np.float32),
        source=sequences(host, start, told),
        lanes=Lanes(lanes=16, steps=8, state_drop=0.0, gap_unknown=0.0, gap_decades=0.0, reset_s=600.0),
        disturbance=disturbance(),
        gap=GAP,
        settings=LstmSettings(units=8, learning_rate=rate, clip_norm=1.0, dropout=0.0, average=0.9, threads=2),
        epochs=epochs,
        seed=seed,
        progress=lambda _epoch, loss, _found: losses.append(loss),
        path=Path("flows.csv"),
    )
    return weights, scaling, losses


@pytest.mark.train
def test_what_the_state_teaches_is_learnt_and_scored_alike_by_the_sensors_cell() -> None:
    pytest.importorskip("tensorflow")
    weights, scaling, losses = fitted(seed=1)
    assert losses[-1] < losses[0] / 2
    values, target, host, start = alternating(hosts=64, length=24)
    detector = Lstm(
        scaling,
        kernel=weights.kernel,
        recurrent=weights.recurrent,
        bias=weights.bias,
        head_kernel=weights.head,
        head_bias=weights.head_bias,
        labels=("BENIGN", "attack"),
        reset_ns=600 * SECOND,
        dt_center=GAP.center,
        dt_scale=GAP.scale,
    )
    order = np.argsort(start, kind="stable")  # hosts take turns, as on a network
    steps = FlowSteps(values[order], host[order], start[order], np.ones(len(order), dtype=np.bool_))
    surprise = -np.log(detector.probabilities(steps)[np.arange(len(order)), target[order]])
    assert surprise.mean() == pytest.approx(losses[-1], abs=0.01)


@pytest.mark.train
def test_a_class_without_a_row_has_its_place_in_the_head() -> None:
    pytest.importorskip("tensorflow")
    weights, _, _ = fitted(seed=1, epochs=1, classes=3)
    assert weights.head.shape == (8, 3)


@pytest.mark.train
def test_a_fit_that_comes_to_nothing_ends_in_a_line() -> None:
    pytest.importorskip("tensorflow")
    with pytest.raises(RecipeError, match=r"flows\.csv: the LSTM's loss on it is nan in epoch 1; expected a smaller"):
        fitted(seed=1, epochs=2, rate=1e38)


@pytest.mark.train
def test_one_seed_gives_one_set_of_weights() -> None:
    pytest.importorskip("tensorflow")
    first, again, other = (fitted(seed, epochs=2)[0] for seed in (1, 1, 2))
    for name in LstmWeights.__slots__:
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.kernel.tobytes() != other.kernel.tobytes()


@pytest.mark.train
def test_the_forest_scores_as_scikit_learn_does() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    values = np.random.default_rng(0).gamma(1.0, 100.0, size=(600, 4))
    scaling = fit_scaling(values, {"a": 0, "b": 1, "d": 3})
    ours = fit_isolation_forest(scaling, values, trees=20, sample=128, seed=5)
    x = scaling.transform(values)
    theirs = ensemble.IsolationForest(n_estimators=20, max_samples=128, random_state=5).fit(x)
    assert np.abs(ours.score_rows(x) + theirs.score_samples(x)).max() < 1e-9


def test_a_forest_needs_as_many_rows_as_a_tree_samples() -> None:
    pytest.importorskip("sklearn")
    values = np.ones((10, 1))
    with pytest.raises(ValueError, match="10 rows"):
        fit_isolation_forest(fit_scaling(values, {"a": 0}), values, trees=1, sample=16, seed=1)
