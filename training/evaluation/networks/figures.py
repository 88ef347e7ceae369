"""Figures over networks, of flows and of episodes, as JSON: pooled, and as the mean of networks that count once each.

Pooled shares of episodes have exact binomial intervals, which take episodes as independent. Rates of false alerts and
means over networks have intervals by drawing whole networks anew: what is counted in one network hangs together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.arrays import Values
from training.evaluation.figures import interval, rate_name, rounded
from training.evaluation.intervals import exact, over_networks
from training.evaluation.networks.judged import JudgedCapture, JudgedEpisode, attack_families, normal_flows
from training.labels import BENIGN

FLOWS_PER = 1000
Captures = Sequence[JudgedCapture]


@dataclass(frozen=True, slots=True)
class _Group:
    """A line of the table by group: captures, or the episodes in them that are told together."""

    captures: Captures
    episodes: Sequence[JudgedEpisode] | None = None


def network_figures(judged: Captures, seed: int) -> dict[str, Any]:
    """All figures of the captures that were judged."""
    return {
        "captures": len(judged),
        "networks": len({own.capture.network for own in judged}),
        "normal": normal_figures(judged, seed),
        "attacks": attack_figures(judged, seed),
        "by_group": {f"{kind}/{group}": _of_group(own, seed) for (kind, group), own in _groups(judged).items()},
        "by_network": {network: _of_network(own) for network, own in _by(judged, _network).items()},
        "flow_by_flow": flow_figures(judged, seed),
        "episodes": [_told_of(own, episode) for own in judged for episode in own.episodes],
        "false_alerts": [_told(own, alert.raised.message) for own in judged for alert in own.false_alerts],
        "severe_wrong_alerts": [
            _told(own, alert.raised.message)
            for own in judged
            for alert in own.alerts
            if alert.severe and not alert.right
        ],
    }


def normal_figures(judged: Captures, seed: int) -> dict[str, Any] | None:
    """What normal traffic costs: alerts that belong to no episode, of captures that tell so; None without any."""
    own = [each for each in judged if each.tells_false]
    if not own:
        return None
    false = [len(each.false_alerts) for each in own]
    return {
        "captures": len(own),
        "networks": len({each.capture.network for each in own}),
        "flows": sum(normal_flows(each.flags) for each in own),
        "host_days": rounded(sum(each.host_days for each in own)),
        "alerts": sum(false),
        "attack": sum(alert.raised.verdict == "attack" for each in own for alert in each.false_alerts),
        "severe": sum(alert.severe for each in own for alert in each.false_alerts),
        "captures_with": sum(map(bool, false)),
        "per_1000_flows": _rate(own, lambda each: normal_flows(each.flags) / FLOWS_PER, seed),
        "per_host_day": _rate(own, lambda each: each.host_days, seed),
    }


def attack_figures(judged: Captures, seed: int) -> dict[str, Any] | None:
    """What is found of attacks, episode by episode; None without any episode."""
    of_network = {network: _episodes(own) for network, own in _by(judged, _network).items()}
    episodes = [episode for own in of_network.values() for episode in own]
    if not episodes:
        return None
    raised = [alert for episode in episodes for alert in episode.alerts]
    found = sum(episode.found for episode in episodes)
    named = sum(episode.named for episode in episodes)
    seconds = [episode.seconds for episode in episodes if episode.seconds is not None]
    return {
        "episodes": len(episodes),
        "networks": sum(map(bool, of_network.values())),
        "found": _share(of_network, lambda episode: episode.found, seed),
        "named": _share(of_network, lambda episode: episode.named, seed),
        "named_of_found": {"n": found, "k": named, "share": _divided(named, found), "interval": _exact(named, found)},
        "alerts": len(raised),
        "severe_wrong": sum(alert.severe and not alert.right for alert in raised),
        "seconds": _quartiles(seconds),
    }


def flow_figures(judged: Captures, seed: int) -> dict[str, Any]:
    """Of each member at each nominal rate: normal flows flagged, and recall of each family that labels name.

    Flows without a label count nowhere.
    """
    told = sorted({key for own in judged for key in own.flags.flagged})
    figures: dict[str, Any] = {}
    families = sorted({family for own in judged for family in attack_families(own.flags)})
    for member, rate in told:
        figures.setdefault(member, {})[rate_name(rate)] = {
            "normal": _flagged(judged, member, rate, BENIGN, seed),
            "families": {family: _flagged(judged, member, rate, family, seed) for family in families},
        }
    return figures


def _flagged(judged: Captures, member: str, rate: float, family: str, seed: int) -> dict[str, Any]:
    """Share of a family's flows that a member flags, pooled and as the mean of networks."""
    of_network = [
        (
            sum(each.flags.flagged[member, rate].get(family, 0) for each in own),
            sum(each.flags.flows.get(family, 0) for each in own),
        )
        for own in _by(judged, _network).values()
    ]
    found, flows = np.array([parts for parts in of_network if parts[1]], dtype=np.float64).reshape(-1, 2).T
    return {"n": int(flows.sum()), "k": int(found.sum()), **_ratio(found, flows, seed)}


