"""The account of a run in words, the same wherever it is shown."""

from collections.abc import Sequence
from typing import Final

from sensor.progress.progress import DriftState, KeptPackets, LoggedFlows, Progress, WorkerRate

PROBLEMS_TOLD: Final = 1000
MOST_WORKERS: Final = 4  # that are told of one by one


def first_problems(problems: Sequence[str]) -> list[str]:
    """Problems to be told, one line each: all of them up to PROBLEMS_TOLD, then how many more there are."""
    left = len(problems) - PROBLEMS_TOLD
    return [*problems[:PROBLEMS_TOLD], *([f"and {left:,} more problems"] if left > 0 else [])]


def kept_in_words(kept: KeptPackets) -> str:
    """The account in one line: what was kept, and what of these flows was not."""
    missing = (
        (kept.forgotten, "packets had left the memory (keep_packets.memory_bytes)"),
        (kept.over_limit, "packets over the limit of their file (keep_packets.alert_packets, alert_bytes)"),
        (kept.lost, "packets could not be written"),
        (kept.alerts_without, "alerts without a file"),
        (kept.files_deleted, "oldest files deleted (keep_packets.directory_bytes)"),
    )
    told = "".join(f", {count:,} {what}" for count, what in missing if count)
    return f"packets of alerts: {kept.packets:,} kept in {kept.files:,} file{'s' * (kept.files != 1)}{told}"


def logged_in_words(logged: LoggedFlows) -> str:
    """The account of the flow log in one line."""
    missing = (
        (logged.lost, "lost"),
        (logged.files_deleted, "oldest files deleted (flow_log.directory_bytes)"),
    )
    told = "".join(f", {count:,} {what}" for count, what in missing if count)
    return f"flow log: {logged.records:,} flow records in {logged.files:,} file{'s' * (logged.files != 1)}{told}"


def early_in_words(progress: Progress) -> str:
    """Which alerts ended before their time as there were too many; empty for none."""
    stores = progress.stores_evicted or {}
    closed, forgotten = stores.get("open episodes", 0), stores.get("merged hosts", 0)
    told = (
        (closed, "alerts closed early: more were open than may be (episodes.capacity_hosts)"),
        (forgotten, "hosts of storms forgotten early, and counted anew if they went on (episodes.capacity_hosts)"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in told if count)


def drift_in_words(drift: DriftState | None) -> str:
    """What holds of traffic, scores and alerts, such as `drift: columns-changed`; empty for nothing."""
    if drift is None or not drift.conditions:
        return ""
    return f"drift: {', '.join(drift.conditions)}"


def accounting(progress: Progress) -> str:
    """Where every packet went: `received 12 = 9 metered + 1 not decoded + 2 dropped`; parts of 0 but metered and
    dropped are left out."""
    return " ".join(accounting_parts(progress))


def accounting_parts(progress: Progress) -> list[str]:
    """The same in parts that a line may break between."""
    parts = (
        (progress.filtered, "filtered"),
        (sum(progress.undecoded.values()), "not decoded"),
        (progress.shed, "shed"),
        (progress.waiting, "waiting"),
        (progress.difference, "unaccounted for"),
    )
    return [
        f"received {progress.received:,} =",
        f"{progress.metered:,} metered",
        f"+ {progress.dropped:,} dropped",
        *(f"+ {count:,} {name}" for count, name in parts if count),
    ]


def workers_in_words(workers: Sequence[WorkerRate]) -> list[str]:
    """A line for each worker: what it has read, and how fast; of more than a few the slowest and the fastest."""
    if len(workers) <= MOST_WORKERS:
        return [_worker_in_words(worker) for worker in workers]
    ranked = sorted(workers, key=lambda worker: worker.megabytes_per_s)
    return [f"{len(workers):,} workers, the slowest and the fastest:", *map(_worker_in_words, (ranked[0], ranked[-1]))]


def worker_rates(workers: Sequence[WorkerRate]) -> str:
    """The same in a few words for the end of a line; "" where no workers are known."""
    if not workers:
        return ""
    rates = [f"{worker.megabytes_per_s:,.1f}" for worker in workers]
    if len(workers) <= MOST_WORKERS:
        captures = "+".join(f"{worker.captures:,}" for worker in workers)
        return f", {captures} captures, {'+'.join(rates)} MB/s"
    lowest, highest = (f(worker.megabytes_per_s for worker in workers) for f in (min, max))
    captures = f"{sum(worker.captures for worker in workers):,}"
    return f", {captures} captures, {len(workers):,} workers of {lowest:,.1f} to {highest:,.1f} MB/s"


def _worker_in_words(worker: WorkerRate) -> str:
    return f"{worker.name}: {worker.captures:,} captures, {worker.megabytes_per_s:,.1f} MB/s"
