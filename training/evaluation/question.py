"""What is asked of an evaluation, and why it may not be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Protocol = Literal["time", "random", "leave-one-out"]


class QuestionError(Exception):
    """An option that this bundle has no use for, in one line."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be evaluated. hosts: shared ones, None for the recipe's number. days: ISO dates to judge, () for all.

    beside: another bundle to judge by the same rows, for comparison. data: where training files may lie, None for
    nowhere but beside the dataset.
    """

    bundle: Path
    dataset: Path
    protocol: Protocol
    hosts: int | None
    seed: int
    days: tuple[str, ...] = ()
    beside: Path | None = None
    data: Path | None = None
