"""The truth of a labelled capture, flow by flow, laid beside the flows that the meter made of it.

A flow of the meter is the flow of the truth with the same five-tuple, either way, that it shares the most time with: a
meter cuts long flows and may take a port that is used again for one flow. Addresses of hosts are all that it reads of
records; it knows no packets.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    END_NS,
    IP_VERSION,
    PROTOCOL,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    START_NS,
    Identity,
    address,
)
from flows.truth import BENIGN, FlowTruth, read_truth
from training.arrays import Int64s
from training.errors import DatasetError
from training.labels import TECHNIQUE_FAMILIES, technique_family

UNKNOWN: Final = "unknown"  # technique of a flow that nobody accounts for
TOLERANCE_NS: Final = 1_000_000  # captures of microseconds cut their stamps
WITH_PORTS: Final = frozenset({6, 17, 132})  # TCP, UDP, SCTP

Ends = frozenset[tuple[str, int]]


def truth_of(path: Path) -> list[FlowTruth]:
    """The truth in a file. Raises DatasetError for what cannot be read, and for a technique that no family holds."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            truths = read_truth(lines)
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror}); expected the truth of a capture") from error
    except (ValueError, TypeError) as error:  # a row with too few cells holds None for a number
        raise DatasetError(path, f"is no truth of a capture: {error}") from error
    for number, truth in enumerate(truths):
        if truth.technique in (BENIGN, UNKNOWN):
            continue
        try:
            technique_family(truth.technique)
        except KeyError:
            problem = f"has the unknown technique {truth.technique!r}; known are {', '.join(TECHNIQUE_FAMILIES)}"
            raise DatasetError(path, problem, line=number + 2, column="technique") from None
    return truths


def matched(identity: Identity, truths: Sequence[FlowTruth]) -> Int64s:
    """Which truth each flow is, (n,) int64, -1 where none tells of it.

    identity: (n, IDENTITY_WIDTH) of each flow's last report. Times are compared as they were stamped.
    """
    by_ends: dict[tuple[int, Ends], list[int]] = {}
    for number, truth in enumerate(truths):
        by_ends.setdefault(_ends_of_truth(truth), []).append(number)
    found = np.full(len(identity), -1, dtype=np.int64)
    for row, words in enumerate(identity.tolist()):
        best = 0
        for number in by_ends.get(_ends_of(words), ()):
            shared = _shared_ns(words[START_NS], words[END_NS], truths[number])
            if shared > best:
                best, found[row] = shared, number
    return found


def _ends_of(words: list[int]) -> tuple[int, Ends]:
    ports = (words[SRC_PORT], words[DST_PORT]) if words[PROTOCOL] in WITH_PORTS else (0, 0)
    version = words[IP_VERSION]
    source = address(words[SRC_HIGH], words[SRC_LOW], version), ports[0]
    target = address(words[DST_HIGH], words[DST_LOW], version), ports[1]
    return words[PROTOCOL], frozenset((source, target))


def _ends_of_truth(truth: FlowTruth) -> tuple[int, Ends]:
    ports = (truth.initiator_port, truth.target_port) if truth.protocol in WITH_PORTS else (0, 0)
    return truth.protocol, frozenset(((truth.initiator, ports[0]), (truth.target, ports[1])))


def _shared_ns(start_ns: int, end_ns: int, truth: FlowTruth) -> int:
    """Time that a flow and a truth share, both with the tolerance at each end; 0 or less of nothing."""
    return min(end_ns, truth.end_ns) - max(start_ns, truth.start_ns) + 2 * TOLERANCE_NS
