"""Evidence per source host: how far its flagged flows go beyond what chance would flag, as a sum that forgets.

Each scored flow multiplies an e-value (expected value at most 1 while its p-value is uniform) into the evidence of its
host; the running product, never below 1, is a CUSUM e-detector: the expected number of flows of a host until it first
reaches a threshold by chance is at least that threshold (Shin, Ramdas, Rinaldo 2022, "E-detectors"). With a the cut of
a lane and q = MIXTURE:

    p < a:   e = q · 0.5 / sqrt(p · a)          otherwise:   e = (1 − q) / (1 − a)

Evidence is kept apart per pool (what kind of flow it was) and per lane. A flow counts in one pool only, which keeps the
bound for each of them: in the other pools it counts as not flagged.

Reports of one flow are not independent: the k-th further report counts 2^-k, so a flow reported for ever weighs less
than two.

This module knows numbers, no alerts and no wall clock.
"""

import math
import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flows.batch import (
    END_NS,
    END_SHIFT_NS,
    IP_VERSION,
    NEW_PACKETS,
    REPORT,
    SRC_HIGH,
    SRC_LOW,
    FlowBatch,
    Identity,
    Values,
)
from flows.columns import INDEX
from flows.jit import entry, inner
from models.hosts import ABSENT, admit, find, host_table, touch
from sensor.episodes.view import T_PASSED_OVER, Tally, Voices, hear, new_voices

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Seed = NDArray[np.uint64]
Int8s = NDArray[np.int8]
Floats = NDArray[np.float64]

MIXTURE = 0.1
# Evidence stops here (natural logarithm), or an attack of an hour would need a day of normal flows to be forgotten.
EVIDENCE_LIMIT = 10 * math.log(10)

# Pools: flows in which no data was exchanged; flows that only the novel lane flagged; then one for each technique that
# the labels stand for.
NO_EXCHANGE, UNUSUAL, FIRST_TECHNIQUE = range(3)

_FWD_BYTES, _BWD_BYTES, _BWD_PACKETS = INDEX["fwd_bytes"], INDEX["bwd_bytes"], INDEX["bwd_packets"]
_IPV4_HIGH = np.int64(-1)  # no source address has a high word of all ones, so IPv4 keys meet no IPv6 ones
# Settings of the kernel; of each lane its cut, then the two logarithms of _gains.
S_THRESHOLD, S_QUIET, S_KNOWN, _, _, S_NOVEL, _, _ = range(8)
# Words of a finding.
F_INDEX, F_ROW, F_FRESH, F_POOL, F_ANEW, F_CLOCK, FINDING_WORDS = range(7)


@dataclass(frozen=True, slots=True)
class FlaggedRows:
    """The flagged flows of a batch, in its order."""

    # (m, FINDING_WORDS) int64: row of the batch, row of the host, 1 when that row was just given to a new host, pool,
    # 1 when the pool held no evidence before this flow, traffic time in nanoseconds
    words: Int64s
    evidence: Floats  # (m, 2) natural logarithm, of the known and the novel lane in that pool after the flow
    clock_ns: int  # traffic time after the whole batch


