"""Progress: how far a run has come, as numbers for people. It knows no clock and no terminal."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InterfaceState:
    """An interface that is watched."""

    name: str  # the one it has now
    up: bool  # whether it delivers packets


@dataclass(frozen=True, slots=True)
class OutputState:
    """An output of the settings, its counts in lines since the start."""

    name: str
    up: bool  # whether its receiver can be reached
    written: int
    queued: int  # in memory
    spooled: int  # on disk
    lost: int


@dataclass(frozen=True, slots=True)
class KeptPackets:
    """Packets of alerts since the start, by what became of them."""

    files: int = 0  # begun
    packets: int = 0  # in files
    bytes: int = 0  # captured bytes of these
    forgotten: int = 0  # had left the memory by the time they were wanted
    over_limit: int = 0  # more than a file may hold, or of a file that gave way
    lost: int = 0  # not taken by the disk
    alerts_without: int = 0  # alerts without a file, because too many opened at once
    files_deleted: int = 0  # oldest files, which gave way to the limit of all files together
    replaced: int = 0  # of those over the limit, that were in a file before later ones took their place


@dataclass(frozen=True, slots=True)
class LoggedFlows:
    """Flow records for the flow log since the start, by what became of them."""

    files: int = 0  # finished
    records: int = 0  # in these files
    bytes: int = 0  # of these files
    waiting: int = 0  # records in memory, or in the file that is being written
    lost: int = 0  # records that found no room in memory, or that the disk did not take
    files_deleted: int = 0  # oldest files, which gave way to the limit of all files together


@dataclass(frozen=True, slots=True)
class DriftState:
    """Whether traffic, scores and alerts are what they were."""

    conditions: tuple[str, ...] = ()  # that hold now (sensor.drift.conditions)
    psi_max: float | None = None  # of a column, the latest day against the nearest day before; None before the second
    alerts_per_day: float | None = None  # over the latest week, None before the first whole day
    alerts_asked: float | None = None  # a day, None where nobody asked for a rate


@dataclass(frozen=True, slots=True)
class Share:
    """What one host, service or protocol has of the traffic."""

    name: str  # an address, `tcp/443`, `tcp`
    bytes: int  # of IP packets; of a host those that it sent or got
    flows: int  # that were new


@dataclass(frozen=True, slots=True)
class Traffic:
    """Who talks most, as flow records tell it: each list the largest first."""

    seconds: float = 0.0  # that these bytes stand for: bytes * 8 / seconds are bits a second
    hosts: tuple[Share, ...] = ()
    services: tuple[Share, ...] = ()
    protocols: tuple[Share, ...] = ()
    forgotten: int = 0  # hosts and services that gave way to larger ones


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that goes on, as it stands now: its lines come each time that its flows have grown tenfold."""

    id: str
    start_ns: int  # first packet, nanoseconds since 1970
    end_ns: int  # last packet
    flows: int
    packets: int
    failed: int  # flows in which no data was exchanged
    targets: int  # distinct, as the two below
    ports: int
    origins: int


@dataclass(frozen=True, slots=True)
class WorkerRate:
    """How much a worker that reads captures has read by now, of many that it reads in turn."""

    name: str  # "worker 2", or the address of one of a cluster
    captures: int  # that it has read
    bytes: int  # of these, and of what it reads now, as they are stored
    busy_s: float  # in which it read any of them

    @property
    def megabytes_per_s(self) -> float:
        """How fast it reads while it does."""
        return self.bytes / 1e6 / max(self.busy_s, 1e-3)

    def after(self, captures: int, read: int, busy_s: float) -> "WorkerRate":
        """With so many more captures, bytes and seconds."""
        return WorkerRate(self.name, self.captures + captures, self.bytes + read, self.busy_s + busy_s)


@dataclass(frozen=True, slots=True)
class Progress:
    """Totals of a run since its start."""

    received: int = 0  # packets that reached the capture, lost or not
    packets: int = 0  # of those, that the meter was given
    bytes: int = 0  # on the wire, of those that the meter was given
    metered: int = 0  # packets counted in flows
    filtered: int = 0  # packets that the capture filter left out
    undecoded: Mapping[str, int] = field(default_factory=dict)  # packets without a flow, by reason
    shed: int = 0  # packets left out under overload
    dropped: int = 0  # packets that the kernel or the card lost, or a worker that ended unasked
    lost_with_worker: int | None = None  # of those: packets that such a worker had not told of; None without any
    waiting: int = 0  # packets in the ring that were not read yet
    longest_pause_ns: int | None = None  # between two looks at the ring at most, None where nothing is captured
    overload: str = ""  # what is done about too much traffic, "" while it is not
    flows: int = 0  # flow records reported for the first time
    table_flows: int = 0  # flows in the table now
    evicted: int = 0  # flows reported early because the table was full
    late: int = 0  # packets stamped before one that came earlier
    late_ns: int = 0  # how far behind one of these was at most, 0 where captures are read
    clock_jumps: int = 0  # times that a source's clock was set forward or back
    tunnelled: int = 0  # packets that were a tunnel's and not looked into
    split_sessions: int = 0  # sessions whose ways have other VLAN tags, metered as two flows each
    lost_lines: int = 0  # of JSON, that no output took
    bytes_read: int = 0  # of the inputs, as they are stored
    size: int | None = None  # bytes of the inputs, None where unknown: a pipe, an interface
    workers: tuple[WorkerRate, ...] = ()  # that read independent captures
    started_ns: int = 0  # oldest packet, nanoseconds since 1970, 0 before the first
    traffic_time_ns: int = 0  # newest packet
    elapsed_s: float = 0.0  # since the run began
    alerts: int = 0  # opened
    attacks: int = 0  # of those, called an attack at some time
    uncertain: int = 0  # of those, not
    muted: int | None = None  # opened, but muted by notes of the site, which alerts does not count; None without notes
    opened_uncertain: int = 0  # opened as uncertain: those that became attacks, too
    opened_muted: int = 0  # opened as muted: those that went beyond their note, too
    merged: int = 0  # alerts of single hosts that storms stand for
    bundle: str = ""  # what judges: the model's name, and of a bundle that was exchanged meanwhile its hash
    judged: int = 0  # flow records, with every new report of a flow
    # flows that no model judges, by protocol: those to groups, of discovery, of routing, and those of which the bundle
    # has no normal traffic; rules of their own and shapes watch them
    unjudged: Mapping[str, int] = field(default_factory=dict)
    one_sided: int = 0  # of those, evidence of nothing: one side of a conversation alone is in view
    scoring_s: float = 0.0  # time that judging took
    # rows of the context of flows (flows.context) that gave way to others, None where the bundle uses no context
    context_evicted: int | None = None
    # what other bounded stores let go before its time, by store (sensor.judging.judge); None where nothing gave way
    stores_evicted: Mapping[str, int] | None = None
    interfaces: tuple[InterfaceState, ...] = ()  # that are watched
    outputs: tuple[OutputState, ...] = ()  # those of the list in the settings
    kept: KeptPackets | None = None  # packets of alerts, None where none are to be kept
    logged: LoggedFlows | None = None  # flow records for the flow log, None where there is none
    drift: DriftState | None = None  # None where it is not looked for
    traffic: Traffic | None = None  # who talks most, None where nobody looks
    open_alerts: tuple[OpenAlert, ...] = ()  # those that moved last, where somebody looks

    @property
    def difference(self) -> int:
        """Packets that were received and are nowhere: 0, or the sensor has a defect."""
        accounted = self.metered + self.filtered + sum(self.undecoded.values()) + self.shed + self.dropped
        return self.received - self.waiting - accounted
