"""What is counted of each capture, and the sum over all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Final

from sensor.progress.progress import KeptPackets, LoggedFlows, Progress

# Counts that add up, of single names and by name.
COUNTS: Final = (
    "received", "packets", "bytes", "metered", "filtered", "shed", "dropped", "flows", "evicted", "late",
    "clock_jumps", "tunnelled", "split_sessions", "lost_lines", "alerts", "attacks", "uncertain", "merged", "judged",
    "one_sided", "scoring_s",
)  # fmt: skip
NOT_ALWAYS: Final = ("muted", "context_evicted")  # None where there is no such thing
BY_NAME: Final = ("undecoded", "unjudged", "stores_evicted")
OF_THEIR_OWN: Final = {"kept": KeptPackets, "logged": LoggedFlows}  # accounts by themselves, None where there is none


def account_of(progress: Progress) -> dict[str, Any]:
    """The counts of one run, as JSON has them."""
    account: dict[str, Any] = {name: getattr(progress, name) for name in (*COUNTS, *NOT_ALWAYS)}
    account |= {name: dict(getattr(progress, name) or {}) for name in BY_NAME}
    own = {name: getattr(progress, name) for name in OF_THEIR_OWN}
    account |= {name: None if found is None else asdict(found) for name, found in own.items()}
    return account | {"started_ns": progress.started_ns, "ended_ns": progress.traffic_time_ns}


def sum_of(accounts: Iterable[Mapping[str, Any]], so_far: Progress) -> Progress:
    """Progress with the counts of further runs added to it."""
    total: dict[str, Any] = {name: getattr(so_far, name) for name in (*COUNTS, *NOT_ALWAYS)}
    by_name: dict[str, dict[str, int]] = {name: dict(getattr(so_far, name) or {}) for name in BY_NAME}
    own: dict[str, Any] = {name: getattr(so_far, name) for name in OF_THEIR_OWN}
    started, ended = so_far.started_ns, so_far.traffic_time_ns
    for account in accounts:
        for name in COUNTS:
            total[name] += account.get(name) or 0
        for name in NOT_ALWAYS:
            if account.get(name) is not None:
                total[name] = (total[name] or 0) + account[name]
        for name in BY_NAME:
            for key, count in (account.get(name) or {}).items():
                by_name[name][key] = by_name[name].get(key, 0) + count
        for name, kind in OF_THEIR_OWN.items():
            if (found := account.get(name)) is not None:
                before = own[name] or kind()
                own[name] = kind(
                    **{field.name: getattr(before, field.name) + found[field.name] for field in fields(kind)}
                )
        if began := account.get("started_ns"):
            started = min(started or began, began)
            ended = max(ended, account.get("ended_ns") or 0)
    total |= own | by_name | {"stores_evicted": by_name["stores_evicted"] or None}
    return replace(so_far, **total, started_ns=started, traffic_time_ns=ended)