class EvidenceTable:
    """Evidence of the hosts that had a flagged flow, at most `capacity` of them; the longest unflagged gives way."""

    def __init__(
        self,
        *,
        capacity: int,
        pool_of_label: Int64s,
        cut_known: float,
        cut_novel: float,
        threshold: float,
        quiet_ns: int,
        seed: int | None = None,
    ) -> None:
        """pool_of_label: (labels,) pool of each label index. Cuts: p-values below which a lane flags a flow.

        threshold: evidence at which an episode opens, on a linear scale. quiet_ns: once the threshold was reached, a
        pool without flagged flows for so long starts anew. seed: of the hash keys, random unless given.
        Raises ValueError for a cut outside of 0..0.5; a lane with a cut of 0 never flags.
        """
        for name, cut in (("known", cut_known), ("novel", cut_novel)):
            if not 0 <= cut < 0.5:
                raise ValueError(f"cut of the {name} lane is {cut}, expected 0 to 0.5")
        self.threshold = math.log(threshold)
        self._pool_of_label = pool_of_label
        self._pools = max(int(pool_of_label.max(initial=UNUSUAL)), UNUSUAL) + 1
        self._clock_ns = np.zeros(1, dtype=np.int64)
        self._hosts = host_table(capacity, secrets.randbits(128) if seed is None else seed)
        self._flows = np.zeros(capacity, dtype=np.float64)
        self._evidence = np.zeros((capacity * self._pools, 2), dtype=np.float64)
        self._marks = np.zeros(capacity * self._pools, dtype=np.float64)
        self._last_ns = np.zeros(capacity * self._pools, dtype=np.int64)
        self._reached = np.zeros(capacity * self._pools, dtype=np.int8)
        self._voices, self._tally = new_voices()
        self._settings = np.array([self.threshold, quiet_ns, *_gains(cut_known), *_gains(cut_novel)], dtype=np.float64)

    @property
    def one_sided(self) -> int:
        """Records passed over so far, as their answers are out of view (sensor.episodes.view)."""
        return int(self._tally[T_PASSED_OVER])

    def adjust(self, threshold: float, quiet_ns: int) -> None:
        """Go on with other settings; what was found so far stays."""
        self.threshold = math.log(threshold)
        self._settings[:2] = self.threshold, quiet_ns

    def observe(self, batch: FlowBatch, p_known: Floats, p_novel: Floats, labels: Int64s) -> FlaggedRows:
        """Take in scored flows in their order. p_known, p_novel: (n,) in (0, 1]; labels: (n,) label indices."""
        words = np.empty((len(batch), FINDING_WORDS), dtype=np.int64)
        evidence = np.empty((len(batch), 2), dtype=np.float64)
        hosts = self._hosts
        # Contiguous, or numba would compile the kernel once more for any other layout.
        identity, values = np.ascontiguousarray(batch.identity), np.ascontiguousarray(batch.values)
        p_known, p_novel = np.ascontiguousarray(p_known), np.ascontiguousarray(p_novel)
        labels = np.ascontiguousarray(labels)
        with np.errstate(over="ignore"):  # the hash wraps around; only interpreted kernels notice
            found = _observe(
                identity, values, p_known, p_novel, labels, self._pool_of_label, self._settings, self._clock_ns,
                self._voices, self._tally,
                hosts.slots, hosts.keys, hosts.links, hosts.ends, hosts.seed,
                self._flows, self._evidence, self._marks, self._last_ns, self._reached, words, evidence,
            )  # fmt: skip
        return FlaggedRows(words[:found], evidence[:found], int(self._clock_ns[0]))


def _gains(cut: float) -> tuple[float, float, float]:
    """Of a lane: its cut, log e of a flagged flow but for -log(p) / 2, log e of any other flow.

    A cut beyond MIXTURE / 2 would make flagged flows speak against an attack; q grows with it.
    """
    q = max(MIXTURE, 2 * cut)
    return cut, math.log(0.5 * q) - 0.5 * math.log(cut) if cut else 0.0, math.log((1 - q) / (1 - cut))


