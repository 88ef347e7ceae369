"""A training recipe: every choice of a bundle's fit, read from YAML; faults are named by file, line and column."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.errors import RecipeError
from training.yaml_model import read_model

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class RecipeSection(BaseModel):
    """A mapping of the recipe; a key that it does not list is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Dataset(RecipeSection):
    """The dataset that a bundle is fitted on."""

    name: str
    file: Path  # below the data directory
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of the file as it lies on disk
    citation: str
    warnings: tuple[str, ...]  # what readers of its figures must know


class Days(RecipeSection):
    """Days, UTC, whose flows are fitted on and calibrated on, by the flows' starts."""

    train: tuple[date, ...] = Field(min_length=1)
    calibrate: date
    fit_its_attacks: bool  # the shipped model learns the attacks of `calibrate` too

    @model_validator(mode="after")
    def _apart(self) -> "Days":
        if self.calibrate in self.train:
            raise ValueError(f"calibrate: {self.calibrate} is also a day of train; thresholds need unseen traffic")
        return self


class RandomSplit(RecipeSection):
    """Parts drawn from all days: flows never fitted, and normal flows held back from the rest for calibration."""

    test_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    held_back_share: Annotated[float, Field(gt=0.0, lt=1.0)]


class Hosts(RecipeSection):
    """How flows are spread over hosts for the LSTM (training.sequences)."""

    rehomed_copies: Annotated[int, Field(ge=0)]  # of all flows, each behind a few shared hosts
    shared: Count  # hosts of such a copy
    reset_s: Positive  # silence that ends a host's state


class Gaps(RecipeSection):
    """What is done to the gaps between a host's flows while fitting."""

    shorten_decades: Annotated[float, Field(ge=0.0, le=9.0)]  # up to so many powers of ten
    unknown: Share  # chance, per lane and chunk, of hiding all gaps


class Augment(RecipeSection):
    """What is done to the inputs while fitting; see training.fit.lstm.Disturbance."""

    noise: Annotated[float, Field(ge=0.0)]
    column_drop: Share
    fingerprint_drop: Share
    state_drop: Share
    time_decades: Annotated[float, Field(ge=0.0, le=4.0)]


class LstmRecipe(RecipeSection):
    """Size and pace of the LSTM's fit, and the families it learns."""

    units: Annotated[int, Field(ge=1, le=1024)]
    chunk: Count  # steps of truncated back-propagation
    lanes: Count  # streams side by side
    epochs: Count  # at most
    patience: Count  # epochs without gain on the day that was not fitted
    learning_rate: Positive
    clip_norm: Positive
    dropout: Share
    average: Share  # decay of the running mean of weights
    balance: Annotated[float, Field(ge=0.0, le=1.0)]  # a family's weight falls with its count to this power
    smallest_family: Count  # flows; a smaller one is not learnt
    threads: Count  # fixed: sums in another order give other weights


class Vote(RecipeSection):
    """Weights in the known lane."""

    lstm: Positive
    random_forest: Positive


class IsolationForestRecipe(RecipeSection):
    """Size of the Isolation Forest."""

    trees: Count
    sample: Annotated[int, Field(ge=2)]  # rows that each tree is grown on


class Measure(RecipeSection):
    """Further fits, for the spread of the figures; only that of the recipe's own seed is shipped."""

    seeds: tuple[Annotated[int, Field(ge=0, lt=1 << 31)], ...]


class KddForest(RecipeSection):
    """Size of the random forest on connection records, and the families it learns."""

    trees: Count
    leaves: Annotated[int, Field(ge=2)]
    balance: Annotated[float, Field(ge=0.0, le=1.0)]  # a family's weight falls with its count to this power
    smallest_family: Count


class CrossFit(RecipeSection):
    """Normal records fall into clusters, clusters into folds; each fold is scored by a fit without it."""

    clusters: Annotated[int, Field(ge=2)]
    folds: Annotated[int, Field(ge=2)]


class KddRecipe(RecipeSection):
    """A recipe for a bundle that judges KDD connection records."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    records: Literal["kdd"]
    content: bool  # with the columns that need payloads
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    dataset: Dataset
    random_forest: KddForest
    iforest: IsolationForestRecipe
    calibrate: CrossFit
    rates: tuple[Annotated[float, Field(gt=0.0, lt=0.5)], ...] = Field(min_length=1)


class Recipe(RecipeSection):
    """A recipe for a bundle that judges flows."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    seed: Annotated[int, Field(ge=0, lt=1 << 31)]
    dataset: Dataset
    days: Days | None = None
    random: RandomSplit | None = None
    fusion: Literal["lanes", "cascade"]
    fingerprints: bool
    hosts: Hosts
    gaps: Gaps
    augment: Augment
    lstm: LstmRecipe
    vote: Vote
    iforest: IsolationForestRecipe
    measure: Measure
    rates: tuple[Annotated[float, Field(gt=0.0, lt=0.5)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_split(self) -> "Recipe":
        if (self.days is None) == (self.random is None):
            raise ValueError("expected either days or random, which say what is fitted and what is held back")
        return self


def read_recipe(path: Path) -> tuple[Recipe | KddRecipe, str]:
    """The recipe and its text; one with the key `records` is for connection records, any other for flows.

    Raises RecipeError with line and column.
    """
    return read_model(path, model_of, RecipeError, "a YAML recipe")


def model_of(content: Any) -> type[Recipe] | type[KddRecipe]:
    """Which kind of recipe a mapping is meant to be."""
    return KddRecipe if isinstance(content, dict) and "records" in content else Recipe
