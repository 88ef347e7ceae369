import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

import matplotlib as mpl
from matplotlib.figure import Figure

from training.page.charts import NARROW, WIDE, draw, looks
from training.page.content import Bullets, Charts, Heading, Page, PageTable, Paragraph, Section
from training.page.numbers import counted, effect, listed, p_value, quantity, share
from training.page.render import html_of
from training.page.text import short, visible

HOSTILE = "<script>alert(1)</script>\" onload='x' & \x1b[31m\u202e\n$x$"


class Elements(HTMLParser):
    """Every element of a page with its attributes, as a browser's parser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def paint(figure: Figure) -> None:
    axes = figure.subplots()
    for i, (name, look) in enumerate(looks(("BENIGN", "a", HOSTILE), "BENIGN").items()):
        axes.bar(i, 1, color=look.colour, hatch=look.hatch, label=name)
        axes.plot([0, 1], [0, i], marker=look.marker, linestyle=look.dash, color=look.colour)
    axes.set_title(HOSTILE.replace("\n", ""), fontweight="bold")
    axes.imshow([[0, 1], [1, 0]])
    axes.legend()


def page(text: str = "text") -> str:
    charts = Charts((draw("first", text, text, paint, caption=text), draw("second", text, text, paint, size=WIDE)))
    rows = PageTable(text, (Heading(text, hint=text), Heading("n", numeric=True)), ((text, "1"), (text, "2")))
    blocks = (Paragraph(text), Paragraph(text, "command"), Bullets((text,)), rows, charts)
    return html_of(Page(text, (text,), ((text, text),), (Section(text, blocks),), text))


def test_a_text_of_the_dataset_stays_text_wherever_it_stands() -> None:
    elements, plain = Elements(page(HOSTILE)), Elements(page("plain"))
    assert [tag for tag, _ in elements.found] == [tag for tag, _ in plain.found]
    assert [set(found) for _, found in elements.found] == [set(found) for _, found in plain.found]
    assert "script" not in {tag for tag, _ in elements.found}


def test_control_characters_of_a_text_are_shown_and_not_obeyed() -> None:
    html = page(HOSTILE)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "\\x1b[31m\\u202e\\n" in html


def test_a_page_loads_and_runs_nothing_and_its_policy_says_so() -> None:
    elements, html = Elements(page()), page()
    policy = next(found["content"] for found in elements.named("meta") if "http-equiv" in found)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy is not None
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;")
    for _, attributes in elements.found:
        assert "style" not in attributes, "the policy would drop it"
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))


def test_ids_are_unique_on_a_page_and_every_reference_finds_its_own() -> None:
    html = page()
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    wanted = [*re.findall(r"url\(#([^)]+)\)", html), *re.findall(r'href="#([^"]+)"', html)]
    wanted += [name for names in re.findall(r'aria-labelledby="([^"]+)"', html) for name in names.split()]
    assert wanted
    assert set(wanted) <= set(ids)


def test_a_chart_tells_those_who_do_not_see_it_what_it_shows() -> None:
    svg = draw("roc", "ROC of five members", "The hybrid lies above all others.", paint).svg
    assert '<title id="roc-title">ROC of five members</title>' in svg
    assert '<desc id="roc-description">The hybrid lies above all others.</desc>' in svg
    assert 'role="img" aria-labelledby="roc-title roc-description"' in svg


def test_a_chart_is_the_same_whatever_the_users_own_settings_are() -> None:
    drawn = draw("a", "t", "d", paint).svg
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path"}):
        assert draw("a", "t", "d", paint).svg == drawn


def test_a_dollar_sign_in_a_label_is_no_formula() -> None:
    assert "$x$</text>" in draw("a", "t", "d", paint).svg


def test_wide_charts_take_the_width_of_the_page() -> None:
    assert [draw("a", "t", "d", paint, size=size).wide for size in (NARROW, WIDE)] == [False, True]


def test_no_two_series_of_a_chart_differ_by_colour_alone() -> None:
    given = looks([f"series {i}" for i in range(16)])
    assert len({(look.colour, look.hatch) for look in given.values()}) == 16
    first = [*given.values()][:8]
    assert (
        len({look.hatch for look in first})
        == len({look.marker for look in first})
        == len({look.colour for look in first})
        == 8
    )


def test_headers_of_tables_say_what_they_head() -> None:
    heads = Elements(page()).named("th")
    assert [head["scope"] for head in heads] == ["col", "col", "row", "row"]


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        PageTable("t", (Heading("a"), Heading("b")), (("1",),))


def test_what_is_not_seen_is_written_out() -> None:
    assert visible("a\x00b\u200bc\udce9") == "a\\x00b\\u200bc\\udce9"
    assert visible("Größe – 日本") == "Größe – 日本"
    assert visible("e" + "\u0301" * 4) == "e\u0301\u0301\\u0301\\u0301"


def test_a_long_name_keeps_its_beginning_and_end() -> None:
    assert short("a" * 40 + "end", 20).endswith("end")
    assert len(short("a" * 400, 20)) == 20


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 9, "0 %"),
        (1, 100_000, "< 0.01 %"),
        (1, 8, "12.5 %"),
        (99_999, 100_000, "> 99.99 %"),
        (9, 9, "100 %"),
        (0, 0, "–"),
    ],
)
def test_a_share_is_nothing_or_all_only_if_it_is(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (1617.0, "bytes", "1.62 kB"),
        (32.0, "bytes", "32 B"),
        (48.0, "µs", "48 µs"),
        (62_100.0, "µs", "62.1 ms"),
        (1.2e8, "µs", "2 min"),
        (-1.0, "", "−1"),
        (3.0, "packets", "3 packets"),
        (2.5e6, "", "2.5 M"),
    ],
)
def test_quantities_are_in_the_unit_that_fits(number: float, unit: str, text: str) -> None:
    assert quantity(number, unit) == text


def test_figures_in_sentences() -> None:
    assert [p_value(p) for p in (0.0, 4e-9, 0.0312)] == ["< 1e-300", "4e-09", "0.031"]
    assert [counted(n, "family", "families") for n in (0, 1, 1200)] == ["no families", "1 family", "1,200 families"]
    assert effect(-0.5) == "−0.50"
    assert [listed(["a"] * n) for n in (0, 1, 2, 8)] == ["none", "a", "a and a", "a, a, a, a, a, a and 2 more"]
