"""What is odd about notes that are valid: rules that have expired, that another one covers, or that overlap.

The first rule that holds mutes an alert, so an order matters only for the reason that is told and for how long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sensor.site.notes import Party, Rule, SiteNotes, expired, time_in_words

# From one network of a rule to the next of another, some seconds: two thousand rules of a few networks take less.
MOST_STEPS: Final = 100_000_000
_Range = tuple[int, int, int]  # IP version, first and last address
_EVERY_ADDRESS: Final = ((4, 0, 2**32 - 1), (6, 0, 2**128 - 1))


@dataclass(frozen=True, slots=True)
class _Compared:
    """A rule with its sides as ranges of addresses, ascending and apart: of many rules each is compared with each."""

    rule: Rule
    source: Sequence[_Range]
    destination: Sequence[_Range]


def oddities(notes: SiteNotes, now_ns: int) -> Iterator[str]:
    """One line for each, with the lines of both rules. now_ns: wall clock, nanoseconds since 1970."""
    in_force: list[_Compared] = []
    networks = steps = 0  # of those in force
    for rule in notes.rules:
        if rule.until_ns is not None and expired(rule.until_ns, now_ns):
            yield f"line {rule.line}: rule {rule.text} has expired, at {time_in_words(rule.until_ns)}"
            continue
        own = _networks(rule.source) + _networks(rule.destination)
        steps += networks + len(in_force) * own
        networks += own
        if steps > MOST_STEPS:
            yield (
                f"line {rule.line}: rule {rule.text} and those after it are not compared with others: they name too "
                "many networks"
            )
            return
        compared = _Compared(rule, _ranges(rule.source), _ranges(rule.destination))
        yield from _against(compared, in_force)
        in_force.append(compared)


def _against(one: _Compared, earlier: Sequence[_Compared]) -> Iterator[str]:
    rule = one.rule
    for other in earlier:
        if not _overlap(one, other):
            continue
        both, before = f"line {rule.line}: rule {rule.text}", f"line {other.rule.line} ({other.rule.text})"
        if _covers(other, one) and not _outlives(rule, other.rule):
            yield f"{both} never applies: {before} covers it"
            return
        if _covers(one, other) and not _outlives(other.rule, rule):
            yield f"{both} covers {before}, which is not needed"
        else:
            yield f"{both} overlaps {before}, which is told where both hold"


def _covers(one: _Compared, other: _Compared) -> bool:
    """Whether a rule holds wherever the other does, while it is in force."""
    service, claim = one.rule.service, one.rule.claim
    return (
        (service is None or (other.rule.service is not None and service.covers(other.rule.service)))
        and (claim is None or (other.rule.claim is not None and claim.covers(other.rule.claim)))
        and _all_within(one.source, other.source)
        and _all_within(one.destination, other.destination)
    )


def _overlap(one: _Compared, other: _Compared) -> bool:
    """Whether some alert may be of both."""
    services, claims = (one.rule.service, other.rule.service), (one.rule.claim, other.rule.claim)
    return (
        (services[0] is None or services[1] is None or services[0].meets(services[1]))
        and (claims[0] is None or claims[1] is None or claims[0].meets(claims[1]))
        and _some_meet(one.source, other.source)
        and _some_meet(one.destination, other.destination)
    )


def _outlives(rule: Rule, other: Rule) -> bool:
    if other.until_ns is None:
        return False
    return rule.until_ns is None or rule.until_ns > other.until_ns


def _networks(party: Party | None) -> int:
    return len(_EVERY_ADDRESS if party is None else party.networks)


def _ranges(party: Party | None) -> Sequence[_Range]:
    if party is None:
        return _EVERY_ADDRESS
    found = sorted((each.version, int(each.network_address), int(each.broadcast_address)) for each in party.networks)
    apart: list[_Range] = []
    for version, first, last in found:
        if apart and apart[-1][0] == version and first <= apart[-1][2] + 1:
            apart[-1] = version, apart[-1][1], max(last, apart[-1][2])
        else:
            apart.append((version, first, last))
    return apart


def _some_meet(ranges: Sequence[_Range], others: Sequence[_Range]) -> bool:
    i = j = 0
    while i < len(ranges) and j < len(others):
        (version, first, last), (other_version, other_first, other_last) = ranges[i], others[j]
        if version == other_version and first <= other_last and other_first <= last:
            return True
        if (version, last) < (other_version, other_last):
            i += 1
        else:
            j += 1
    return False


def _all_within(ranges: Sequence[_Range], others: Sequence[_Range]) -> bool:
    """Whether each of the others lies in one of the ranges."""
    i = 0
    for version, first, last in others:
        while i < len(ranges) and (ranges[i][0], ranges[i][2]) < (version, last):
            i += 1
        if i == len(ranges) or ranges[i][0] != version or ranges[i][1] > first:
            return False
    return True
