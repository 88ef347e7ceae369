"""Every kind of file carries a version, has golden files of each that is read, and stands on the page of upgrades."""

import re

from tests.trust.record import REPOSITORY
from tests.trust.upgrades import (
    GOLDEN,
    KINDS,
    OF_ONE_RELEASE,
    ONLY_WRITTEN,
    golden,
    older_is_read,
    other_is_refused_by_name,
)

PAGE = REPOSITORY / "docs" / "upgrades.md"
ROOMS = ("flows", "kernels", "models", "sensor", "training")


def test_what_earlier_releases_wrote_is_read() -> None:
    outcome = older_is_read(1.0)
    assert outcome.tries >= len(KINDS)
    assert not outcome.failures


def test_other_versions_are_refused_by_name() -> None:
    outcome = other_is_refused_by_name(1.0)
    assert outcome.tries >= 3 * len(KINDS)
    assert not outcome.failures


def test_golden_files_are_of_versions_that_are_read_or_were() -> None:
    for kind in KINDS:
        there = {int(path.name) for path in (GOLDEN / kind.written.kind).iterdir()}
        assert there <= set(range(1, kind.written.version + 1)), "of a version that is not written yet"
        assert there >= set(kind.written.versions), "golden files of the version come with it"
        assert all(golden(kind, version) for version in there)


def test_every_format_in_the_code_is_a_kind() -> None:
    """A tag such as `alert/1` or a Format stands in the code for each of them, and for nothing else."""
    files = [path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    texts = [path.read_text() for path in files if "synth" not in path.parts]  # which sends what others write
    declared = {name for text in texts for name in re.findall(r'\bFormat\(\s*"([a-z.-]+)"', text)}
    plain = {tag for text in texts for tag in re.findall(r'"([a-z.-]+/\d+)"', text)}
    known = {kind.written.kind for kind in KINDS}
    assert declared == known | {tag.partition("/")[0] for tag in ONLY_WRITTEN if tag not in plain}
    assert plain == {*OF_ONE_RELEASE, *ONLY_WRITTEN} - {
        tag for tag in ONLY_WRITTEN if tag.partition("/")[0] in declared
    }


def test_the_page_of_upgrades_has_each_kind_with_its_versions() -> None:
    rows = re.findall(r"^\| `([a-z.-]+)/(\d+)` \| ([^|]*) \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    told = {(kind, int(version), read.strip()) for kind, version, _, read in rows}
    expected = {(kind.written.kind, kind.written.version, ", ".join(map(str, kind.written.versions))) for kind in KINDS}
    expected |= {
        (tag.partition("/")[0], int(tag.rpartition("/")[2]), read)
        for tags, read in ((ONLY_WRITTEN, "not read"), (OF_ONE_RELEASE, "its own"))
        for tag in tags
    }
    assert told == expected
