"""What is odd about notes that are valid: rules that have expired, that another one covers, or that overlap.

The first rule that holds mutes an alert, so an order matters only for the reason that is told and for how long.
"""

from collections.abc import Iterator, Sequence

from sensor.site.networks import covers, meet
from sensor.site.notes import Party, Rule, SiteNotes, expired, time_in_words


def oddities(notes: SiteNotes, now_ns: int) -> Iterator[str]:
    """One line for each, with the lines of both rules. now_ns: wall clock, nanoseconds since 1970."""
    in_force: list[Rule] = []
    for rule in notes.rules:
        if rule.until_ns is not None and expired(rule.until_ns, now_ns):
            yield f"line {rule.line}: rule {rule.text} has expired, at {time_in_words(rule.until_ns)}"
            continue
        yield from _against(rule, in_force)
        in_force.append(rule)


def _against(rule: Rule, earlier: Sequence[Rule]) -> Iterator[str]:
    for other in earlier:
        both = f"line {rule.line}: rule {rule.text}"
        if covered(rule, other) and not _outlives(rule, other):
            yield f"{both} never applies: line {other.line} ({other.text}) covers it"
            return
        if covered(other, rule) and not _outlives(other, rule):
            yield f"{both} covers line {other.line} ({other.text}), which is not needed"
        elif _overlap(rule, other):
            yield f"{both} overlaps line {other.line} ({other.text}), which is told where both hold"


def covered(rule: Rule, other: Rule) -> bool:
    """Whether the other rule holds wherever the rule does, while it is in force."""
    return (
        _party_covered(rule.source, other.source)
        and _party_covered(rule.destination, other.destination)
        and (other.service is None or (rule.service is not None and other.service.covers(rule.service)))
        and (other.claim is None or (rule.claim is not None and other.claim.covers(rule.claim)))
    )


def _party_covered(party: Party | None, other: Party | None) -> bool:
    return other is None or (party is not None and covers(other.networks, party.networks))


def _outlives(rule: Rule, other: Rule) -> bool:
    if other.until_ns is None:
        return False
    return rule.until_ns is None or rule.until_ns > other.until_ns


def _overlap(rule: Rule, other: Rule) -> bool:
    """Whether some alert may be of both."""
    return (
        _parties_meet(rule.source, other.source)
        and _parties_meet(rule.destination, other.destination)
        and (rule.service is None or other.service is None or rule.service.meets(other.service))
        and (rule.claim is None or other.claim is None or rule.claim.meets(other.claim))
    )


def _parties_meet(party: Party | None, other: Party | None) -> bool:
    return party is None or other is None or meet(party.networks, other.networks)
