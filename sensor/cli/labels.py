"""The option --labels of the commands that read labelled datasets: a map from a file's own labels to the known ones."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from sensor.errors import SensorError

if TYPE_CHECKING:
    from training.errors import LabelMapError, TrainingError
    from training.label_map import LabelMap

Stop = TypeVar("Stop", bound=SensorError)

EXPECTED: Final = "a map of labels, a line each such as `their-scan: PortScan` or `their-noise: drop`"

LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="MAP.yaml",
        help="How labels beside the known ones are read: a line each, such as 'their-scan: PortScan' or "
        "'their-noise: drop'.",
        readable=False,
    ),
]


def stop(kind: type[Stop], error: "TrainingError | LabelMapError") -> Stop:
    """The error of this command for one of training's, with the lines that are shown below it."""
    stopped = kind(str(error))
    stopped.detail = error.detail
    return stopped


def label_map(path: Path | None) -> "LabelMap | None":
    """The map of a file, None where none is given. Raises ConfigError with file, line and column."""
    if path is None:
        return None
    from sensor.settings.file import read_pairs
    from training.label_map import LabelMap, MappedLabel

    read = read_pairs(path, EXPECTED)
    lines = tuple(MappedLabel(pair.name, str(pair.value), pair.name_place) for pair in read.pairs)
    return LabelMap(path.name, read.sha256, lines)
