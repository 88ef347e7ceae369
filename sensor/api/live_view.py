"""What the page of a running sensor shows, in words: who, how fast, the account of every packet, and alerts.

Every text is made here, so that the page's script only puts texts in their places.
"""

from typing import Any, Final

from sensor.alerts.alert import Alert
from sensor.alerts.deviation import sentence
from sensor.alerts.playbook import playbook_of
from sensor.alerts.words import (
    direction_in_words,
    label_in_words,
    lane_in_words,
    moment,
    muted_in_words,
    names_in_words,
    networks_in_words,
    outside_normal,
    service_in_short,
    severity_word,
    targets_in_words,
    tls_in_words,
    traffic_in_words,
    who,
)
from sensor.api.live_feed import Look
from sensor.printable import printable
from sensor.progress.progress import Progress, Traffic
from sensor.progress.words import early_in_words
from sensor.report.words import size, stretch
from sensor.terminal.status import warning_lines, with_prefix

_LONGEST: Final = 640  # letters of a text
_REASONS: Final = 5
_TOP: Final = 10


def state_document(look: Look) -> dict[str, Any]:
    """All but the alerts."""
    hello, progress, rates = look.hello, look.progress, look.rates
    return {
        "connection": look.connection,
        "problem": look.problem,
        "sensor": None if hello is None else _text(f"{hello.source} on {hello.observer}, flowvigil {hello.version}"),
        "bundle": _text(progress.bundle or (hello.bundle if hello else "")),
        "time": f"{moment(progress.traffic_time_ns)} UTC" if progress.traffic_time_ns else "",
        "rates": [
            ["Packets a second", with_prefix(rates.packets_per_s).strip()],
            ["Bits a second", with_prefix(rates.bits_per_s).strip()],
            ["Flows in the table", f"{progress.table_flows:,}"],
            ["Time spent scoring", f"{100 * rates.busy:.1f} %"],
        ],
        "tops": _tops(progress.traffic),
        "packets_per_s": round(rates.packets_per_s, 1),
        "accounts": _accounts(progress),
        "alerts": _alert_counts(progress),
        "warnings": [_text(line) for line in _warnings(look)],
        "notes": list(look.notes),
    }


def alert_document(alert: Alert) -> dict[str, Any]:
    """An alert as its latest line tells it."""
    word, label = severity_word(alert.severity), label_in_words(alert)
    technique = "" if alert.technique is None else f", ATT&CK {alert.technique.id}"
    return {
        "id": alert.id,
        "moved": alert.time_ns // 1_000_000,  # as JavaScript counts
        "rank": [alert.risk, alert.severity],
        "word": word,
        "level": f"{word} {alert.severity}",
        "who": _text(who(alert, "→")),
        "what": _text(alert.title),
        "when": stretch(alert.start_ns, alert.end_ns),
        "state": "closed" if alert.action == "closed" else "open",
        "muted": _text(muted_in_words(alert)),
        "verdict": _text(f"{alert.verdict}, {lane_in_words(alert)}{f', {label}' if label else ''}{technique}"),
        "reason": _text(alert.reason),
        "reasons": [_text(sentence(deviation)) for deviation in outside_normal(alert)[:_REASONS]],
        "meaning": _text(playbook_of(alert).meaning),
        "facts": [
            *([["Where", where]] if (where := direction_in_words(alert)) else []),
            ["Targets", _text(targets_in_words(alert))],
            ["Flagged traffic", _text(traffic_in_words(alert))],
            *([["Service", service]] if (service := service_in_short(alert)) else []),
            *([["Networks", _text(networks)]] if (networks := networks_in_words(alert)) else []),
            *([["Names", _text(names)]] if (names := names_in_words(alert)) else []),
            *([["TLS", _text(hello)]] if (hello := tls_in_words(alert)) else []),
            ["Risk", f"{alert.risk:g} of 100"],
            ["Community ID", _text(alert.community_id)],
            ["Id", _text(alert.id)],
        ],
        "next": [_text(step) for step in playbook_of(alert).steps],
    }


def _tops(traffic: Traffic | None) -> list[dict[str, Any]]:
    """Tables of who talks most, and of what."""
    if traffic is None:
        return []
    shares = (("Top talkers", traffic.hosts), ("Services", traffic.services), ("Protocols", traffic.protocols))
    every = max(1, sum(share.bytes for share in traffic.protocols))
    return [
        {
            "title": title,
            "headings": ["", "bit/s", "Share", "New flows"],
            "rows": [
                [
                    _text(share.name),
                    with_prefix(share.bytes * 8 / traffic.seconds if traffic.seconds > 0 else 0.0).strip(),
                    f"{min(100.0, 100 * share.bytes / every):.1f} %",
                    f"{share.flows:,}",
                ]
                for share in found[:_TOP]
            ],
        }
        for title, found in shares
        if found
    ]


def _accounts(progress: Progress) -> list[list[str]]:
    """Where every packet went; beside the received ones all are parts of them."""
    told = [
        ("Received", progress.received, True),
        ("Metered", progress.metered, True),
        ("Dropped", progress.dropped, True),
        ("Not decoded", sum(progress.undecoded.values()), True),
        ("Filtered", progress.filtered, False),
        ("Shed", progress.shed, False),
        ("Waiting", progress.waiting, False),
        ("Unaccounted for", progress.difference, False),
    ]
    accounts = [[name, f"{count:,}"] for name, count, always in told if always or count]
    return [*accounts, ["Traffic", size(progress.bytes)], ["Flows", f"{progress.flows:,}"]]


def _alert_counts(progress: Progress) -> list[list[str]]:
    counts = [["Alerts", f"{progress.alerts:,}"], ["Attack", f"{progress.attacks:,}"]]
    counts.append(["Uncertain", f"{progress.uncertain:,}"])
    return counts if progress.muted is None else [*counts, ["Muted by notes", f"{progress.muted:,}"]]


def _warnings(look: Look) -> list[str]:
    """What an operator should look after."""
    progress = look.progress
    lines = [*warning_lines(progress), early_in_words(progress)]
    lines += [f"output {one.name} is down" for one in progress.outputs if not one.up]
    if look.left_out:
        lines.append(f"{look.left_out:,} lines of the sensor left out: they were read too slowly")
    return [line for line in lines if line]


def _text(words: str) -> str:
    return printable(words, _LONGEST)
