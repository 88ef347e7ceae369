"""What an operator's own file can get wrong, with the place where it is wrong."""

from pathlib import Path


def reason_of(error: OSError) -> str:
    """The system's reason for an error, in lower case, for within a message."""
    return (error.strerror or str(error)).lower()


class TrainingError(Exception):
    """A stop with one line: what was found, where, and what was expected.

    file: the recipe or dataset. line, column: counted from 1, or the column's name in a table; None where the fault has
    no single place. detail: lines to be shown below it.
    """

    def __init__(
        self,
        file: Path,
        problem: str,
        *,
        line: int | None = None,
        column: int | str | None = None,
        detail: tuple[str, ...] = (),
    ) -> None:
        self.file = file
        self.detail = detail
        self.line = line
        self.column = column
        place = str(file)
        if line is not None:
            place += f":{line}"
        if column is not None:
            place += f":{column}" if isinstance(column, int) else f', column "{column}"'
        super().__init__(f"{place}: {problem}")


class RecipeError(TrainingError):
    """A recipe that cannot be read, has an unknown key, or a value out of range."""


class ScenarioError(TrainingError):
    """A scenario of the lab that cannot be read, contradicts itself, or has a value out of range."""


class DatasetError(TrainingError):
    """A dataset that is missing, foreign or damaged."""


class LabelMapError(Exception):
    """A map of labels that contradicts itself or the vocabulary.

    place: such as `map.yaml:3:1`. detail: lines to be shown below it.
    """

    def __init__(self, place: str, problem: str, detail: tuple[str, ...] = ()) -> None:
        self.detail = detail
        super().__init__(f"{place}: {problem}")
