"""What flows of several networks weigh in a fit: which of them are taken, which class each is of, how much it counts.

A network counts once however long it is, a class however often it occurs, both as far as the recipe's powers say.
"""

from collections.abc import Mapping

import numpy as np

from models.detector import Vector
from training.arrays import Int64s, Mask, Strings
from training.datasets.rows import taken
from training.datasets.table import UNLABELLED, FlowTable
from training.datasets.texts import coded_texts
from training.errors import DatasetError
from training.labels import BENIGN, TECHNIQUES
from training.networks_recipe import Balance

NOT_LEARNT = -1  # class of a flow that no fit takes


def classes_of(table: FlowTable, names: Mapping[str, str | None], smallest: int) -> tuple[tuple[str, ...], Int64s]:
    """Names of the classes, BENIGN first, and the class of each flow, (n,), NOT_LEARNT where it has none.

    names: families that are learnt as another one, or as None not at all. smallest: flows below which a class is not
    learnt. Raises DatasetError where there is nothing to learn.
    """
    families, code = coded_texts(table.family)
    called = [names.get(own, own) or UNLABELLED for own in families.tolist()]
    found, name_of = np.unique(np.array(called, dtype=np.str_), return_inverse=True)
    counts = np.bincount(name_of, weights=np.bincount(code, minlength=len(called))).astype(np.int64)
    large = {str(name) for name, count in zip(found, counts, strict=True) if count >= smallest and name != UNLABELLED}
    labels = (BENIGN, *(name for name in TECHNIQUES if name in large and name != BENIGN))
    if BENIGN not in large or len(labels) < 2:
        told = ", ".join(f"{name or 'without a label'} {count:,}" for name, count in zip(found, counts, strict=True))
        problem = f"has to fit on {told}; expected normal flows and a family of attacks, {smallest:,} of each"
        raise DatasetError(table.path, problem)
    number = {name: place for place, name in enumerate(labels)}
    return labels, taken(np.array([number.get(own, NOT_LEARNT) for own in called], dtype=np.int64), code)


def capped(table: FlowTable, target: Int64s, most: int | None, seed: int) -> Mask:
    """(n,) which flows are fitted on: of a class in a capture at most so many, drawn by the seed."""
    chosen: Mask = target != NOT_LEARNT
    if most is None:
        return chosen
    rng = np.random.default_rng([seed, 3])
    cells = np.stack([table.host[:, 0], target], axis=1)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    cell = cell.reshape(-1)
    for large in np.flatnonzero(counts > most):
        rows = np.flatnonzero(cell == large)
        if chosen[rows[0]]:
            chosen[rows] = False
            chosen[rng.choice(rows, most, replace=False)] = True
    return chosen


def flow_weights(network: Strings, target: Int64s, balance: Balance) -> Vector:
    """What each flow counts, (n,) positive with mean 1.

    network: (n,) of each. target: (n,) its class, 0 of normal traffic.
    """
    weight = _tempered(network, target, balance.networks, balance.least)
    total = np.bincount(target, weights=weight)
    flows = np.bincount(target).astype(np.float64)
    wanted = np.where(flows > 0, flows ** (1.0 - balance.classes), 0.0)
    if balance.normal is not None and wanted[1:].sum() > 0:
        wanted[1:] *= (1.0 - balance.normal) / wanted[1:].sum()
        wanted[0] = balance.normal
    weight *= np.divide(wanted, total, out=np.zeros_like(wanted), where=total > 0)[target]
    result: Vector = weight / weight.mean()
    return result


def network_weights(network: Strings, power: float, least: int) -> Vector:
    """What each flow counts where all are of one class, (n,) positive with mean 1."""
    if not len(network):
        return np.empty(0)
    weight = _tempered(network, np.zeros(len(network), dtype=np.int64), power, least)
    result: Vector = weight / weight.mean()
    return result


def _tempered(network: Strings, target: Int64s, power: float, least: int) -> Vector:
    """Each flow by the number of those of its network and class, to the power of minus `power`."""
    _, number = coded_texts(network)
    _, cell, counts = np.unique(number * (target.max() + 1) + target, return_inverse=True, return_counts=True)
    weight: Vector = np.maximum(counts, least).astype(np.float64)[cell] ** -power
    return weight
