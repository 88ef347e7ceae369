"""Fits the stateful LSTM: one step per flow, truncated back-propagation over per-host sequences, weights from one seed.

The cell is Keras's (gates i, f, c, o), driven step by step so that a lane's state can start anew at any step. It knows
rows of scaled columns, not what they mean. Hochreiter, Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.arrays import Float32s, Int64s
from training.errors import RecipeError
from training.sequences import Chunk, Lanes, Sequences


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is done to the inputs while fitting, so that the model does not hang on one lab's exact values."""

    noise: float  # standard deviation added to scaled columns
    column_drop: float  # chance of a column reading as its centre, per lane, chunk and column
    fingerprint_drop: float  # the same for all fingerprint columns at once
    fingerprints: tuple[int, ...]  # their positions
    # Times are stretched by up to so many powers of ten either way, one draw per lane and chunk: another network has
    # other round trips
    time_decades: float
    # (d,) float32, what a tenfold stretch adds to each scaled column: positive for times, negative for rates, 0 for the
    # rest; a value of 0 stays
    time_unit: Float32s
    context_drop: float = 0.0  # chance of the context's columns reading as if nobody knew it, per lane and chunk
    context: tuple[int, ...] = ()  # their positions
    unknown_context: tuple[float, ...] = ()  # what each of them then reads, scaled

    def applied(self, x: Float32s, moved: NDArray[np.bool_], rng: np.random.Generator) -> Float32s:
        """x: (lanes, steps, d) scaled; moved: where the raw value is not 0. Returns a disturbed copy."""
        lanes, _, width = x.shape
        stretch = rng.uniform(-self.time_decades, self.time_decades, size=(lanes, 1, 1)).astype(np.float32)
        noise = rng.standard_normal(x.shape, dtype=np.float32) * np.float32(self.noise)
        kept = rng.random((lanes, 1, width)) >= self.column_drop
        if self.fingerprints:
            kept[:, :, list(self.fingerprints)] &= rng.random((lanes, 1, 1)) >= self.fingerprint_drop
        disturbed = x + noise + moved * (stretch * self.time_unit)
        result: Float32s = np.clip(np.where(kept, disturbed, np.float32(0.0)), -8.0, 8.0)
        if self.context:
            hidden = rng.random((lanes, 1, 1)) < self.context_drop
            unknown = np.array(self.unknown_context, dtype=np.float32)
            result[:, :, list(self.context)] = np.where(hidden, unknown, result[:, :, list(self.context)])
        return result


@dataclass(frozen=True, slots=True)
class LstmWeights:
    """Fitted arrays in Keras's layout, float32."""

    kernel: Float32s  # (d + 1, 4u), the gap is the last input
    recurrent: Float32s  # (u, 4u)
    bias: Float32s  # (4u,)
    head: Float32s  # (u, k)
    head_bias: Float32s  # (k,)


