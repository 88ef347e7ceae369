"""A recording shows what a terminal showed, in its colours, and nothing of it is taken for markup."""

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from docs.recording import LONGEST_S, PICTURE, Frame, Step, merged, opened, recorded, svg

SVG = "{http://www.w3.org/2000/svg}"


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314  # our own


def words_of(picture: str) -> list[str]:
    return [text.text or "" for text in parsed(picture).iter(f"{SVG}text")]


@pytest.mark.ux
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_what_a_terminal_shows_is_recorded(tmp_path: Path) -> None:
    steps = [
        Step("printf '\\033[31mred\\033[0m & <script>\\n'", 0.5),
        Step("sleep 0.5; echo after", 0.5),
    ]
    with opened(tmp_path, 60, 10) as terminal:
        frames = recorded(terminal, steps)
    shown = [" ".join(words_of(svg([frame], "x", 60, 10))) for frame in frames]
    assert "& <script>" in shown[-1]
    assert shown[-1].split()[-2:] == ["after", "$"]
    assert not any("after\n" in text for text in shown[:3])
    picture = svg(frames, "<title> of & all", 60, 10)
    reds = [text for text in parsed(picture).iter(f"{SVG}text") if text.text == "red" and text.get("fill")]
    assert reds
    assert "script" not in [element.tag.removeprefix(SVG) for element in parsed(picture).iter()]


def test_equal_frames_are_one_and_waiting_is_shortened() -> None:
    waiting = [Frame(("a",), 0.1)] * 100
    assert merged([*waiting, Frame(("b",), 4.0), Frame(("b",), 0.1)]) == [Frame(("a",), LONGEST_S), Frame(("b",), 4.0)]


def test_each_frame_is_shown_in_its_time_and_each_line_is_there_once() -> None:
    picture = svg([Frame(("one", "same"), 1.0), Frame(("two", "same"), 2.0)], "x")
    assert words_of(picture) == ["one", "same", "two"]
    style = next(parsed(picture).iter(f"{SVG}style")).text or ""
    assert "animation-duration:8.00s" in style  # and five seconds of the last
    assert "@keyframes f1{0%,12.500%{visibility:hidden}12.500%,100.000%{visibility:visible}" in style


def test_the_recording_in_the_documentation_needs_no_script_and_asks_for_nothing() -> None:
    tree = parsed(PICTURE.read_text())
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} <= {
        "svg", "title", "style", "rect", "defs", "g", "use", "text",
    }  # fmt: skip
    assert all(use.get("href", "").startswith("#") for use in tree.iter(f"{SVG}use"))
    said = " ".join(words_of(PICTURE.read_text()))
    for words in ("flowvigil read demo.pcap.gz", "Against normal traffic", "would start: yes", "page written to"):
        assert words in said
