"""A scenario read from YAML; faults are named by file, line and column."""

import hashlib
from pathlib import Path
from typing import Final

from configs.formats import Format
from training.errors import ScenarioError
from training.lab.claims import ambiguities
from training.lab.orders import orders_of, reaches_of
from training.lab.scenario import Scenario
from training.lab.translation import alike_outside
from training.yaml_model import read_model

FORMAT: Final = Format("scenario", instead="write it anew by one of configs/lab")


def read_scenario(path: Path, seed: int | None = None) -> tuple[Scenario, str]:
    """The scenario of a file, and the SHA-256 of the file. seed: another one than the scenario's own.

    Raises ScenarioError with line and column, or without where two parts of it could not be told apart in a capture.
    """
    scenario, text = read_model(path, lambda _: Scenario, ScenarioError, FORMAT)
    if seed is not None:
        scenario = scenario.model_copy(update={"seed": seed})
    reaches = reaches_of(scenario)
    for problem in (*ambiguities(scenario, orders_of(scenario), reaches), *alike_outside(scenario, reaches)):
        raise ScenarioError(path, problem)
    return scenario, hashlib.sha256(text.encode()).hexdigest()