@dataclass(frozen=True, slots=True)
class GapScale:
    """log1p of the gap in seconds, minus center, over scale; an unknown gap reads 0."""

    center: float
    scale: float

    def scaled(self, gap_s: NDArray[np.float64]) -> Float32s:
        """gap_s: any shape, NaN where unknown."""
        level = (np.log1p(gap_s) - self.center) / self.scale
        return np.where(np.isnan(gap_s), 0.0, np.clip(level, -8.0, 8.0)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LstmSettings:
    """Size and pace of the fit."""

    units: int
    learning_rate: float
    clip_norm: float
    dropout: float
    average: float  # decay of the running mean of weights (Polyak, Juditsky 1992), per chunk
    threads: int


Draw = Callable[[Sequences, np.random.Generator], Sequences]  # those of one epoch
Progress = Callable[[int, float, float | None], None]  # epoch from 1, mean loss, what Stopping found


@dataclass(frozen=True, slots=True)
class Stopping:
    """When to stop: after `patience` epochs in which `found`, the larger the better, has not grown."""

    found: Callable[[LstmWeights], float]
    patience: int


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How a fit went: mean loss of each epoch, what Stopping found after it, and the epoch whose weights were taken."""

    loss: tuple[float, ...]
    found: tuple[float, ...]
    epoch: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `found` is empty where nothing was held back to stop by."""
        return {
            "loss": [round(value, 6) for value in self.loss],
            "validation": [round(value, 6) for value in self.found],
            "epoch": self.epoch,
        }


@cache  # threads are settled before the first operation
def prepare_tensorflow(threads: int) -> Any:  # the module has no stubs
    """Import tensorflow so that one seed gives one set of weights on one machine: fixed threads, ordered kernels."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    return tf


def fit_lstm(
    x: Float32s,
    moved: NDArray[np.bool_],
    target: Int64s,
    classes: int,
    weight: Float32s,
    source: Sequences,
    lanes: Lanes,
    disturbance: Disturbance,
    gap: GapScale,
    settings: LstmSettings,
    epochs: int,
    seed: int,
    progress: Progress,
    path: Path,
    stopping: Stopping | None = None,
    drawn: Draw | None = None,
) -> tuple[LstmWeights, LearningCurve]:
    """Averaged weights after so many epochs, or of the epoch that stopping found best.

    x: (n, d) scaled columns; moved: (n, d) where the raw value is not 0. target: (n,) class, 0 is normal. classes: how
    many there are, of which some may have no row. weight: (n,) of each row in the loss, 0 leaves it out of the loss but
    in its host's sequence. path: of the flows, for errors. drawn: which sequences an epoch takes; all without.

    Raises RecipeError for a fit whose loss is no number any more.
    """
    tf = prepare_tensorflow(settings.threads)
    tf.random.set_seed(seed)
    rng = np.random.default_rng(seed)
    network = _Network(tf, x.shape[1] + 1, classes, lanes, settings, rng)
    losses: list[float] = []
    found: list[float] = []
    best = network.averaged()
    for epoch in range(1, epochs + 1):
        network.forget()
        told = []
        for chunk in lanes.chunks(source if drawn is None else drawn(source, rng), rng):
            inputs = np.empty((*chunk.row.shape, x.shape[1] + 1), dtype=np.float32)
            inputs[..., :-1] = disturbance.applied(x[chunk.row], moved[chunk.row], rng)
            inputs[..., -1] = gap.scaled(chunk.gap_s)
            told.append(network.learn(inputs, chunk, target[chunk.row], weight[chunk.row] * chunk.weight, rng))
        losses.append(float(np.mean(told)))
        if not np.isfinite(losses[-1]):
            problem = f"the LSTM's loss on it is {losses[-1]} in epoch {epoch}; expected a smaller lstm.learning_rate"
            raise RecipeError(path, problem)
        if stopping is None:
            progress(epoch, losses[-1], None)
            continue
        weights = network.averaged()
        found.append(stopping.found(weights))
        progress(epoch, losses[-1], found[-1])
        if found[-1] == max(found) and found.count(found[-1]) == 1:
            best = weights
        if epoch - 1 - found.index(max(found)) >= stopping.patience:
            break
    if stopping is None:
        return network.averaged(), LearningCurve(tuple(losses), (), len(losses))
    return best, LearningCurve(tuple(losses), tuple(found), found.index(max(found)) + 1)


class _Network:
    """Variables, optimiser and carried state of one fit."""

    def __init__(
        self, tf: Any, width: int, classes: int, lanes: Lanes, settings: LstmSettings, rng: np.random.Generator
    ) -> None:
        self._tf = tf
        self._settings = settings
        units = settings.units
        initial = [
            _glorot(rng, width, 4 * units),
            np.concatenate([_orthogonal(rng, units) for _ in range(4)], axis=1),
            # Forget gate open at the start (Jozefowicz, Zaremba, Sutskever 2015).
            np.concatenate([np.zeros(units), np.ones(units), np.zeros(2 * units)]).astype(np.float32),
            _glorot(rng, units, classes),
            np.zeros(classes, dtype=np.float32),
        ]
        self._variables = [tf.keras.Variable(value) for value in initial]
        self._means = [value.astype(np.float64) for value in initial]
        self._chunks = 0
        self._state = [tf.Variable(tf.zeros((lanes.lanes, units))) for _ in range(2)]
        self._optimizer = tf.keras.optimizers.Adam(settings.learning_rate, global_clipnorm=settings.clip_norm)
        self._optimizer.build(self._variables)
        self._step = tf.function(self._gradient_step, jit_compile=False)

    def forget(self) -> None:
        for state in self._state:
            state.assign(self._tf.zeros_like(state))

    def learn(
        self, inputs: Float32s, chunk: Chunk, target: Int64s, weight: Float32s, rng: np.random.Generator
    ) -> float:
        units = self._settings.units
        kept = rng.random((*chunk.row.shape, units)) >= self._settings.dropout
        mask = (kept / (1.0 - self._settings.dropout)).astype(np.float32)
        arrays = [self._tf.constant(value) for value in (inputs, chunk.reset, target, weight, mask)]
        loss = float(self._step(*arrays))
        self._chunks += 1
        decay = min(self._settings.average, self._chunks / (self._chunks + 10.0))
        self._means = [
            decay * mean + (1.0 - decay) * variable.numpy()
            for mean, variable in zip(self._means, self._variables, strict=True)
        ]
        return loss

    def averaged(self) -> LstmWeights:
        return LstmWeights(*(mean.astype(np.float32) for mean in self._means))

    def _gradient_step(self, inputs: Any, reset: Any, target: Any, weight: Any, mask: Any) -> Any:
        tf = self._tf
        kernel, recurrent, bias, head, head_bias = (variable.value for variable in self._variables)
        with tf.GradientTape() as tape:
            hidden, cell = (state.read_value() for state in self._state)
            projected = tf.unstack(tf.tensordot(inputs, kernel, 1) + bias, axis=1)
            keeps = tf.unstack(1.0 - reset[:, :, tf.newaxis], axis=1)
            outputs = []
            for step, keep in zip(projected, keeps, strict=True):
                gates = step + tf.matmul(hidden * keep, recurrent)
                enter, forget, candidate, leave = tf.split(gates, 4, axis=1)
                cell = tf.sigmoid(forget) * cell * keep + tf.sigmoid(enter) * tf.tanh(candidate)
                hidden = tf.sigmoid(leave) * tf.tanh(cell)
                outputs.append(hidden)
            logits = tf.tensordot(tf.stack(outputs, axis=1) * mask, head, 1) + head_bias
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
            loss = tf.reduce_sum(losses * weight) / tf.maximum(tf.reduce_sum(weight), 1.0)
        gradients = tape.gradient(loss, [variable.value for variable in self._variables])
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        for state, value in zip(self._state, (hidden, cell), strict=True):
            state.assign(value)
        return loss


def _glorot(rng: np.random.Generator, rows: int, columns: int) -> Float32s:
    limit = np.sqrt(6.0 / (rows + columns))
    return rng.uniform(-limit, limit, size=(rows, columns)).astype(np.float32)


def _orthogonal(rng: np.random.Generator, size: int) -> Float32s:
    basis, triangle = np.linalg.qr(rng.normal(size=(size, size)))
    return (basis * np.sign(np.diag(triangle))).astype(np.float32)
