"""Which episodes share a row of the interactive view, and what a mute of its source or technique hides."""

from sensor.alerts.alert import Alert

Key = tuple[str, str, str]  # source, technique and capture that the episodes of a row share


def group_key(alert: Alert) -> Key:
    """The key of the row that an alert is in."""
    return source_key(alert), technique_key(alert), alert.capture or ""


def source_key(alert: Alert) -> str:
    """The source that a mute applies to: the address, "storms" for all merged ones; of many sources what they went to.

    Which of many sources a line shows changes from line to line.
    """
    if alert.hosts_merged:
        return "storms"
    if not alert.many_sources:
        return alert.source.ip
    one_target = alert.spread.targets <= 1 and not alert.spread.targets_more
    return f"many at {alert.destination.ip}" if one_target else "many"


def technique_key(alert: Alert) -> str:
    """The technique that a mute applies to: its id, else the label, else the verdict."""
    return alert.technique.id if alert.technique is not None else alert.label or alert.verdict
