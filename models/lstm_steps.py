"""Steps of an LSTM as a kernel: each flow from the state of its host, block by block.

It does not know where the weights come from. Cell of Hochreiter, Schmidhuber 1997 and Gers, Schmidhuber, Cummins 2000
as Keras lays it out (gates i, f, c, o; sigmoid and tanh); bit for bit equal to itself for any batching.
"""

import math

import numpy as np
from numpy.typing import NDArray

from kernels.hosts import ABSENT, Int64s, Seed, Slots, admit, find, touch
from kernels.jit import Word, entry, inner
from models.scaling import CLIP, Matrix

Float32s = NDArray[np.float32]
ROWS = 16  # steps taken together: their gates stay in the first-level cache while the weights pass once

# Kernels that only kernels call live in their callers' cache entries: each entry costs time at the start. Rows are
# copied number by number: to assign an array, numba would compile its message about shapes, for more than a second.


@entry
def run_steps(
    x: Matrix,
    host: Int64s,
    time_ns: Int64s,
    advances: NDArray[np.bool_],
    kernel: Float32s,
    recurrent: Float32s,
    bias: Float32s,
    head_kernel: Float32s,
    head_bias: Float32s,
    reset_ns: int,
    dt_center: float,
    dt_scale: float,
    slots: Slots,
    keys: Int64s,
    links: Int64s,
    ends: Int64s,
    seed: Seed,
    last_ns: Int64s,
    state: Float32s,
    gates: Float32s,
    carried: Float32s,
    plan: Int64s,
    gaps: Float32s,
    logits: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Probabilities into out (n, k) of x (n, d), host (n, 2), time_ns and advances (n,).

    Weights as in models.lstm.Lstm; gates (ROWS, 4u), carried (ROWS, 2u), plan (PLAN_WIDTH, ROWS), gaps (ROWS,) and
    logits (k, ROWS) are scratch.
    """
    units, width = recurrent.shape[0], x.shape[1]
    for start in range(0, x.shape[0], ROWS):
        rows = min(ROWS, x.shape[0] - start)
        turns = 0
        for i in range(rows):
            step = start + i
            row, gap_ns = _meet(
                host[step, 0], host[step, 1], time_ns[step], advances[step], reset_ns, slots, keys, links, ends, seed,
                last_ns,
            )  # fmt: skip
            plan[ROW, i], plan[WARM, i] = row, gap_ns >= 0
            gaps[i] = np.float32(_scaled_gap(max(gap_ns, 0), dt_center, dt_scale))
            plan[TURN, i] = _turn(plan, i)
            turns = max(turns, plan[TURN, i] + 1)
            plan[CHOSEN, i] = i
            for gate in range(bias.shape[0]):
                gates[i, gate] = bias[gate]
        _add_products(gates, plan, rows, x, start, kernel, width)
        for turn in range(turns):
            warm = _recall(plan, rows, turn, state, carried)
            for at in range(warm):
                i = plan[CHOSEN, at]
                _add_scaled(gates, i, gaps[i], kernel, width)
            _add_products(gates, plan, warm, carried, 0, recurrent, units)
            for i in range(rows):
                if plan[TURN, i] == turn:
                    _advance(gates, i, carried)
                    if advances[start + i]:
                        for u in range(2 * units):
                            state[plan[ROW, i], u] = carried[i, u]
        _heads(carried, head_kernel, head_bias, logits, rows, out, start)


# Of each step of a block: its row of the state, or ABSENT; whether its host's state goes on; the turn in which it is
# taken, after all before it that read or write the same row; and numbers of steps that are taken together.
ROW, WARM, TURN, CHOSEN, PLAN_WIDTH = range(5)


@inner
def _meet(
    high: Word, low: Word, now_ns: Word, advances: bool, reset_ns: int, slots: Slots, keys: Int64s, links: Int64s,
    ends: Int64s, seed: Seed, last_ns: Int64s,
) -> tuple[Word, Word]:  # fmt: skip
    """A step's row of the state, and the gap since its host's steps, -1 where it starts from zero; the table goes on.

    What is in the state does not matter to it.
    """
    row = find(high, low, slots, keys, seed)
    gap_ns = np.int64(-1)
    if row != ABSENT:
        gap_ns = max(now_ns - last_ns[row], np.int64(0))
        if gap_ns > reset_ns:
            gap_ns = np.int64(-1)
    if advances:
        if row == ABSENT:
            row = admit(high, low, slots, keys, links, ends, seed)
            last_ns[row] = now_ns
        else:
            touch(row, links, ends)
            # Flows become known out of order; a host's time never runs backwards.
            last_ns[row] = max(last_ns[row], now_ns)
    return row, gap_ns


@inner
def _turn(plan: Int64s, i: int) -> Word:
    """The turn after those of earlier steps of the same row, the first where there are none."""
    turn = np.int64(0)
    if plan[ROW, i] != ABSENT:
        for earlier in range(i):
            if plan[ROW, earlier] == plan[ROW, i]:
                turn = plan[TURN, earlier] + 1
    return turn


@inner
def _recall(plan: Int64s, rows: int, turn: int, state: Float32s, carried: Float32s) -> Word:
    """Carry what the steps of a turn start from; those whose hosts' states go on are chosen. Returns their number."""
    warm = 0
    for i in range(rows):
        if plan[TURN, i] != turn:
            continue
        if plan[WARM, i]:
            for u in range(carried.shape[1]):
                carried[i, u] = state[plan[ROW, i], u]
            plan[CHOSEN, warm] = i
            warm += 1
        else:
            for u in range(carried.shape[1]):
                carried[i, u] = np.float32(0.0)
    return warm


@inner
def _scaled_gap(gap_ns: Word, dt_center: float, dt_scale: float) -> Word:
    return min(max((math.log(1.0 + gap_ns * 1e-9) - dt_center) / dt_scale, -CLIP), CLIP)


# The inner loops below run over gates, whose sums do not mix: LLVM vectorises them without reordering any addition.
# Four rows of weights a pass, so that a gate is loaded and stored a quarter as often, for two steps at once, so that a
# weight is loaded half as often.


@inner
def _add_products(
    gates: Float32s, plan: Int64s, count: int, inputs: Float32s, first: int, weights: Float32s, depth: int
) -> None:
    """gates[i] += inputs[first + i, :depth] · weights[:depth], of the count steps i that are chosen."""
    whole = depth // 4 * 4
    for j in range(0, whole, 4):
        for at in range(0, count - 1, 2):
            i, k = plan[CHOSEN, at], plan[CHOSEN, at + 1]
            _add_four_to_two(gates, i, k, inputs, first, weights, j)
        if count % 2:
            i = plan[CHOSEN, count - 1]
            _add_four(gates, i, inputs, first + i, weights, j)
    for j in range(whole, depth):
        for at in range(count):
            i = plan[CHOSEN, at]
            _add_scaled(gates, i, inputs[first + i, j], weights, j)


@inner
def _add_four_to_two(gates: Float32s, i: int, k: int, inputs: Float32s, first: int, weights: Float32s, j: int) -> None:
    """As _add_four, of two steps i and k."""
    one, two = first + i, first + k
    a, b, c, d = inputs[one, j], inputs[one, j + 1], inputs[one, j + 2], inputs[one, j + 3]
    e, f, g, h = inputs[two, j], inputs[two, j + 1], inputs[two, j + 2], inputs[two, j + 3]
    for gate in range(weights.shape[1]):
        weight = weights[j, gate]
        total, other = gates[i, gate] + a * weight, gates[k, gate] + e * weight
        weight = weights[j + 1, gate]
        total, other = total + b * weight, other + f * weight
        weight = weights[j + 2, gate]
        total, other = total + c * weight, other + g * weight
        weight = weights[j + 3, gate]
        gates[i, gate] = total + d * weight
        gates[k, gate] = other + h * weight


@inner
def _add_four(gates: Float32s, i: int, inputs: Float32s, row: int, weights: Float32s, j: int) -> None:
    """gates[i] += inputs[row, j : j + 4] · weights[j : j + 4]."""
    a, b, c, d = inputs[row, j], inputs[row, j + 1], inputs[row, j + 2], inputs[row, j + 3]
    for gate in range(weights.shape[1]):
        total = gates[i, gate] + a * weights[j, gate]
        total = total + b * weights[j + 1, gate]
        total = total + c * weights[j + 2, gate]
        gates[i, gate] = total + d * weights[j + 3, gate]


@inner
def _add_scaled(gates: Float32s, i: int, a: Word, weights: Float32s, j: int) -> None:
    """gates[i] += a · weights[j]."""
    for gate in range(weights.shape[1]):
        gates[i, gate] += a * weights[j, gate]


@inner
def _advance(gates: Float32s, i: int, carried: Float32s) -> None:
    """One cell update: gates[i] (i, f, c, o) before their functions; carried[i] (h, c) becomes the next."""
    units = carried.shape[1] // 2
    for u in range(units):
        enter = _sigmoid(gates[i, u])
        forget = _sigmoid(gates[i, units + u])
        candidate = _tanh(gates[i, 2 * units + u])
        leave = _sigmoid(gates[i, 3 * units + u])
        cell = forget * carried[i, units + u] + enter * candidate
        carried[i, units + u] = cell
        carried[i, u] = leave * _tanh(cell)


@inner
def _heads(
    carried: Float32s, head_kernel: Float32s, head_bias: Float32s, logits: NDArray[np.float64], rows: int,
    out: NDArray[np.float64], start: int,
) -> None:  # fmt: skip
    """out[start + i] = softmax(h · head_kernel + head_bias) of each of so many rows, in float64.

    carried: (ROWS, 2u), h first. logits: scratch (k, ROWS).
    """
    classes = head_bias.shape[0]
    for k in range(classes):
        for i in range(ROWS):
            logits[k, i] = head_bias[k]
    for u in range(head_kernel.shape[0]):
        for k in range(classes):
            weight = np.float64(head_kernel[u, k])
            for i in range(ROWS):
                logits[k, i] += np.float64(carried[i, u]) * weight
    for i in range(rows):
        _softmax(logits, i, out, start + i)


@inner
def _softmax(logits: NDArray[np.float64], i: int, out: NDArray[np.float64], step: int) -> None:
    """out[step] = softmax of logits[:, i]."""
    classes = logits.shape[0]
    highest = logits[0, i]
    for k in range(1, classes):
        highest = max(highest, logits[k, i])
    total = 0.0
    for k in range(classes):
        out[step, k] = math.exp(logits[k, i] - highest)
        total += out[step, k]
    for k in range(classes):
        out[step, k] /= total


ONE, TWO = np.float32(1.0), np.float32(2.0)
LOG2_E = np.float32(1.4426950408889634)
# ln 2 in two parts (Cody, Waite 1980): the first has few bits, so its product with a small integer is exact.
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# Adding 1.5 · 2^23 leaves the nearest integer in the lowest bits of a float32.
NEAREST = np.float32(12582912.0)
EXPONENT = np.int32(23)
STEEPEST = np.float32(40.0)  # sigmoid is 0 or 1 in float32 well before
C2, C3, C4, C5, C6 = (np.float32(1.0 / math.factorial(n)) for n in range(2, 7))


@inner
def _sigmoid(x: Word) -> Word:
    """Of a float32, within 1e-7."""
    # Own arithmetic: no library call, so it vectorises, and every lane computes what a single one would.
    y = -x
    y = STEEPEST if y > STEEPEST else (-STEEPEST if y < -STEEPEST else y)
    shifted = np.float32(y * LOG2_E + NEAREST)
    whole = shifted - NEAREST
    rest = (y - whole * LN2_HIGH) - whole * LN2_LOW
    power = np.float32(ONE + rest * (ONE + rest * (C2 + rest * (C3 + rest * (C4 + rest * (C5 + rest * C6))))))
    scaled = np.int32(power.view(np.int32) + np.int32(shifted.view(np.int32) << EXPONENT)).view(np.float32)
    return ONE / (ONE + scaled)


@inner
def _tanh(x: Word) -> Word:
    """Of a float32, within 2e-7."""
    return TWO * _sigmoid(TWO * x) - ONE
