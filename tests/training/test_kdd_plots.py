"""The README's plots of NSL-KDD, on a small file of records."""

from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

pytest.importorskip("polars")
pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

from docs.kdd_plots import COLUMNS, main
from tests.training.kdd_lines import records, written

SVG = "{http://www.w3.org/2000/svg}"


def test_both_plots_are_drawn_as_small_files_of_their_own_and_the_same_each_time(tmp_path: Path) -> None:
    lines = records(["normal", "neptune", "guess_passwd", "satan"] * 30)
    dataset = written(tmp_path / "kdd.txt", lines)
    main(dataset, tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")}
    assert set(drawn) == {"kdd-hypotheses.svg", "kdd-bytes.svg"}
    for content in drawn.values():
        root = Xml.fromstring(content)  # noqa: S314  # our own drawing
        assert root.tag == f"{SVG}svg"
        assert len(content) < 60_000
        assert next(iter(root.iter(f"{SVG}rect"))).get("fill") == "white"
    text = drawn["kdd-hypotheses.svg"].decode()
    assert all(name in text for name in (*COLUMNS, "neptune", "guess_passwd"))
    main(dataset, tmp_path)
    assert drawn == {path.name: path.read_bytes() for path in tmp_path.glob("*.svg")}
