"""A training recipe: every choice of a bundle's fit, read from YAML; faults are named by file, line and column."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from configs.formats import Format
from training.errors import RecipeError
from training.networks_recipe import NetworksRecipe
from training.recipe_sections import (
    Count,
    Dataset,
    Disturbances,
    Gaps,
    Hosts,
    IsolationForestRecipe,
    LstmSize,
    Name,
    Power,
    Rates,
    RecipeSection,
    Seed,
    Share,
    Trees,
    Voice,
)
from training.yaml_model import read_model

FORMAT: Final = Format("recipe", instead="write it anew by one of configs/training")


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


class Augment(Disturbances):
    """What is done to the inputs while fitting, fingerprint columns among them."""

    fingerprint_drop: Share


class LstmRecipe(LstmSize):
    """Size and pace of the LSTM's fit, and the families it learns."""

    patience: Count  # epochs without gain on the day that was not fitted
    balance: Power  # a family's weight falls with its count to this power
    smallest_family: Count  # flows; a smaller one is not learnt


class Vote(RecipeSection):
    """Weights in the known lane."""

    lstm: Voice
    random_forest: Voice


class Measure(RecipeSection):
    """Further fits, for the spread of the figures; only that of the recipe's own seed is shipped."""

    seeds: tuple[Seed, ...]


class KddForest(RecipeSection):
    """Size of the random forest on connection records, and the families it learns."""

    trees: Trees
    leaves: Annotated[int, Field(ge=2)]
    balance: Power  # a family's weight falls with its count to this power
    smallest_family: Count


class CrossFit(RecipeSection):
    """Normal records fall into clusters, clusters into folds; each fold is scored by a fit without it."""

    clusters: Annotated[int, Field(ge=2)]
    folds: Annotated[int, Field(ge=2)]


class KddRecipe(RecipeSection):
    """A recipe for a bundle that judges KDD connection records."""

    name: Name
    records: Literal["kdd"]
    content: bool  # with the columns that need payloads
    seed: Seed
    dataset: Dataset
    random_forest: KddForest
    iforest: IsolationForestRecipe
    calibrate: CrossFit
    rates: Rates


class Recipe(RecipeSection):
    """A recipe for a bundle that judges flows."""

    name: Name
    seed: Seed
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
    rates: Rates

    @model_validator(mode="after")
    def _one_split(self) -> "Recipe":
        if (self.days is None) == (self.random is None):
            raise ValueError("expected either days or random, which say what is fitted and what is held back")
        return self


AnyRecipe = Recipe | NetworksRecipe | KddRecipe


def read_recipe(path: Path) -> tuple[AnyRecipe, str]:
    """The recipe and its text.

    One with the key `records` is for connection records, one with `captures` for flows of captures of several networks,
    any other for flows of a table. Raises RecipeError with line and column.
    """
    return read_model(path, model_of, RecipeError, FORMAT)


def model_of(content: Any) -> type[AnyRecipe]:
    """Which kind of recipe a mapping is meant to be."""
    if not isinstance(content, dict):
        return Recipe
    return KddRecipe if "records" in content else NetworksRecipe if "captures" in content else Recipe
