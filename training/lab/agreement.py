"""Whether the truth of a run and its capture agree; read anew from the run's directory, whoever wrote it."""

import json
from collections import Counter
from pathlib import Path

from flows.truth import FlowTruth, read_truth
from training.lab.labelling import UNKNOWN
from training.lab.packets import packets_of
from training.lab.record import EPISODES, OUTSIDE_TRUTH, ROUTER, TRUTH

SHOWN = 20

Tuple = tuple[int, frozenset[tuple[str, int]]]  # protocol and both ends


def disagreements(directory: Path) -> list[str]:
    """Lines about what does not agree, none where all does. Raises OSError, ValueError for what is no run of the lab.

    Each packet of the capture belongs to a flow of the truth with its five-tuple and within its time, each flow has as
    many packets as it says, each flow is somebody's, and each episode has flows or, where it is one of ARP, frames. The
    same of a capture of translated addresses and its own truth, save the episodes.
    """
    truths = _read(directory / TRUTH)
    episodes = json.loads((directory / EPISODES).read_text(encoding="utf-8"))
    lines = [*_unaccounted(truths), *_counts(directory / ROUTER, truths), *_of_episodes(truths, episodes)]
    for path in sorted(directory.glob(f"*{OUTSIDE_TRUTH}")):
        outside = _read(path)
        capture = path.with_name(path.name.removesuffix(OUTSIDE_TRUTH) + ".pcap")
        lines += [f"{path.name}: {line}" for line in (*_unaccounted(outside), *_counts(capture, outside))]
    return lines


def _read(path: Path) -> list[FlowTruth]:
    with path.open(encoding="utf-8", newline="") as lines:
        return read_truth(lines)


def _unaccounted(truths: list[FlowTruth]) -> list[str]:
    found = [truth for truth in truths if truth.technique == UNKNOWN.technique]
    lines = [
        f"nobody accounts for {truth.packets} packets of protocol {truth.protocol} from {truth.initiator}:"
        f"{truth.initiator_port} to {truth.target}:{truth.target_port}"
        for truth in found[:SHOWN]
    ]
    return lines + ([f"nor for {len(found) - SHOWN} further flows"] if len(found) > SHOWN else [])


def _counts(capture: Path, truths: list[FlowTruth]) -> list[str]:
    """Packets of each five-tuple, by the capture and by the truth."""
    told: Counter[Tuple] = Counter()
    spans: dict[Tuple, tuple[int, int]] = {}
    for truth in truths:
        key = (truth.protocol, frozenset(((truth.initiator, truth.initiator_port), (truth.target, truth.target_port))))
        told[key] += truth.packets
        low, high = spans.get(key, (truth.start_ns, truth.end_ns))
        spans[key] = min(low, truth.start_ns), max(high, truth.end_ns)
    seen: Counter[Tuple] = Counter()
    outside = 0
    for packet in packets_of(capture):
        if packet.ends is None:
            continue
        ends = packet.ends
        pair = ((ends.text(ends.initiator), ends.initiator_port), (ends.text(ends.target), ends.target_port))
        key = (ends.protocol, frozenset(pair))
        seen[key] += 1
        low, high = spans.get(key, (0, -1))
        outside += not low <= packet.ts_ns <= high
    wrong = [key for key in {*told, *seen} if told[key] != seen[key]]
    lines = [f"{seen[key]} packets of {key} in the capture, {told[key]} in the truth" for key in wrong[:SHOWN]]
    return lines + ([f"{outside} packets outside of the times of their flows"] if outside else [])


def _of_episodes(truths: list[FlowTruth], episodes: list[dict[str, object]]) -> list[str]:
    flows = Counter(truth.scenario for truth in truths if truth.attack and truth.technique != UNKNOWN.technique)
    names = {str(episode["episode"]) for episode in episodes}
    lines = [f"flows of an attack {name}, which is no episode" for name in flows if name not in names]
    for episode in episodes:
        name = str(episode["episode"])
        if flows[name] != episode["flows"]:
            lines.append(f"episode {name} says {episode['flows']} flows, the truth has {flows[name]}")
        if not flows[name] and not episode["arp_frames"]:
            lines.append(f"episode {name} has no packet in the capture")
    return lines
