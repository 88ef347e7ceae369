"""What a protocol hands over: models, the rows they were judged by, and what they said of them."""

from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel

from configs.yaml_nodes import YamlFaultError, compose, plain_values
from models.baselines import Baselines
from models.bundle import BundleError
from models.fusion import Hybrid
from training.datasets.table import FlowTable
from training.evaluation.novel_choice import NovelChoice
from training.evaluation.records import LabelledRecords, scored_records
from training.evaluation.scored import ScoredRows, scored
from training.reporting import Report

INFLATED = "INFLATED: a random split puts neighbours of one attack on both sides; compare with published figures only"
Model = tuple[Hybrid, Baselines | None]
JudgedTable = FlowTable | LabelledRecords
AnyRecipe = TypeVar("AnyRecipe", bound=BaseModel)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A model and what it said of the rows it was judged by, as they stand and, where rows have hosts, re-homed."""

    model: Model
    table: JudgedTable
    as_is: ScoredRows
    rehomed: ScoredRows | None = None
    known: JudgedTable | None = None  # normal rows that it was fitted on, None where they are not at hand


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """All that a protocol judged."""

    whole: Judged
    left_out: dict[str, Judged] = field(default_factory=dict)  # by family or attack, of leave-one-out alone
    notes: tuple[str, ...] = ()  # what a reader must know
    hosts: int | None = None  # shared ones of the re-homed copy, None where rows have no hosts
    # Records that stand in the training file as well, by kind of count, None where nobody could count
    overlap: dict[str, int] | None = None
    # How the size of the novel lane's forest stands beside others, of leave-one-out by records alone
    novel_choice: NovelChoice | None = None


def as_they_stand(model: Model, table: JudgedTable, report: Report) -> ScoredRows:
    """What a model says of rows, from the hosts they have or from none."""
    if isinstance(table, LabelledRecords):
        return scored_records(*model, table)
    return scored(*model, table, table.host, report)


def recipe_of(hybrid: Hybrid, kind: type[AnyRecipe]) -> AnyRecipe:
    """The recipe that a bundle was fitted by. Raises BundleError where it holds none that this version can follow."""
    text = hybrid.about.get("recipe")
    if not isinstance(text, str):
        raise BundleError("the bundle holds no recipe to fit by; only --protocol time can judge it")
    try:
        return kind.model_validate(plain_values(compose(text, "recipe"), "recipe"))
    except (YamlFaultError, ValueError) as error:  # whatever stands there, it is the bundle's fault
        reason = str(error).replace("\n", " ")
        raise BundleError(f"the bundle's recipe cannot be followed by this version ({reason:.200})") from error
