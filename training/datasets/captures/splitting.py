"""Which labelled flows of several networks a model is fitted on, and which are held back for its calibration."""

from dataclasses import dataclass

import numpy as np

from training.arrays import Int64s, Mask, Strings
from training.datasets.rows import taken
from training.datasets.table import UNLABELLED, FlowTable
from training.datasets.texts import texts_in
from training.labels import BENIGN

HELD_BACK_SHARE = 0.25  # of each network's normal flows: its last ones, which give calibration and thresholds
COMPANY = 5  # every so many attacks keep the normal flows that are held back company


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NetworkSplit:
    """Labelled flows of several networks to fit on, and others to calibrate on."""

    train: FlowTable  # labelled flows alone
    held_back: FlowTable  # others, whose normal ones give calibration and thresholds; none where fits are crossed
    train_network: Strings  # (n,) network of each flow of train, for weights: a network counts once
    held_back_network: Strings  # (n,) of each flow of held_back


def network_split(flows: FlowTable, network: Strings, usable: Mask, *, holds_back: bool = True) -> NetworkSplit:
    """The flows that may be used, and have a label, in two parts.

    network: (n,) of each flow. usable: (n,). Of each network's normal flows the last quarter is held back, and of its
    attacks every fifth. holds_back: False to hold nothing back.
    """
    usable = usable & (flows.family != UNLABELLED)
    held_back = _held_back(flows.family, network, usable) if holds_back else np.zeros_like(usable)
    train = usable & ~held_back
    return NetworkSplit(
        train=flows.take(train),
        held_back=flows.take(held_back),
        train_network=taken(network, np.flatnonzero(train)),
        held_back_network=taken(network, np.flatnonzero(held_back)),
    )


def _held_back(family: Strings, network: Strings, usable: Mask) -> Mask:
    held = np.zeros(len(family), dtype=np.bool_)
    normal = family == BENIGN
    for name in texts_in(network):
        own: Int64s = np.flatnonzero(usable & (network == name) & normal)
        held[own[len(own) - round(HELD_BACK_SHARE * len(own)) :]] = True
        attacks = np.flatnonzero(usable & (network == name) & ~normal)
        held[attacks[::COMPANY]] = True
    return held
