"""A recipe for a bundle that is fitted on captures of several networks: its sources, and every choice of the fit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from flows.columns import usable_by_models
from flows.context.columns import CONTEXT_NAMES
from training.labels import BENIGN, TECHNIQUES
from training.recipe_sections import (
    LEAST_VOICE,
    LOUDEST_VOICE,
    Count,
    Digest,
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
)

Weight = Annotated[float, Field(ge=0.0, le=LOUDEST_VOICE)]
Whole = Literal["leave_out", "attack"] | tuple[str, ...]
Reports = Literal["first", "last", "all"]


class SourceSection(RecipeSection):
    """One source of flows. What it is, is said by its kind."""

    name: Name  # stands before the names of its captures
    citation: str
    sha256: Digest | None = None  # of all that is read of it, as the manifest says it


class IndexSource(SourceSection):
    """Captures that an index names (training.datasets.captures.index)."""

    kind: Literal["index"]
    path: Path  # below the data directory: of the index, or of the directory with index.csv
    leave_out: tuple[str, ...] = ()  # networks that nothing is fitted on


class LabSource(SourceSection):
    """Runs of the lab, a directory each; the network is the site's name."""

    kind: Literal["lab"]
    path: Path = Path()  # below the directory of the lab's runs
    leave_out: tuple[str, ...] = ()  # sites that nothing is fitted on


class GeneratorSource(SourceSection):
    """Traffic of the product's own generator, a capture for each seed, all of one network."""

    kind: Literal["generator"]
    network: Name | None = None  # its name, so that several sources are one; None: the source's
    seeds: tuple[Seed, ...] = Field(min_length=1)
    scenarios: tuple[str, ...] = Field(min_length=1)
    minutes: Annotated[float, Field(ge=0.1, le=10_080.0)] | None = None  # None: as long as the longest scenario


class TableSource(SourceSection):
    """A table of flows, a network of the source's name: what its hosts did before is not in it, so its context is none.

    In a table that is a part of the traffic neither are the neighbours of a flow.
    """

    kind: Literal["table"]
    path: Path  # below the data directory: a file, or a directory of files
    sequences: bool = False  # its hosts have sequences for the LSTM; else each flow is one by itself


Source = Annotated[IndexSource | LabSource | GeneratorSource | TableSource, Field(discriminator="kind")]


class Balance(RecipeSection):
    """What a flow weighs in the fits. A power of 0 leaves counts as they are, 1 makes what is counted weigh alike."""

    networks: Power  # flows of one network and class weigh by their count to the power of minus this
    least: Count  # flows that a network and class is taken to have at least: a handful is no network
    classes: Power  # the same of a class, its networks together
    normal: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None  # share of normal traffic in all weights; None: any


class Calibrate(RecipeSection):
    """Which normal flows, unseen by the fit that scores them, give the calibration, and what each weighs in it.

    Where fits are crossed, a network weighs so among those of its group, and a group as many as its normal flows.
    """

    networks: Power
    least: Count
    # Networks are dealt into so many groups, each scored by a fit without it, and the fit that is shipped holds nothing
    # back; None: the last quarter of each network's normal flows is held back.
    folds: Annotated[int, Field(ge=2)] | None = None


class Augment(Disturbances):
    """What is done to the inputs while fitting, the context among them."""

    context_drop: Share  # share of rows, and of lanes and chunks, whose context is hidden


class NetworkLstm(LstmSize):
    """Size and pace of the LSTM's fit."""

    network_steps: Count | None = None  # most steps of a network in an epoch, whole sequences drawn anew for each


class NetworkForest(RecipeSection):
    """Size of the random forest."""

    trees: Trees
    leaves: Annotated[int, Field(ge=2)]  # of a tree
    depth: Count | None = None
    columns: Count  # that each split chooses among
    smallest_leaf: Count = 1  # rows
    names: bool  # says what, not only whether; its leaves are as many times larger


class NetworkVote(RecipeSection):
    """Weights in the known lane; a member of weight 0 is not fitted."""

    lstm: Weight
    random_forest: Weight
    by_class: bool = False  # calibrated class by class (models.classes), which takes a forest that says what

    @model_validator(mode="after")
    def _somebody(self) -> "NetworkVote":
        if self.lstm == self.random_forest == 0:
            raise ValueError("both weights are 0; expected a detector in the known lane")
        if any(0 < weight < LEAST_VOICE for weight in (self.lstm, self.random_forest)):
            raise ValueError(f"found a weight below {LEAST_VOICE:g}; expected 0 or more than that")
        return self


class NetworkIsolationForest(IsolationForestRecipe):
    """Size of the Isolation Forest, and how much normal traffic its trees draw from."""

    rows: Count  # drawn by their weights, so that a network counts once
    columns: Literal["all", "context"] = "all"  # of those used, or of these what was before each flow alone

    @model_validator(mode="after")
    def _enough(self) -> "NetworkIsolationForest":
        if self.sample > self.rows:
            raise ValueError(f"found {self.sample} rows a tree of {self.rows}; expected as many or fewer")
        return self


