"""Who judged the flows of a log, by what its file says of itself: whatever a stranger's says is checked."""

from sensor.flow_log.columns import JudgedBy
from sensor.flow_log.files import FileError, FlowsFile
from sensor.printable import printable


def judged_by(file: FlowsFile) -> JudgedBy:
    """Who said what stands in a flow log. Raises FileError where it does not say so."""
    try:
        said = dict((file.about or {})["judge"])
        by = JudgedBy(
            model=printable(_word(said["model"]), 200),
            sha256=printable(_word(said["sha256"]), 64),
            rate=float(said["rate"]),
            cuts=(float(said["cuts"][0]), float(said["cuts"][1])),
            labels=tuple(map(_word, said["labels"])),  # as they stand in the rows
            detectors=file.detectors,
        )
    except (TypeError, KeyError, IndexError, ValueError, OverflowError) as error:
        raise FileError(
            f"{printable(str(file.path), 200)}: found no word of who judged, expected the model and its labels"
        ) from error
    return by


def _word(said: object) -> str:
    """A text that a log says of itself. Raises TypeError for anything else."""
    if not isinstance(said, str):
        raise TypeError(f"found {type(said).__name__}, expected text")
    return said
