import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.jit import entry
from models.detector import FlowSteps
from models.lstm import Lstm
from models.lstm_steps import _sigmoid, _tanh
from tests.models.builders import LABELS, SECOND, USED, make_lstm, make_scaling, make_steps, part, raw_values

Float64s = NDArray[np.float64]


def sequences(steps: FlowSteps, lstm: Lstm) -> list[tuple[NDArray[np.int64], Float64s]]:
    """Advancing rows of each host between resets, with their inputs (t, d + 1)."""
    x = lstm.scaling.transform(steps.values).astype(np.float64)
    found = []
    for host in np.unique(steps.host, axis=0):
        rows = np.flatnonzero((steps.host == host).all(axis=1) & steps.advances)
        latest = np.maximum.accumulate(steps.time_ns[rows])
        gap_ns = np.maximum(steps.time_ns[rows][1:] - latest[:-1], 0)
        level = np.clip((np.log1p(gap_ns / SECOND) - lstm.dt_center) / lstm.dt_scale, -8, 8)
        starts = np.concatenate(([True], gap_ns > lstm.reset_ns))
        inputs = np.column_stack((x[rows], np.where(starts, 0.0, np.concatenate(([0.0], level)))))
        cuts = np.flatnonzero(starts)[1:]
        found += list(zip(np.split(rows, cuts), np.split(inputs, cuts), strict=True))
    return found


def twin(lstm: Lstm, inputs: Float64s) -> Float64s:
    """The equations in float64, one sequence from a zero state."""
    units = len(lstm.recurrent)
    h, c = np.zeros(units), np.zeros(units)
    out = []
    for x in inputs:
        i, f, g, o = np.split(x @ lstm.kernel + h @ lstm.recurrent + lstm.bias, 4)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        logits = h @ lstm.head_kernel + lstm.head_bias
        out.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
    return np.array(out)


@pytest.mark.parametrize("units", [1, 6, 64])
def test_interleaved_hosts_equal_the_equations_on_each_hosts_sequence(units: int):
    steps, lstm = make_steps(600, 12), make_lstm(units=units)
    ours = lstm.probabilities(steps)
    parts = sequences(steps, lstm)
    assert len(parts) > 12  # some hosts were reset
    for rows, inputs in parts:
        np.testing.assert_allclose(ours[rows], twin(lstm, inputs), atol=1e-5)


@pytest.mark.train
def test_interleaved_hosts_equal_keras():
    pytest.importorskip("tensorflow", reason="needs the train extra")
    from training.fit.lstm import prepare_tensorflow

    prepare_tensorflow(threads=2)  # as the recipes: it takes them once in a process
    import keras

    steps, lstm = make_steps(600, 12, seed=3), make_lstm(units=64)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, len(USED) + 1)),
            layers.LSTM(64, recurrent_activation="sigmoid", return_sequences=True),
            layers.Dense(len(LABELS), activation="softmax"),
        ]
    )
    model.set_weights([lstm.kernel, lstm.recurrent, lstm.bias, lstm.head_kernel, lstm.head_bias])
    ours = lstm.probabilities(steps)
    for rows, inputs in sequences(steps, lstm):
        keras_says = np.asarray(model(inputs[None].astype(np.float32)))[0]
        np.testing.assert_allclose(ours[rows], keras_says, atol=1e-5)


def test_a_step_that_does_not_advance_is_scored_as_if_it_were_next():
    steps = make_steps(50, 1)
    advancing, watching = make_lstm(), make_lstm()
    before = FlowSteps(steps.values[:-1], steps.host[:-1], steps.time_ns[:-1], np.ones(49, dtype=bool))
    last = part(steps, slice(49, 50))
    for lstm in (advancing, watching):
        lstm.score(before)
    looked = [watching.score(FlowSteps(last.values, last.host, last.time_ns, np.array([False]))) for _ in range(3)]
    taken = advancing.score(FlowSteps(last.values, last.host, last.time_ns, np.array([True])))
    assert all(np.array_equal(look, taken) for look in looked)


def two_flows(lstm: Lstm, gap_ns: int) -> NDArray[np.float64]:
    values = np.repeat(raw_values(1, 5), 2, axis=0)
    host = np.full((2, 2), 7, dtype=np.int64)
    return lstm.probabilities(FlowSteps(values, host, np.array([SECOND, SECOND + gap_ns]), np.ones(2, dtype=bool)))


def test_a_silence_longer_than_the_reset_starts_the_host_anew():
    lstm = make_lstm()
    first, second = two_flows(lstm, lstm.reset_ns)
    assert not np.array_equal(first, second)
    lstm.forget()
    first, second = two_flows(lstm, lstm.reset_ns + 1)
    assert np.array_equal(first, second)