class FoldRecipe(RecipeSection):
    """How networks and families are left out by flowvigil evaluate, and what is lighter in these fits."""

    groups: Count | None = None  # networks are dealt into so many groups, each left out as one; None: each by itself
    families: bool = True  # leave out families as well
    epochs: Count | None = None  # of the LSTM; None: as many as in the fit that is shipped
    trees: Trees | None = None  # of the random forest
    network_steps: Count | None = None  # of the LSTM
    calibrate: Annotated[int, Field(ge=2)] | None = None  # calibrate.folds; None: as many as there


class NetworksRecipe(RecipeSection):
    """A recipe for a bundle that judges flows with or without their context, fitted on several networks."""

    name: Name
    seed: Seed
    captures: tuple[Source, ...] = Field(min_length=1)
    warnings: tuple[str, ...] = ()  # what readers of its figures must know
    # What flows of captures labelled as a whole are (training.datasets.captures.whole): nothing, the attack's, or that
    # of some families alone.
    whole: Whole
    classes: Mapping[str, str | None] = Field(default_factory=dict)  # families learnt as another, or not at all
    smallest_family: Count  # flows; a smaller one is not learnt
    most_flows: Count | None = None  # of a family in a capture; of more, so many are drawn to be fitted on
    context: bool  # with the columns of flows.context.columns
    without: tuple[str, ...] = ()  # columns that are not used
    reports: Reports  # of a flow, that forests are fitted on
    balance: Balance
    calibrate: Calibrate
    fusion: Literal["lanes", "cascade"]
    known_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5  # of a nominal rate, that the known lane may spend
    hosts: Hosts
    gaps: Gaps
    augment: Augment
    lstm: NetworkLstm
    random_forest: NetworkForest
    vote: NetworkVote
    iforest: NetworkIsolationForest
    baselines: bool  # plain models beside it, for the tables of flowvigil evaluate
    folds: FoldRecipe = FoldRecipe()
    rates: Rates

    @field_validator("captures")
    @classmethod
    def _each_once(cls, captures: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.name for source in captures]
        if len(set(names)) != len(names):
            raise ValueError(f"found the names {', '.join(names)}; expected each once")
        if all(isinstance(source, TableSource) for source in captures):
            raise ValueError("found tables alone; expected a source of captures as well")
        return captures

    @field_validator("classes")
    @classmethod
    def _families(cls, classes: Mapping[str, str | None]) -> Mapping[str, str | None]:
        known = [family for family in TECHNIQUES if family != BENIGN]
        for family, name in classes.items():
            for found in (family, *(() if name is None else (name,))):
                if found not in known:
                    raise ValueError(f"{found!r:.80} is no family of attacks; known are {', '.join(known)}")
        return classes

    @field_validator("without")
    @classmethod
    def _known_columns(cls, without: tuple[str, ...]) -> tuple[str, ...]:
        known = (*usable_by_models(fingerprints=False), *CONTEXT_NAMES)
        for column in without:
            if column not in known:
                raise ValueError(f"{column!r:.80} is no column that a model may use")
        return without

    @field_validator("whole")
    @classmethod
    def _whole_families(cls, whole: Whole) -> Whole:
        known = [family for family in TECHNIQUES if family != BENIGN]
        for family in () if isinstance(whole, str) else whole:
            if family not in known:
                raise ValueError(f"{family!r:.80} is no family of attacks; known are {', '.join(known)}")
        return whole

    @model_validator(mode="after")
    def _with_context(self) -> "NetworksRecipe":
        if self.iforest.columns == "context" and not self.context:
            raise ValueError("iforest columns are those of the context, which is not used; expected context: true")
        return self

    @model_validator(mode="after")
    def _named_where_calibrated(self) -> "NetworksRecipe":
        if self.vote.by_class and self.vote.random_forest and not self.random_forest.names:
            raise ValueError("vote by_class takes classes of every member; expected random_forest names: true")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns used, in the order of the rows."""
        own = (*usable_by_models(fingerprints=False), *(CONTEXT_NAMES if self.context else ()))
        return tuple(name for name in own if name not in self.without)

    def lighter(self) -> "NetworksRecipe":
        """The recipe of the fits without a network or family."""
        folds, steps = self.folds, self.lstm.network_steps
        lstm = {"epochs": folds.epochs or self.lstm.epochs, "network_steps": folds.network_steps or steps}
        forest = {"trees": folds.trees or self.random_forest.trees}
        calibrate = {"folds": self.calibrate.folds and (folds.calibrate or self.calibrate.folds)}
        return self.model_copy(
            update={
                "calibrate": self.calibrate.model_copy(update=calibrate),
                "lstm": self.lstm.model_copy(update=lstm),
                "random_forest": self.random_forest.model_copy(update=forest),
            }
        )
