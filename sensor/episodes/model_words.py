"""What a model's answers mean for episodes: where its lanes flag, what its labels support, what moved its scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.attribution import judging_all, top_columns
from models.fusion import Hybrid, Judgement
from sensor.episodes.alerting import TopColumns
from sensor.episodes.reasons import Explainer
from sensor.episodes.shapes import NO_LABEL, label_kind


class ModelLabels:
    """The labels of every model that a run has had, numbered through: an episode may hold labels of an earlier one."""

    def __init__(self, names: Sequence[str], techniques: Sequence[str | None]) -> None:
        """names: by label index; techniques: their ATT&CK ids, None where a label has none."""
        self.names = list(names)
        self.techniques = list(techniques)
        self._number: NDArray[np.int64] | None = None  # of each of the model's own labels here, None: the same
        self._find_kinds()

    def numbered(self, judgement: Judgement) -> Judgement:
        """A judgement of the present model with the numbers that its labels have here."""
        return judgement if self._number is None else replace(judgement, label=self._number[judgement.label])

    def kinds_of(self, judgement: Judgement, cut_known: float) -> NDArray[np.int8]:
        """Which shapes the known lane supports of each row; NO_LABEL where it does not flag. judgement: numbered."""
        kinds = np.where(judgement.p_known < cut_known, self._kinds[judgement.label], NO_LABEL)
        return kinds.astype(np.int8)

    def kind_of(self, label: int) -> int:
        """Which shapes a label supports."""
        return self._kind_of[label]

    def exchange(self, names: Sequence[str], techniques: Sequence[str | None]) -> None:
        """Go on with the labels of another model; those of before stay."""
        self._number = np.array([0, *map(self._number_of, names[1:], techniques[1:])], dtype=np.int64)
        self._find_kinds()

    def _number_of(self, name: str, technique: str | None) -> int:
        for number in range(1, len(self.names)):
            if self.names[number] == name and self.techniques[number] == technique:
                return number
        self.names.append(name)
        self.techniques.append(technique)
        return len(self.names) - 1

    def _find_kinds(self) -> None:
        self._kind_of = [label_kind(technique) for technique in self.techniques]
        self._kinds = np.array(self._kind_of, dtype=np.int8)


def cuts_of(hybrid: Hybrid, rate: float | None = None) -> tuple[float, float]:
    """p-values below which a model's known and novel lane flag, at a nominal rate, its default one when None."""
    return hybrid.thresholds[hybrid.default_rate if rate is None else rate]


def moved_most_of(hybrid: Hybrid, rate: float | None, explainer: Explainer) -> TopColumns:
    """What says which columns moved a score of this model most."""
    cut_known, cut_novel = cuts_of(hybrid, rate)
    # A twin, as alerts are explained while the next records are judged (sensor.run.ahead); made once, which takes long.
    hybrid = judging_all(hybrid.twin())

    def moved_most(values: NDArray[np.float64], p_known: float, p_novel: float) -> Sequence[int]:
        lanes = np.array([[p_known < cut_known, p_novel < cut_novel]])
        columns: list[int] = top_columns(hybrid, values[None, :], lanes, explainer.candidates)[0].tolist()
        return columns

    return moved_most