def test_a_flow_that_started_before_the_last_one_has_no_gap():
    same, earlier = two_flows(make_lstm(), 0), two_flows(make_lstm(), -5 * SECOND)
    assert np.array_equal(same, earlier)


def test_a_host_evicted_for_others_starts_anew():
    steps = make_steps(400, 30)
    order = {tuple(host): i for i, host in enumerate(dict.fromkeys(map(tuple, steps.host.tolist())))}
    full, small = make_lstm(hosts=30), make_lstm(hosts=3)
    assert len(order) == 30
    kept, evicting = full.score(steps), small.score(steps)
    first = [np.flatnonzero((steps.host == host).all(axis=1))[0] for host in order]
    assert np.array_equal(kept[first], evicting[first])
    assert not np.array_equal(kept, evicting)


@pytest.mark.parametrize("units", [1, 6, 8])
@pytest.mark.parametrize(("hosts", "remembered"), [(1, 8), (2, 8), (5, 8), (40, 64), (5, 1), (9, 3), (40, 12)])
def test_steps_taken_together_score_as_one_by_one(units: int, hosts: int, remembered: int):
    # hosts follow upon themselves, and are forgotten and met again, within the steps that are taken together
    steps = make_steps(200, hosts)
    together, alone = (make_lstm(units=units, hosts=remembered) for _ in range(2))
    expected = np.concatenate([alone.probabilities(part(steps, slice(i, i + 1))) for i in range(len(steps))])
    assert np.array_equal(together.probabilities(steps), expected)


@pytest.mark.parametrize("hosts", [3, 4096])
def test_the_hash_seed_does_not_change_a_bit(hosts: int):
    steps = make_steps(500, 60)
    drawn = [make_lstm(hosts=hosts, seed=seed).probabilities(steps) for seed in (0, 1 << 127, 77, None, None)]
    assert all(np.array_equal(drawn[0], other) for other in drawn[1:])


def test_small_scores_keep_their_resolution():
    lstm = make_lstm()
    lstm.head_bias[0] = 50.0
    scores = lstm.score(make_steps(100, 50))
    assert ((scores > 0) & (scores < 1e-15)).all()
    assert len(np.unique(scores)) > 90


def test_probabilities_sum_to_one():
    np.testing.assert_allclose(make_lstm().probabilities(make_steps(50, 4)).sum(axis=1), 1.0, rtol=1e-14)


def test_own_sigmoid_and_tanh_are_within_float32():
    x = np.concatenate((np.linspace(-100, 100, 4001), np.linspace(-0.1, 0.1, 501), [1e30, -1e30])).astype(np.float32)
    with np.errstate(over="ignore"):
        exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    sigmoid, tanh = entry(_sigmoid), entry(_tanh)
    np.testing.assert_allclose([sigmoid(v) for v in x], exact, atol=2e-7)
    np.testing.assert_allclose([tanh(v) for v in x], np.tanh(x.astype(np.float64)), atol=4e-7)


WEIGHTS = {
    "kernel": np.zeros((8, 8)),
    "recurrent": np.zeros((2, 8)),
    "bias": np.zeros(8),
    "head_kernel": np.zeros((2, 3)),
    "head_bias": np.zeros(3),
}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kernel": np.zeros((7, 8))}, r"kernel has shape \(7, 8\), expected \(8, 8\)"),
        ({"recurrent": np.zeros((2, 6))}, "recurrent has shape"),
        ({"bias": np.full(8, np.nan)}, "bias is not finite"),
        ({"head_bias": np.array([0, np.inf, 0])}, "head_bias is not finite"),
        ({"kernel": np.full((8, 8), 2e6)}, "beyond 1e"),
        ({"labels": ("BENIGN",)}, "head_kernel has shape"),
        ({"reset_ns": 0}, "reset_ns"),
        ({"dt_scale": 0.0}, "dt_scale"),
        ({"dt_center": float("nan")}, "dt_center"),
        ({"hosts": 0}, "host capacity"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], reason: str):
    fitting = WEIGHTS | {"labels": LABELS, "reset_ns": SECOND, "dt_center": 0.0, "dt_scale": 1.0}
    Lstm(make_scaling(), **fitting)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=reason):
        Lstm(make_scaling(), **(fitting | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("advances", "remembered"),
    [(True, True), (False, False)],  # only a step that advances counts as use
)
def test_the_host_that_advanced_longest_ago_is_forgotten(advances: bool, remembered: bool):
    a, b, c = (1, 0), (2, 0), (3, 0)
    host = np.array([a, b, a, c, a], dtype=np.int64)
    advancing = np.array([True, True, advances, True, True])
    steps = FlowSteps(raw_values(5, 1), host, np.arange(5) * SECOND, advancing)
    full, small = make_lstm(hosts=3).score(steps), make_lstm(hosts=2).score(steps)
    assert np.array_equal(full[:4], small[:4])
    assert (full[4] == small[4]) == remembered
