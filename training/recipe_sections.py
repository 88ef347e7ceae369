"""Sections that several kinds of training recipes have."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Power = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
# What a bundle may hold (models.lstm, trees, fusion, bundle): a fit beyond it would be refused once it is over.
MOST_UNITS: Final = 512
MOST_TREES: Final = 4096
MOST_RATES: Final = 64
LEAST_VOICE: Final = 1e-6
LOUDEST_VOICE: Final = 1e6
LONGEST_NAME: Final = 128
Trees = Annotated[int, Field(ge=1, le=MOST_TREES)]
Voice = Annotated[float, Field(ge=LEAST_VOICE, le=LOUDEST_VOICE)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=LONGEST_NAME)]
Seed = Annotated[int, Field(ge=0, lt=1 << 31)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Rate = Annotated[float, Field(gt=0.0, lt=0.5)]
Rates = Annotated[tuple[Rate, ...], Field(min_length=1, max_length=MOST_RATES)]


class RecipeSection(BaseModel):
    """A mapping of the recipe; a key that it does not list is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Dataset(RecipeSection):
    """The dataset that a bundle is fitted on."""

    name: str
    file: Path  # below the data directory
    sha256: Digest  # of the file as it lies on disk
    citation: str
    warnings: tuple[str, ...]  # what readers of its figures must know


class Hosts(RecipeSection):
    """How flows are spread over hosts for the LSTM (training.sequences)."""

    rehomed_copies: Annotated[int, Field(ge=0, le=1000)]  # of all flows, each behind a few shared hosts
    shared: Annotated[int, Field(ge=1, le=65_536)]  # hosts of such a copy
    reset_s: Annotated[float, Field(ge=0.001, le=1e9)]  # silence that ends a host's state


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

    units: Annotated[int, Field(ge=1, le=MOST_UNITS)]
    chunk: Annotated[int, Field(ge=1, le=4096)]  # steps of truncated back-propagation
    lanes: Annotated[int, Field(ge=1, le=65_536)]  # streams side by side
    epochs: Count  # at most
    learning_rate: Positive
    clip_norm: Positive
    dropout: Share
    average: Share  # decay of the running mean of weights
    threads: Annotated[int, Field(ge=1, le=1024)]  # fixed: sums in another order give other weights


class IsolationForestRecipe(RecipeSection):
    """Size of the Isolation Forest."""

    trees: Trees
    sample: Annotated[int, Field(ge=2)]  # rows that each tree is grown on
