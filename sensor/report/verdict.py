"""The page in one line, and what speaks against relying on it."""

from sensor.alerts.reading import ReadErrors
from sensor.alerts.spread import counted, span_in_words
from sensor.alerts.words import moment, severity_word
from sensor.report.coverage import Coverage
from sensor.report.digest import Digest
from sensor.report.subject import ReportSubject
from sensor.report.words import share, targets

UNSEEN_SHARE = 0.01  # of the packets: above it the verdict is qualified
SILENT_NS = 2 * 3600 * 10**9  # from a sensor's latest line to the page: twice the longest time between two accounts


def verdict(digest: Digest, coverage: Coverage, subject: ReportSubject) -> str:
    """What was found, in one line."""
    amount = _amount(coverage)
    if not len(digest):
        if coverage.counts is not None and not coverage.counts.received:
            return "No packet was read: this says nothing of the network."
        if subject.since and not (digest.records or digest.passed_over):
            return f"The sensor told nothing in the last {subject.since}: this says nothing of the network."
        if digest.muted:
            return (
                f"No alert but {len(digest.muted):,} that notes of the site mute{f', in {amount}' if amount else ''}."
            )
        what = "This file holds no alert" if subject.kind == "alerts" else "Nothing anomalous was found"
        if subject.since:
            what = f"No alert of the last {subject.since}"
        return f"{what}{f' in {amount}' if amount else ''}."
    attacks = [episode for episode in digest if episode.attack]
    spreads = [episode.last.spread for episode in attacks]
    hosts = sum(spread.origins for spread in spreads if spread.origins > 1)
    hosts += len({episode.last.source.ip for episode in attacks if episode.last.spread.origins <= 1})
    uncertain = len(digest) - len(attacks)
    found = f"{counted(len(attacks), 'likely attack')} by {counted(hosts, 'host')}" if attacks else "No known attack"
    also = f" and {counted(uncertain, 'uncertain alert')}" if uncertain else ""
    worst = digest.worst(1)[0]
    level = severity_word(worst.last.severity)
    return (
        f"{found}{also}{f' in {amount}' if amount else ''}. The worst: {worst.what}, "
        f"{worst.last.origin} → {targets(worst)} ({level} severity)."
    )


def cautions(coverage: Coverage, subject: ReportSubject, errors: ReadErrors, records: int) -> list[str]:
    """What a reader must know before relying on the verdict."""
    found = []
    counts = coverage.counts
    if counts is not None and coverage.unseen > UNSEEN_SHARE * counts.received:
        part = share(coverage.unseen, counts.received)
        found.append(f"{part} of the packets were not judged: see what this sensor could not see.")
    left_out = sum(errors.left_out.values())
    if left_out:
        found.append(f"{counted(left_out, 'line')} of the input could not be read; {records:,} were.")
    if subject.until_ns and coverage.end_ns and subject.until_ns - coverage.end_ns > SILENT_NS:
        found.append(f"The latest line is of {moment(coverage.end_ns)}: what came after it is not known.")
    problems = (*subject.problems, *errors.damage)
    if problems:
        found.append(f"The input was not read to its end: {problems[0]}")
    return found


def _amount(coverage: Coverage) -> str:
    counts, span_ns = coverage.counts, coverage.end_ns - coverage.start_ns
    if counts is None:
        return ""
    return f"{counted(counts.received, 'packet')}{f' over {span_in_words(span_ns)}' if coverage.end_ns else ''}"
