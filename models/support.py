"""Support: the groups of flows that a model has met in normal traffic. Of any other group it can say nothing.

A group is protocol, whether the flow was answered, and whether who began it sent more than one packet. Each of the
three decides which columns can differ from zero at all: without an answer there is nothing backward, one packet has no
gaps, and only TCP has flags. So normal flows of one group tell nothing of another, and a flow of a group that was never
normal anywhere is far from normal whatever it does. A handful of normal flows is too few: LEAST.

Groups decide whether a flow is judged, not what its score means. With a calibration for each group or each protocol,
.61 or .46 of the later web attacks of the corrected CIC-IDS-2017 were found at a nominal 1 % (.92 with one for all), at
0.1 % more than twice as many of its normal flows were flagged, and captures of other networks' normal traffic had twice
the alerts: the tail of a few hundred flows is guessed, and half of the budget goes to groups that hold no attacks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import Word, as_taken, entry, inner
from models.manifest import objects, refuse, value_of

COLUMNS = ("protocol", "fwd_packets", "bwd_packets")  # that tell a flow's group; rows without them have no groups
# Normal flows below which a group counts as not met: had a model flagged one in four of its normal flows, ten would
# still hold none of these in one case of twenty.
LEAST = 10
TCP, UDP = 6, 17
PROTOCOLS = 256
NO_GROUP = 4 * PROTOCOLS  # of a row whose protocol is none

GroupIds = NDArray[np.int64]  # (n,) protocol, answered and several as one number, or NO_GROUP


class Group(NamedTuple):
    """Flows alike in what their columns can hold."""

    protocol: int  # IP protocol, 0 to 255
    answered: bool  # packets came back
    several: bool  # more than one packet was sent by who began it

    @property
    def id(self) -> int:
        """The group as one number, below NO_GROUP."""
        return 4 * self.protocol + 2 * self.answered + self.several


@dataclass(frozen=True, eq=False)
class Support:
    """Which rows a model may judge.

    Raises ValueError for rows without the columns that groups are told by, for protocols that are none, and for counts
    that are none.
    """

    columns: Sequence[str]  # of the rows, in their order
    # How many flows of each group the normal traffic of the model's fit and calibration held; None where nobody counted
    # them: then all of TCP and UDP counts as met and no other protocol, as in the datasets that flow models come from.
    normal_flows: Mapping[Group, int] | None
    _places: NDArray[np.int64] = field(init=False)
    _met: NDArray[np.bool_] = field(init=False)  # (NO_GROUP + 1,)

    def __post_init__(self) -> None:
        if not has_groups(self.columns):
            raise ValueError(f"rows have not all of the columns {', '.join(COLUMNS)}, by which groups are told")
        met = np.zeros(NO_GROUP + 1, dtype=np.bool_)
        if self.normal_flows is None:
            for protocol in (TCP, UDP):
                met[4 * protocol : 4 * protocol + 4] = True
        for group, flows in (self.normal_flows or {}).items():
            if not 0 <= group.protocol < PROTOCOLS:
                raise ValueError(f"support has protocol {group.protocol!s:.20}, expected 0 to {PROTOCOLS - 1}")
            if not 0 <= flows < 1 << 53:
                raise ValueError(f"support has {flows!s:.20} normal flows of a group, expected 0 or more")
            met[group.id] = flows >= LEAST
        object.__setattr__(self, "_met", met)
        object.__setattr__(self, "_places", _places(self.columns))

    def judges(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which rows are of groups that were met in normal traffic, (n,). values: (n, c) in the order of columns."""
        met: NDArray[np.bool_] = self._met[_group_ids(values, self._places)]
        return met


def has_groups(columns: Iterable[str]) -> bool:
    """Whether rows with these columns fall into groups: those of flows do, connection records of KDD do not."""
    return set(COLUMNS) <= set(columns)


def counted_groups(values: NDArray[np.float64], columns: Sequence[str]) -> dict[Group, int]:
    """How many rows there are of each group that occurs, by ascending group.

    values: (n, c) in the order of columns, among which are those that groups are told by.
    """
    counts = np.bincount(_group_ids(values, _places(columns)), minlength=NO_GROUP + 1)[:NO_GROUP]
    return {
        Group(found // 4, bool(found & 2), bool(found & 1)): int(counts[found])
        for found in np.flatnonzero(counts).tolist()
    }


def described_support(normal_flows: Mapping[Group, int]) -> list[dict[str, Any]]:
    """The section "support" of a manifest."""
    return [{**group._asdict(), "flows": flows} for group, flows in sorted(normal_flows.items())]


def read_support(manifest: dict[str, Any], columns: Sequence[str]) -> Support | None:
    """Support by a manifest's section "support", or without counts where it has none.

    columns: of the rows that are judged. None for rows that fall into no groups. Raises BundleError.
    """
    if "support" not in manifest:
        return Support(columns, None) if has_groups(columns) else None
    counts: dict[Group, int] = {}
    for stated in objects(manifest, "support", "protocol answered several flows"):
        group = Group(
            value_of(stated, "protocol", int, "support"),
            value_of(stated, "answered", bool, "support"),
            value_of(stated, "several", bool, "support"),
        )
        if group in counts:
            refuse(f"support names a group of protocol {group.protocol!s:.20} twice, expected each once")
        counts[group] = value_of(stated, "flows", int, "support")
    try:
        return Support(columns, counts)
    except ValueError as error:
        refuse(str(error))


def _places(columns: Sequence[str]) -> NDArray[np.int64]:
    return np.array([tuple(columns).index(name) for name in COLUMNS], dtype=np.int64)


def _group_ids(values: NDArray[np.float64], places: NDArray[np.int64]) -> GroupIds:
    out = np.empty(len(values), dtype=np.int64)
    _write_group_ids(as_taken(values, np.float64), places, out)
    return out


@entry
def _write_group_ids(values: NDArray[np.float64], places: NDArray[np.int64], out: GroupIds) -> None:
    """Groups of values (n, c) into out (n,). places: (3,) of the columns that tell them."""
    for i in range(values.shape[0]):
        out[i] = _group_id(values[i, places[0]], values[i, places[1]], values[i, places[2]])


@inner
def _group_id(protocol: Word, there: Word, back: Word) -> Word:
    if not 0.0 <= protocol < 256.0:
        return NO_GROUP
    return 4 * int(protocol) + 2 * (back > 0.0) + (there > 1.0)
