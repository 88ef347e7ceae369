"""What a run leaves beside its captures: the truth of flows and episodes, and a record of what ran."""

import json
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from flows.truth import FlowTruth, write_truth
from training.lab.attacks import ATTACKS
from training.lab.attacks.tool import Order
from training.lab.claims import Claim, Claims, benign_claims, host_addresses
from training.lab.labelling import UNKNOWN, Labelled, label
from training.lab.network import hardware_address
from training.lab.orders import site_of
from training.lab.packets import packets_of
from training.lab.programs import packages_used
from training.lab.scenario import Attack, Scenario
from training.lab.translation import ClaimsOutside, translation_of

FORMAT: Final = "flowvigil.lab/1"
TRUTH, EPISODES, RECORD, ROUTER = "truth.csv", "episodes.json", "run.json", "router.pcap"
OUTSIDE_TRUTH: Final = "-truth.csv"  # behind the name of a segment: what is in its capture, with translated addresses


@dataclass(slots=True)
class Activity:
    """What users did of one kind."""

    times: int = 0
    failed: int = 0  # with a command that ended in an error
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Episode:
    """One attack as it went."""

    attack: Attack
    order: Order
    technique: str
    start_ns: int  # of its first process
    end_ns: int  # of its last one
    commands: Sequence[Sequence[str]]
    codes: Sequence[int | None]  # exit codes; None where it was ended when its time was up
    claims: Sequence[Claim]


def write_record(
    directory: Path,
    scenario: Scenario,
    digest: str,
    episodes: Sequence[Episode],
    activities: Mapping[str, Activity],
    counts: Mapping[str, Any],
) -> None:
    """Write truth.csv, episodes.json and run.json beside the captures of a directory. Raises OSError."""
    claims = [claim for episode in episodes for claim in episode.claims]
    claims.sort(key=lambda claim: not claim.reach.own_ports)  # what is known by its ports goes first
    whole = Claims([*claims, *benign_claims(scenario)], host_addresses(scenario))
    labelled = label(packets_of(directory / ROUTER), whole)
    _write_truth(directory / TRUTH, labelled)
    translation = translation_of(scenario)
    if translation is not None and scenario.segments[translation.outside].capture:
        outside = label(packets_of(directory / f"{translation.outside}.pcap"), ClaimsOutside(whole, translation))
        _write_truth(directory / f"{translation.outside}{OUTSIDE_TRUTH}", outside)
    told = [_episode(scenario, episode, labelled) for episode in sorted(episodes, key=lambda each: each.start_ns)]
    _write(directory / EPISODES, told)
    _write(directory / RECORD, _record(scenario, digest, labelled, activities, counts))


def _write_truth(path: Path, labelled: Labelled) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        write_truth(labelled.truths, out)


def _episode(scenario: Scenario, episode: Episode, labelled: Labelled) -> dict[str, Any]:
    attack = episode.attack
    flows = [truth for truth in labelled.truths if truth.scenario == attack.name]
    mac = hardware_address(scenario, scenario.hosts[attack.source].segment, attack.source)
    address_of = site_of(scenario, Path()).by(episode.order.ip).addresses
    asked = labelled.arp.get(mac, []) if ATTACKS[attack.tool].arp else []
    return {
        "episode": attack.name,
        "technique": episode.technique,
        "tool": attack.tool,
        "source": attack.source,
        "source_address": address_of[attack.source],
        "targets": list(attack.targets),
        "target_addresses": [address_of[target] for target in attack.targets],
        "through": attack.through,
        "at_s": round(episode.order.at_s, 3),
        "for_s": round(episode.order.for_s, 3),
        "rate": round(episode.order.rate, 4),
        "process_start_ns": episode.start_ns,
        "process_end_ns": episode.end_ns,
        "first_packet_ns": min((truth.start_ns for truth in flows), default=None),
        "last_packet_ns": max((truth.end_ns for truth in flows), default=None),
        "flows": len(flows),
        "packets": sum(truth.packets for truth in flows),
        "arp_frames": sum(episode.start_ns <= at <= episode.end_ns for at in asked),
        "commands": [list(command) for command in episode.commands],
        "exit_codes": list(episode.codes),
    }


def _record(
    scenario: Scenario,
    digest: str,
    labelled: Labelled,
    activities: Mapping[str, Activity],
    counts: Mapping[str, Any],
) -> dict[str, Any]:
    benign, attack, unknown = _sums(labelled.truths)
    return {
        "format": FORMAT,
        "scenario": scenario.name,
        "scenario_sha256": digest,
        "seed": scenario.seed,
        "duration_s": scenario.duration_s,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "packages": package_versions(packages_used(scenario)),
        "captures": counts.get("packets", {}),
        "ended_early": counts.get("ended_early", []),
        "lateness": counts.get("lateness", {}),
        "ports": counts.get("ports", {}),
        "frames": {
            "all": labelled.packets,
            "arp": sum(map(len, labelled.arp.values())),
            "others": dict(labelled.others),
        },
        "flows": {"benign": benign, "attack": attack, "unaccounted": unknown},
        "flows_by_scenario": dict(sorted(Counter(truth.scenario for truth in labelled.truths).items())),
        "actions": {name: asdict(activity) for name, activity in sorted(activities.items())},
    }


def _sums(truths: Sequence[FlowTruth]) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Flows and packets of what is benign, of attacks, and of what nobody accounts for."""
    kinds: list[list[FlowTruth]] = [[], [], []]
    for truth in truths:
        kinds[2 if truth.technique == UNKNOWN.technique else truth.attack].append(truth)
    benign, attack, unknown = ({"flows": len(kind), "packets": sum(each.packets for each in kind)} for kind in kinds)
    return benign, attack, unknown


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Debian packages; those that are not installed, or not known here, are left out."""
    command = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages]
    with suppress(OSError, subprocess.TimeoutExpired):
        out = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30).stdout
        return dict(line.split(" ", 1) for line in out.splitlines() if not line.endswith(" "))
    return {}


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