@entry
def _observe(
    identity: Identity, values: Values, p_known: Floats, p_novel: Floats, labels: Int64s, pool_of_label: Int64s,
    settings: Floats, clock_ns: Int64s, voices: Voices, tally: Tally,
    slots: Int32s, keys: Int64s, links: Int64s, ends: Int64s, seed: Seed,
    flows: Floats, evidence: Floats, marks: Floats, last_ns: Int64s, reached: Int8s, words: Int64s, out: Floats,
) -> int:  # fmt: skip
    """Walk a batch; write a finding for each flagged flow. Returns their number."""
    found = 0
    pools = len(marks) // len(flows)
    for i in range(len(identity)):
        clock_ns[0] = max(clock_ns[0], identity[i, END_NS] + identity[i, END_SHIFT_NS])
        if identity[i, NEW_PACKETS] == 0 or hear(identity, values, i, voices, tally, seed):
            continue
        known, novel = p_known[i] < settings[S_KNOWN], p_novel[i] < settings[S_NOVEL]
        high = _IPV4_HIGH if identity[i, IP_VERSION] == 4 else identity[i, SRC_HIGH]
        low = identity[i, SRC_LOW]
        row = find(high, low, slots, keys, seed)
        weight = 0.5 ** min(identity[i, REPORT], 60)
        if not (known or novel):
            if row != ABSENT:
                flows[row] += weight
            continue
        fresh = row == ABSENT
        if fresh:
            row = admit(high, low, slots, keys, links, ends, seed)
            _forget(flows, evidence, marks, last_ns, reached, row, pools)
        else:
            touch(row, links, ends)
        pool = _pool(values, i, known, pool_of_label[labels[i]])
        k = row * pools + pool
        if reached[k] == 1 and clock_ns[0] - last_ns[k] >= settings[S_QUIET]:
            evidence[k, 0] = evidence[k, 1] = 0.0
        _decay(settings, evidence, k, flows[row] - marks[k])
        anew = evidence[k, 0] == 0.0 and evidence[k, 1] == 0.0
        evidence[k, 0] = _weigh(settings, S_KNOWN, evidence[k, 0], known, p_known[i], weight)
        evidence[k, 1] = _weigh(settings, S_NOVEL, evidence[k, 1], novel, p_novel[i], weight)
        flows[row] += weight
        marks[k] = flows[row]
        last_ns[k] = clock_ns[0]
        reached[k] = max(evidence[k, 0], evidence[k, 1]) >= settings[S_THRESHOLD]
        words[found, F_INDEX], words[found, F_ROW], words[found, F_FRESH] = i, row, fresh
        words[found, F_POOL], words[found, F_ANEW], words[found, F_CLOCK] = pool, anew, clock_ns[0]
        out[found, 0], out[found, 1] = evidence[k, 0], evidence[k, 1]
        found += 1
    return found


@inner
def _forget(
    flows: Floats, evidence: Floats, marks: Floats, last_ns: Int64s, reached: Int8s, row: int, pools: int
) -> None:
    """Clear the row of a host that gave way to another."""
    flows[row] = 0.0
    for k in range(row * pools, (row + 1) * pools):
        evidence[k, 0] = evidence[k, 1] = marks[k] = 0.0
        last_ns[k] = reached[k] = 0


@inner
def _pool(values: Values, i: int, known: bool, pool_of_label: int) -> int:
    """Pool of a flagged flow. Where no data was exchanged there is too little to tell one class from another."""
    if values[i, _BWD_PACKETS] == 0 or values[i, _FWD_BYTES] + values[i, _BWD_BYTES] == 0:
        return NO_EXCHANGE
    return pool_of_label if known else UNUSUAL


@inner
def _decay(settings: Floats, evidence: Floats, k: int, unflagged: float) -> None:
    """Bring a pool's evidence up to date with the flows of its host that were not flagged in this pool.

    All at once equals one by one: each subtracts the same, and the floor holds until the next flagged flow.
    """
    evidence[k, 0] = max(0.0, evidence[k, 0] + unflagged * settings[S_KNOWN + 2])
    evidence[k, 1] = max(0.0, evidence[k, 1] + unflagged * settings[S_NOVEL + 2])


@inner
def _weigh(settings: Floats, lane: int, log_e: float, flagged: bool, p: float, weight: float) -> float:
    """Evidence of one lane after one flow: its e-value multiplied in (a sum, on the logarithmic scale)."""
    gain = settings[lane + 1] - 0.5 * math.log(p) if flagged else settings[lane + 2]
    return float(min(max(log_e + weight * gain, 0.0), EVIDENCE_LIMIT))
