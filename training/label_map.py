"""A map from the labels of somebody's own files to the vocabulary of training.labels, and what it did to a dataset.

A mapped label is read as if its target stood in the file. How labels are compared, and what may be a target, is the
vocabulary's to say. It reads no file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from training.errors import LabelMapError
from training.labels import Vocabulary

DROP: Final = "drop"  # in place of a target: rows of this label are left out
ROWS_LABELLED: Final = "rows labelled "  # begins each effect
LISTED: Final = 40  # of a map's labels are told one by one


@dataclass(frozen=True, slots=True)
class MappedLabel:
    """One line of a map."""

    label: str  # as the files have it
    target: str  # a label or family of the vocabulary, or DROP
    place: str  # of the line, such as `map.yaml:3:1`

    @property
    def effect(self) -> str:
        """What became of the rows of this label, for counting them among the repairs of a dataset."""
        return f"{ROWS_LABELLED}{self.label!r} " + ("dropped" if self.target == DROP else f"read as {self.target!r}")


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A map of labels as its file has it."""

    file: str  # its name
    sha256: str  # of the file
    lines: tuple[MappedLabel, ...]

    def record(self) -> dict[str, Any]:
        """All of the map, for the bundle and the results that it had a part in."""
        return {"file": self.file, "sha256": self.sha256, "labels": {line.label: line.target for line in self.lines}}

    @property
    def summary(self) -> str:
        """The map in a few words: its name, its digest, and how many labels it has."""
        labels = f"{len(self.lines):,} label" + ("" if len(self.lines) == 1 else "s")
        return f"{self.file}, sha256 {self.sha256[:12]}…, {labels}"


def recorded(labels: LabelMap | None) -> dict[str, Any]:
    """The entry of a dataset's record about the map that its labels were read by; none without a map."""
    return {} if labels is None else {"label_map": labels.record()}


def recorded_map(record: object, place: str) -> LabelMap | None:
    """The map of a record, None where there is no record. place: where that stands, for messages.

    Raises LabelMapError for anything else than LabelMap.record gives.
    """
    if record is None:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("labels"), dict):
        raise LabelMapError(place, "is no map of labels")
    lines = (MappedLabel(str(label), str(target), place) for label, target in record["labels"].items())
    return LabelMap(str(record.get("file")), str(record.get("sha256")), tuple(lines))


class Relabelling:
    """A map of labels under the vocabulary of the files that are read; without a map every label stays.

    Raises LabelMapError for a target that the vocabulary does not have, and for two labels that are one to the
    vocabulary and have different targets.
    """

    def __init__(self, given: LabelMap | None, vocabulary: Vocabulary) -> None:
        self.map = given
        self.vocabulary = vocabulary
        self._lines: dict[str, MappedLabel] = {}
        for line in () if given is None else given.lines:
            found = MappedLabel(line.label, _target(line, vocabulary), line.place)
            first = self._lines.setdefault(vocabulary.spelled(line.label), found)
            if first.target != found.target:
                problem = (
                    f"{line.label!r} is read as {found.target}, {first.label!r} of {first.place} as {first.target}; "
                    "letter case, spaces and kind of dash do not matter: the two are one label"
                )
                raise LabelMapError(line.place, problem)

    def line(self, label: str) -> MappedLabel | None:
        """The line that says how to read a label of the files; None where it stays as it is."""
        return self._lines.get(self.vocabulary.spelled(label)) if self._lines else None

    def unknown(self, label: str) -> str:
        """The end of a message about a label that neither the map nor the vocabulary has."""
        beside = "" if self.map is None else f", which {self.map.file} does not have either"
        return f"{label}{beside}; known are {self.vocabulary.listed}"

    def advice(self) -> tuple[str, ...]:
        """Lines below that message: how such a label can be read all the same."""
        if self.map is not None:
            return ()
        how = "--labels map.yaml reads others as these, or leaves their rows out, by lines such as"
        return (how, f"  my-scan: {self.vocabulary.example}", f"  my-noise: {DROP}")

    def told(self, repairs: Mapping[str, int]) -> Iterator[str]:
        """What the map did, in lines. repairs: of the dataset, the effects of the map's lines among them."""
        if self.map is None:
            return
        lines = list(self._lines.values())
        used = [line for line in lines if repairs.get(line.effect)]
        for line in used[:LISTED]:
            yield f"{self.map.file}: {repairs[line.effect]:,} {line.effect}{self._otherwise_known(line)}"
        if len(used) > LISTED:
            rows = sum(repairs[line.effect] for line in used[LISTED:])
            yield f"{self.map.file}: {rows:,} rows of {len(used) - LISTED:,} other labels read as the map says"
        unused = [line.label for line in lines if not repairs.get(line.effect)]
        if unused:
            yield f"{self.map.file}: no row is labelled {_listed(unused)}"

    def _otherwise_known(self, line: MappedLabel) -> str:
        """Where the vocabulary has the label itself, as another class: that the map overrules it."""
        try:
            family = self.vocabulary.family(self.vocabulary.name(line.label)) or "an attack only attempted"
        except KeyError:
            return ""
        if line.target != DROP and family == self.vocabulary.family_of(line.target):
            return ""
        return f", though the vocabulary knows this label, as {family}"


def _target(line: MappedLabel, vocabulary: Vocabulary) -> str:
    if line.target.strip().lower() == DROP:
        return DROP
    try:
        return vocabulary.target(line.target)
    except KeyError:
        families = ", ".join(vocabulary.families)
        problem = (
            f"{line.label!r} is mapped to {line.target!r}; expected {DROP}, a family ({families}), or a known label"
        )
        raise LabelMapError(line.place, problem, (f"known labels: {vocabulary.listed}",)) from None


def _listed(labels: Sequence[str]) -> str:
    told = ", ".join(repr(label) for label in labels[:LISTED])
    return told + (f" and {len(labels) - LISTED:,} others" if len(labels) > LISTED else "")
