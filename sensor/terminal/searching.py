"""The search of the interactive view: the language of sensor.query over the alerts at hand."""

from collections.abc import Callable
from typing import Final

from sensor.alerts import Alert, alert_document
from sensor.formats.facts import Facts, facts_of
from sensor.query import parse

_KEPT: Final = 4096  # lines whose facts are at hand: reading one takes as long as drawing it


def searcher() -> Callable[[str], Callable[[Alert], bool]]:
    """Makes matchers of what was typed; they raise ValueError (sensor.query.QueryError) with what is wrong with it."""
    known: dict[int, Facts] = {}

    def facts(alert: Alert) -> Facts:
        if alert.sequence not in known:
            if len(known) >= _KEPT:
                known.clear()
            known[alert.sequence] = facts_of(alert_document(alert))
        return known[alert.sequence]

    def search(words: str) -> Callable[[Alert], bool]:
        query = parse(words)
        return lambda alert: query.matches(facts(alert))

    return search
