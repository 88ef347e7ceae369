"""Sections that several kinds of training recipes have."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Power = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
Seed = Annotated[int, Field(ge=0, lt=1 << 31)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Rate = Annotated[float, Field(gt=0.0, lt=0.5)]


class RecipeSection(BaseModel):
    """A mapping of the recipe; a key that it does not list is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Dataset(RecipeSection):
    """The dataset that a bundle is fitted on."""

    name: str
    file: Path  # below the data directory
    sha256: Digest  # of the file as it lies on disk
    citation: str
    warnings: tuple[str, ...]  # what readers of its figures must know


class Hosts(RecipeSection):
    """How flows are spread over hosts for the LSTM (training.sequences)."""

    rehomed_copies: Annotated[int, Field(ge=0)]  # of all flows, each behind a few shared hosts
    shared: Count  # hosts of such a copy
    reset_s: Positive  # silence that ends a host's state


class Gaps(RecipeSection):
    """What is done to the gaps between a host's flows while fitting."""

    shorten_decades: Annotated[float, Field(ge=0.0, le=9.0)]  # up to so many powers of ten
    unknown: Share  # chance, per lane and chunk, of hiding all gaps


class Disturbances(RecipeSection):
    """What is done to the inputs while fitting; see training.fit.lstm.Disturbance."""

    noise: Annotated[float, Field(ge=0.0)]
    column_drop: Share
    state_drop: Share
    time_decades: Annotated[float, Field(ge=0.0, le=4.0)]


class LstmSize(RecipeSection):
    """Size and pace of the LSTM's fit."""

    units: Annotated[int, Field(ge=1, le=1024)]
    chunk: Count  # steps of truncated back-propagation
    lanes: Count  # streams side by side
    epochs: Count  # at most
    learning_rate: Positive
    clip_norm: Positive
    dropout: Share
    average: Share  # decay of the running mean of weights
    threads: Count  # fixed: sums in another order give other weights


class IsolationForestRecipe(RecipeSection):
    """Size of the Isolation Forest."""

    trees: Count
    sample: Annotated[int, Field(ge=2)]  # rows that each tree is grown on
