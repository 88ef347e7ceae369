"""An alert of a log in words: one line of a list, and everything about one episode. Nothing here needs a model."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sensor.alert_log import Entry
from sensor.formats.facts import Facts, Reason
from sensor.shape import span_in_words

# As the terminal has them: smallest severity of each word, highest first.
SEVERITY_WORDS: Final = ((70, "HIGH"), (40, "MEDIUM"), (0, "LOW"))
BAR: Final = 24  # characters
STEPS_SHOWN: Final = 40


def one_line(facts: Facts) -> str:
    """Such as `2026-03-02 09:01:15  HIGH    opened   192.0.2.10 -> 10.0.0.1:22  Brute Force  attack: port 22 on …`."""
    head = f"{moment(facts.time_us)}  {severity_word(facts):6}  {facts.action:7}  {who(facts)}"
    return f"{head}  {facts.title}  {facts.verdict}: {facts.reason}  [{facts.id}]"


def detail(entries: Sequence[Entry]) -> list[str]:
    """Lines about one episode, of which `entries` are all alerts in the order they were written."""
    facts = entries[-1].facts
    lines = [
        f"{severity_word(facts)}  {facts.title}  {who(facts)}",
        f"{facts.verdict}, {lanes(facts)}, severity {facts.severity}, risk {facts.risk:g}",
        "",
        f"Why         {facts.reason}",
        *_reasons(facts.reasons),
        "",
        f"Technique   {_technique(facts)}",
        f"Targets     {_targets(entries)}",
        f"Traffic     {facts.flows:,} flows, {facts.packets:,} packets, {facts.failed:,} flows without any data",
        f"Flow shown  {_flow(facts)}",
        f"Community   {facts.community_id}",
        f"Packets     tshark -r CAPTURE -Y '{packets_filter(entries[-1])}'",
        "",
        *_course(entries),
        "",
        f"Episode {facts.id}, told by {facts.observer} with bundle {facts.model} {facts.sha256[:12]}",
    ]
    if facts.dropped:
        lines.append(f"The capture had lost {facts.dropped:,} packets by then: counts may be too low.")
    return lines


def severity_word(facts: Facts) -> str:
    """HIGH, MEDIUM or LOW."""
    return next(word for least, word in SEVERITY_WORDS if facts.severity >= least)


def who(facts: Facts) -> str:
    """Source and target; where there were more than one, their number."""
    if facts.targets > 1 or facts.targets_more:
        return f"{facts.source.ip} -> {facts.targets:,}{'+' * facts.targets_more} hosts"
    one_port = facts.ports <= 1 and not facts.ports_more
    return f"{facts.source.ip} -> {_end(facts.destination.ip, facts.destination.port if one_port else None)}"


def lanes(facts: Facts) -> str:
    """Such as `known lane said SSH-Patator` or `both lanes`."""
    words = "both lanes" if facts.lane == "both" else f"{facts.lane} lane"
    return f"{words}, label {facts.label}" if facts.label else words


def moment(time_us: int) -> str:
    """Day and time of day in UTC."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def packets_filter(entry: Entry) -> str:
    """A display filter that shows an episode's packets."""
    from sensor.report.filters import display_filter
    from sensor.report.records import AlertRecord

    return display_filter(AlertRecord.model_validate(entry.document))


def _end(ip: str, port: int | None) -> str:
    if port is None:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _technique(facts: Facts) -> str:
    if not facts.technique:
        return "none: unusual, but like no class that is known"
    name = f" {facts.technique_name}" if facts.technique_name else ""
    return f"{facts.technique}{name}{f' ({facts.tactic})' if facts.tactic else ''}"


def _targets(entries: Sequence[Entry]) -> str:
    facts = entries[-1].facts
    shown = list(dict.fromkeys(entry.facts.destination.ip for entry in entries))
    hosts = "one host" if facts.targets <= 1 else f"{facts.targets:,}{'+' * facts.targets_more} hosts, among them"
    ports = f"{facts.ports:,}{'+' * facts.ports_more} {'port' if facts.ports == 1 else 'ports'}"
    return f"{hosts} {', '.join(shown[:8])}; {ports}"


def _flow(facts: Facts) -> str:
    source, destination = facts.source, facts.destination
    return (
        f"{facts.transport} {_end(source.ip, source.port)} -> {_end(destination.ip, destination.port)}, "
        f"there {source.packets:,} packets with {source.bytes:,} bytes of data, "
        f"back {destination.packets:,} with {destination.bytes:,}"
    )


def _reasons(reasons: Sequence[Reason]) -> list[str]:
    if not reasons:
        return []
    width = max(len(reason.name) for reason in reasons)
    return [f"            {reason.name:{width}}  {_contrast(reason)}" for reason in reasons]


def _contrast(reason: Reason) -> str:
    """Value against normal: `412 packets, normal 2, 99 % up to 9 (46 times that)`."""
    unit = "" if reason.unit in ("", "ratio") else f" {reason.unit}"
    words = f"{_number(reason.value)}{unit}, normal {_number(reason.median)}, 99 % up to {_number(reason.p99)}"
    if reason.value is None or not reason.p99 or reason.p99 < 0 or reason.value <= reason.p99:
        return words
    return f"{words} ({_number(reason.value / reason.p99)} times that)"


def _number(value: float | None) -> str:
    """Whole numbers whole, others with three significant digits."""
    if value is None:
        return "no number"
    if value == int(value):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}"


def _course(entries: Sequence[Entry]) -> list[str]:
    """What became of it: a line for each alert, with a bar of its flows against the most."""
    first, last = entries[0].facts, entries[-1].facts
    span = span_in_words(max(0, last.end_us - last.start_us) * 1000)
    most = max(1, *(entry.facts.flows for entry in entries))
    shown = list(entries) if len(entries) <= STEPS_SHOWN else [*entries[:1], *entries[1 - STEPS_SHOWN :]]
    lines = [f"Time line   first packet {moment(last.start_us)} UTC, last packet {moment(last.end_us)} UTC ({span})"]
    for entry in shown:
        facts = entry.facts
        later = span_in_words(max(0, facts.time_us - first.time_us) * 1000)
        bar = "#" * max(1, facts.flows * BAR // most) if facts.flows else ""
        lines.append(
            f"  {moment(facts.time_us)} {facts.action:7} {'+' + later:>9}  {facts.flows:>9,} flows  "
            f"risk {facts.risk:>5.1f}  {bar}".rstrip()
        )
    if len(entries) > STEPS_SHOWN:
        lines.insert(2, f"  ({len(entries) - STEPS_SHOWN:,} alerts between)")
    return lines