def _rate(own: Captures, size: Callable[[JudgedCapture], float], seed: int) -> dict[str, Any]:
    """False alerts for each unit of a capture's size, pooled and as the mean of networks that have any size."""
    of_network = [
        (float(sum(len(each.false_alerts) for each in parts)), float(sum(map(size, parts))))
        for parts in _by(own, _network).values()
    ]
    alerts, sizes = np.array([parts for parts in of_network if parts[1] > 0], dtype=np.float64).reshape(-1, 2).T
    return _ratio(alerts, sizes, seed)


def _ratio(parts: Values, wholes: Values, seed: int) -> dict[str, Any]:
    """A ratio over networks, (k,) each: of the sums, and the mean of the networks' own; each with its interval."""
    if not len(parts):
        return {"networks": 0, **dict.fromkeys(("pooled", "interval", "mean", "mean_interval"))}
    return {
        "networks": len(parts),
        "pooled": rounded(float(parts.sum() / wholes.sum())),
        "interval": interval(over_networks(parts, wholes, seed)),
        "mean": rounded(float((parts / wholes).mean())),
        "mean_interval": interval(over_networks(parts / wholes, np.ones(len(parts)), seed)),
    }


def _share(
    of_network: dict[str, list[JudgedEpisode]], holds: Callable[[JudgedEpisode], bool], seed: int
) -> dict[str, Any]:
    """Of how many episodes something holds, pooled with its exact interval and as the mean of networks."""
    counts = [(sum(map(holds, own)), len(own)) for own in of_network.values() if own]
    k, n = sum(found for found, _ in counts), sum(all_ for _, all_ in counts)
    shares = np.array([found / all_ for found, all_ in counts])
    return {
        "n": n,
        "k": k,
        "share": _divided(k, n),
        "interval": _exact(k, n),
        "mean": rounded(float(shares.mean())),
        "mean_interval": interval(over_networks(shares, np.ones(len(shares)), seed)),
    }


def _of_group(own: _Group, seed: int) -> dict[str, Any]:
    if own.episodes is not None:
        return _of_episodes(own.episodes, own.captures)
    return {
        "captures": len(own.captures),
        "flows": sum(normal_flows(each.flags) for each in own.captures),
        "alerts": sum(len(each.false_alerts) for each in own.captures),
        "severe": sum(alert.severe for each in own.captures for alert in each.false_alerts),
        "captures_with": sum(bool(each.false_alerts) for each in own.captures),
        "per_1000_flows": _rate(own.captures, lambda each: normal_flows(each.flags) / FLOWS_PER, seed)["pooled"],
    }


