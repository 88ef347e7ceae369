"""What is asked of an evaluation, and why it may not be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.signature import PublicKey
from training.label_map import LabelMap

Protocol = Literal["time", "random", "leave-one-out"]


class QuestionError(Exception):
    """An option that this bundle has no use for, in one line."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be evaluated."""

    bundle: Path
    dataset: Path
    protocol: Protocol
    hosts: int | None  # shared ones, None for the recipe's number
    seed: int
    days: tuple[str, ...] = ()  # ISO dates to judge, () for all
    beside: Path | None = None  # another bundle to judge by the same rows, for comparison
    data: Path | None = None  # where training files may lie, None for nowhere but beside the dataset
    labels: LabelMap | None = None  # how the dataset's labels are read
    keys: tuple[PublicKey, ...] = ()  # one of which must have signed each bundle, () for bundles of anybody
