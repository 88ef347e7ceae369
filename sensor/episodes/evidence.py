"""Evidence per source host: how far its flagged flows go beyond what chance would flag, as a sum that forgets.

Each scored flow multiplies an e-value (expected value at most 1 while its p-value is uniform) into the evidence of its
host; the running product, never below 1, is a CUSUM e-detector: the expected number of flows of a host until it first
reaches a threshold by chance is at least that threshold (Shin, Ramdas, Rinaldo 2022, "E-detectors"). With a the cut of
a lane and q = MIXTURE:

    p < a:   e = q · 0.5 / sqrt(p · a)          otherwise:   e = (1 − q) / (1 − a)

Evidence fades in traffic time too: within FADE_NS without a flagged flow all of a threshold's worth is gone, so a few
flows spread over hours are nothing. Only flows with data count; what others say is the business of
sensor.episodes.behaviour, as is what agrees with the shape of a technique.

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
)
from kernels.hosts import ABSENT, EVICTED, admit, find, host_table, touch
from kernels.jit import entry, inner

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Seed = NDArray[np.uint64]
Int8s = NDArray[np.int8]
Floats = NDArray[np.float64]

MIXTURE = 0.1
# Evidence stops here (natural logarithm), or an attack of an hour would need a day of normal flows to be forgotten.
EVIDENCE_LIMIT = 10 * math.log(10)

FADE_NS = 600_000_000_000  # in which a threshold's worth of evidence fades
_IPV4_HIGH = np.int64(-1)  # no source address has a high word of all ones, so IPv4 keys meet no IPv6 ones
# Settings of the kernel; of each lane its cut, then the two logarithms of _gains.
S_THRESHOLD, S_QUIET, S_KNOWN, _, _, S_NOVEL, _, _ = range(8)
# Words of a finding.
F_INDEX, F_ROW, F_FRESH, F_ANEW, F_CLOCK, FINDING_WORDS = range(6)


@dataclass(frozen=True, slots=True)
class FlaggedRows:
    """The flagged flows of a batch, in its order."""

    # (m, FINDING_WORDS) int64: row of the batch, row of the host, 1 when that row was just given to a new host,
    # 1 when the host held no evidence before this flow, traffic time in nanoseconds
    words: Int64s
    evidence: Floats  # (m, 2) natural logarithm, of the known and the novel lane after the flow
    threshold: float  # that is enough, likewise


class EvidenceTable:
    """Evidence of the hosts that had a flagged flow, at most `capacity` of them; the longest unflagged gives way."""

    def __init__(
        self,
        *,
        capacity: int,
        cut_known: float,
        cut_novel: float,
        threshold: float,
        quiet_ns: int,
        seed: int | None = None,
    ) -> None:
        """Cuts: p-values below which a lane flags a flow. threshold: evidence that is enough, on a linear scale.

        quiet_ns: once the threshold was reached, a host without flagged flows for so long starts anew. seed: of the
        hash keys, random unless given. Raises ValueError for a cut outside of 0..0.5; a lane with a cut of 0 never
        flags.
        """
        _check_cuts(cut_known, cut_novel)
        self.threshold = math.log(threshold)
        self._clock_ns = np.zeros(1, dtype=np.int64)
        self._hosts = host_table(capacity, secrets.randbits(128) if seed is None else seed)
        self._flows = np.zeros(capacity, dtype=np.float64)
        self._evidence = np.zeros((capacity, 2), dtype=np.float64)
        self._marks = np.zeros(capacity, dtype=np.float64)
        self._last_ns = np.zeros(capacity, dtype=np.int64)
        self._reached = np.zeros(capacity, dtype=np.int8)
        self._settings = np.array([self.threshold, quiet_ns, *_gains(cut_known), *_gains(cut_novel)], dtype=np.float64)

    @property
    def evicted(self) -> int:
        """Hosts that gave way to others so far."""
        return int(self._hosts.ends[EVICTED])

    def adjust(self, threshold: float, quiet_ns: int) -> None:
        """Go on with other settings; what was found so far stays."""
        self.threshold = math.log(threshold)
        self._settings[:2] = self.threshold, quiet_ns

    def exchange_cuts(self, cut_known: float, cut_novel: float) -> None:
        """Go on with other cuts. What unflagged flows said so far counts by the cuts of their time.

        Raises ValueError, and changes nothing, for a cut outside of 0..0.5.
        """
        _check_cuts(cut_known, cut_novel)
        unflagged = (self._flows - self._marks)[:, None] * self._settings[[S_KNOWN + 2, S_NOVEL + 2]]
        self._evidence = np.maximum(self._evidence + unflagged, 0.0)
        self._marks = self._flows.copy()
        self._settings[S_KNOWN:] = *_gains(cut_known), *_gains(cut_novel)

    def observe(self, batch: FlowBatch, p_known: Floats, p_novel: Floats) -> FlaggedRows:
        """Take in scored flows in their order. p_known, p_novel: (n,) in (0, 1], NaN for a flow that says nothing."""
        words = np.empty((len(batch), FINDING_WORDS), dtype=np.int64)
        evidence = np.empty((len(batch), 2), dtype=np.float64)
        hosts = self._hosts
        # Contiguous, or numba would compile the kernel once more for any other layout.
        identity = np.ascontiguousarray(batch.identity)
        p_known, p_novel = np.ascontiguousarray(p_known), np.ascontiguousarray(p_novel)
        with np.errstate(over="ignore"):  # the hash wraps around; only interpreted kernels notice
            found = _observe(
                identity, p_known, p_novel, self._settings, self._clock_ns,
                hosts.slots, hosts.keys, hosts.links, hosts.ends, hosts.seed,
                self._flows, self._evidence, self._marks, self._last_ns, self._reached, words, evidence,
            )  # fmt: skip
        return FlaggedRows(words[:found], evidence[:found], self.threshold)


def _check_cuts(cut_known: float, cut_novel: float) -> None:
    for name, cut in (("known", cut_known), ("novel", cut_novel)):
        if not 0 <= cut < 0.5:
            raise ValueError(f"cut of the {name} lane is {cut}, expected 0 to 0.5")


def _gains(cut: float) -> tuple[float, float, float]:
    """Of a lane: its cut, log e of a flagged flow but for -log(p) / 2, log e of any other flow.

    A cut beyond MIXTURE / 2 would make flagged flows speak against an attack; q grows with it.
    """
    q = max(MIXTURE, 2 * cut)
    return cut, math.log(0.5 * q) - 0.5 * math.log(cut) if cut else 0.0, math.log((1 - q) / (1 - cut))


@entry
def _observe(
    identity: Identity, p_known: Floats, p_novel: Floats, settings: Floats, clock_ns: Int64s,
    slots: Int32s, keys: Int64s, links: Int64s, ends: Int64s, seed: Seed,
    flows: Floats, evidence: Floats, marks: Floats, last_ns: Int64s, reached: Int8s, words: Int64s, out: Floats,
) -> int:  # fmt: skip
    """Walk a batch; write a finding for each flagged flow. Returns their number."""
    found = 0
    for i in range(len(identity)):
        clock_ns[0] = max(clock_ns[0], identity[i, END_NS] + identity[i, END_SHIFT_NS])
        if identity[i, NEW_PACKETS] == 0 or p_known[i] != p_known[i]:
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
            flows[row] = evidence[row, 0] = evidence[row, 1] = marks[row] = 0.0
            last_ns[row], reached[row] = clock_ns[0], 0
        else:
            touch(row, links, ends)
        quiet = clock_ns[0] - last_ns[row]
        if reached[row] == 1 and quiet >= settings[S_QUIET]:
            evidence[row, 0] = evidence[row, 1] = 0.0
        faded = settings[S_THRESHOLD] * quiet / FADE_NS
        # All at once equals one by one: each unflagged flow subtracts the same, and the floor holds until the next.
        for lane, first in ((0, S_KNOWN), (1, S_NOVEL)):
            unflagged = (flows[row] - marks[row]) * settings[first + 2]
            evidence[row, lane] = max(0.0, evidence[row, lane] + unflagged - faded)
        anew = evidence[row, 0] == 0.0 and evidence[row, 1] == 0.0
        evidence[row, 0] = _weigh(settings, S_KNOWN, evidence[row, 0], known, p_known[i], weight)
        evidence[row, 1] = _weigh(settings, S_NOVEL, evidence[row, 1], novel, p_novel[i], weight)
        flows[row] += weight
        marks[row] = flows[row]
        last_ns[row] = clock_ns[0]
        reached[row] = max(evidence[row, 0], evidence[row, 1]) >= settings[S_THRESHOLD]
        words[found, F_INDEX], words[found, F_ROW], words[found, F_FRESH] = i, row, fresh
        words[found, F_ANEW], words[found, F_CLOCK] = anew, clock_ns[0]
        out[found, 0], out[found, 1] = evidence[row, 0], evidence[row, 1]
        found += 1
    return found


@inner
def _weigh(settings: Floats, lane: int, log_e: float, flagged: bool, p: float, weight: float) -> float:
    """Evidence of one lane after one flow: its e-value multiplied in (a sum, on the logarithmic scale)."""
    gain = settings[lane + 1] - 0.5 * math.log(p) if flagged else settings[lane + 2]
    return float(min(max(log_e + weight * gain, 0.0), EVIDENCE_LIMIT))