def _of_episodes(episodes: Sequence[JudgedEpisode], captures: Captures) -> dict[str, Any]:
    found, named = sum(each.found for each in episodes), sum(each.named for each in episodes)
    raised = [alert for each in episodes for alert in each.alerts]
    return {
        "captures": len(captures),
        "flows": sum(each.episode.flows for each in episodes),
        "episodes": len(episodes),
        "found": found,
        "found_interval": _exact(found, len(episodes)),
        "named": named,
        "named_interval": _exact(named, len(episodes)),
        "alerts": len(raised),
        "attack": sum(alert.raised.verdict == "attack" for alert in raised),
        "severe_wrong": sum(alert.severe and not alert.right for alert in raised),
        "seconds": _quartiles([each.seconds for each in episodes if each.seconds is not None]),
    }


def _groups(judged: Captures) -> dict[tuple[str, str], _Group]:
    """Attacks by the group of the episode, then normal traffic by that of the capture."""
    attacks: dict[str, list[JudgedEpisode]] = {}
    within: dict[str, list[JudgedCapture]] = {}
    for own in judged:
        for episode in own.episodes:
            attacks.setdefault(episode.episode.group, []).append(episode)
            within.setdefault(episode.episode.group, []).append(own)
    groups = {
        ("attack", group): _Group(list({id(own): own for own in within[group]}.values()), attacks[group])
        for group in sorted(attacks)
    }
    normal = _by([own for own in judged if own.tells_false], lambda own: (own.capture.kind, own.capture.group))
    return groups | {key: _Group(own) for key, own in normal.items()}


def _of_network(own: Captures) -> dict[str, Any]:
    normal = [each for each in own if each.tells_false]
    episodes = _episodes(own)
    alerts = sum(len(each.false_alerts) for each in normal)
    flows = sum(normal_flows(each.flags) for each in normal)
    return {
        "captures": len(own),
        "flows": sum(each.flows for each in own),
        "normal_flows": flows,
        "host_days": rounded(sum(each.host_days for each in normal)),
        "alerts": alerts,
        "severe": sum(alert.severe for each in normal for alert in each.false_alerts),
        "per_1000_flows": _divided(FLOWS_PER * alerts, flows),
        "episodes": len(episodes),
        "found": sum(each.found for each in episodes),
        "named": sum(each.named for each in episodes),
        "severe_wrong": sum(alert.severe and not alert.right for each in episodes for alert in each.alerts),
        "seconds": _quartiles([each.seconds for each in episodes if each.seconds is not None]),
    }


def _episodes(own: Captures) -> list[JudgedEpisode]:
    return [episode for each in own for episode in each.episodes]


def _network(own: JudgedCapture) -> str:
    return own.capture.network


def _by(judged: Iterable[JudgedCapture], key: Callable[[JudgedCapture], Any]) -> dict[Any, list[JudgedCapture]]:
    """Captures by a key, in its order."""
    groups: dict[Any, list[JudgedCapture]] = {}
    for own in judged:
        groups.setdefault(key(own), []).append(own)
    return dict(sorted(groups.items()))


def _quartiles(seconds: Sequence[float]) -> dict[str, Any] | None:
    if not seconds:
        return None
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return {"n": len(seconds), "median": rounded(median), "quartiles": [rounded(low), rounded(high)]}


def _told_of(own: JudgedCapture, episode: JudgedEpisode) -> dict[str, Any]:
    """An episode by itself, with the message of its first rightly named alert, or of its first."""
    alerts = sorted(episode.alerts, key=lambda alert: (not alert.right, alert.raised.opened_ns))
    return {
        "capture": own.capture.name,
        "network": own.capture.network,
        "episode": episode.episode.name,
        "group": episode.episode.group,
        "found": episode.found,
        "named": episode.named,
        "seconds": rounded(episode.seconds),
        "alert": alerts[0].raised.message if alerts else None,
    }


def _told(own: JudgedCapture, message: str) -> dict[str, str]:
    return {"capture": own.capture.name, "network": own.capture.network, "alert": message}


def _divided(part: float, whole: float) -> float | None:
    return rounded(part / whole) if whole else None


def _exact(found: int, n: int) -> list[float | None] | None:
    return interval(exact(found, n))
