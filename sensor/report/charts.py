"""Drawings of the page: alerts over time, and a reason against normal traffic. Inline SVG with text in it.

Severities differ by word, colour (Okabe and Ito 2008) and pattern at once, verdicts by their outline: readers of print,
and those who tell few colours apart, lose nothing. No style attribute: the page's policy forbids it.
"""

import math
from collections.abc import Sequence

from sensor.alerts.deviation import Deviation
from sensor.alerts.kinds import timestamp
from sensor.alerts.spread import counted
from sensor.alerts.words import severity_word
from sensor.report.digest import ReportedEpisode
from sensor.report.markup import Content, Markup, element

ROWS = 24  # episodes with a row of their own
WIDTH, MARGIN, ROW, AXIS = 760.0, 12.0, 40.0, 26.0
BINS, BINS_HEIGHT = 60, 60.0
_SECOND_NS = 1_000_000_000
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_COLOURS = {"high": "#D55E00", "medium": "#E69F00", "low": "#56B4E9"}
_REASON_WIDTH, _REASON_HEIGHT = 300.0, 22.0


def timeline(episodes: Sequence[ReportedEpisode], start_ns: int, end_ns: int) -> Markup:
    """The worst episodes, a row each in the order of their beginning; when there are more, how many opened when.

    episodes: the worst first, as the page numbers them.
    """
    start_ns = min(start_ns, *(episode.last.start_ns for episode in episodes))
    end_ns = max(end_ns, start_ns + 1_000_000, *(episode.last.end_ns for episode in episodes))
    scale = _Scale(start_ns, end_ns)
    shown = sorted(enumerate(episodes[:ROWS], 1), key=lambda numbered: (numbered[1].last.start_ns, numbered[0]))
    rows = [_row(episode, number, place, scale) for place, (number, episode) in enumerate(shown)]
    height = len(rows) * ROW
    crowd: Content = None
    if len(episodes) > ROWS:
        crowd = _crowd(episodes, scale, height)
        height += BINS_HEIGHT + 24
    return element(
        "svg",
        element("title", "Alerts over time"),
        element("desc", f"{counted(len(episodes), 'alert')}; each is described in the list below."),
        element("defs", _patterns()),
        _axis(scale, height),
        rows,
        crowd,
        viewBox=f"0 0 {WIDTH:g} {height + AXIS:g}",
        role="img",
        class_="timeline",
    )


def legend() -> Markup:
    """What patterns and outlines mean."""
    return element(
        "ul",
        [element("li", _swatch(word, dashed=False), f"{word} severity") for word in _COLOURS],
        element("li", _swatch(None, dashed=True), "uncertain"),
        class_="legend",
    )


def reason_bar(deviation: Deviation) -> Markup | None:
    """A column of the flow as a mark beside the stretch that 98 % of normal flows lie in; logarithmic.

    Without the lower edge, as in lines of older sensors, that stretch begins at the median.
    """
    value, median, high = deviation.value, deviation.median, deviation.p99
    if not all(map(math.isfinite, (value, median, high))):
        return None
    low = deviation.p01 if math.isfinite(deviation.p01) else median
    places = [_signed_log(number) for number in (value, median, low, high)]
    least, span = min(*places, 0.0), max(*places, 0.0) - min(*places, 0.0)
    x_value, x_median, x_low, x_high = (
        8 + (_REASON_WIDTH - 16) * ((place - least) / span if span else 0.5) for place in places
    )
    middle = _REASON_HEIGHT / 2
    return element(
        "svg",
        element("title", f"{deviation.name} against normal traffic"),
        element("line", x1=0, x2=_REASON_WIDTH, y1=middle, y2=middle, stroke="#bbbbbb"),
        element(
            "rect", x=x_low, y=middle - 5, width=max(2.0, x_high - x_low), height=10,
            fill="#c9d6df", stroke="#5b6b78",
        ),
        element("line", x1=x_median, x2=x_median, y1=middle - 8, y2=middle + 8, stroke="#333333", stroke_width=2),
        element(
            "path", d=f"M{x_value:.5g} {middle - 8:g}l6 8l-6 8l-6 -8z",
            fill="#D55E00" if deviation.outside else "#ffffff", stroke="#1a1a1a",
        ),
        viewBox=f"0 0 {_REASON_WIDTH:g} {_REASON_HEIGHT:g}",
        role="img",
        class_="reason-bar",
    )  # fmt: skip


class _Scale:
    """Traffic time as a place on the drawing."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.start_ns, self.end_ns = start_ns, end_ns

    def x(self, time_ns: int) -> float:
        within = min(max(time_ns, self.start_ns), self.end_ns) - self.start_ns
        return MARGIN + (WIDTH - 2 * MARGIN) * within / (self.end_ns - self.start_ns)

    def ticks(self) -> list[int]:
        """At most nine round times."""
        span_s = (self.end_ns - self.start_ns) / _SECOND_NS
        step_s = next((step for step in _STEPS_S if span_s / step <= 8), 86400 * math.ceil(span_s / 8 / 86400))
        step = step_s * _SECOND_NS
        first = -(-self.start_ns // step) * step
        return list(range(first, self.end_ns + 1, step))


def _axis(scale: _Scale, height: float) -> list[Markup]:
    ticks = scale.ticks()
    apart_s = (ticks[1] - ticks[0]) / _SECOND_NS if len(ticks) > 1 else 1
    many_days = timestamp(scale.start_ns)[:10] != timestamp(scale.end_ns)[:10]
    parts = []
    for tick in ticks:
        x, text = scale.x(tick), timestamp(tick)
        shown = text[5:10] if apart_s >= 86400 else text[11:16] if apart_s >= 60 else text[11:19]
        if many_days and apart_s < 86400:
            shown = f"{text[5:10]} {shown}"
        anchor = "start" if x < 40 else "end" if x > WIDTH - 40 else "middle"
        parts.append(element("line", x1=x, x2=x, y1=0, y2=height, stroke="#dddddd"))
        parts.append(element("text", shown, x=x, y=height + 18, font_size=12, text_anchor=anchor, fill="#333333"))
    parts.append(element("line", x1=0, x2=WIDTH, y1=height, y2=height, stroke="#555555"))
    return parts


def _row(episode: ReportedEpisode, number: int, place: int, scale: _Scale) -> Markup:
    last, top = episode.last, place * ROW
    left, right = scale.x(last.start_ns), scale.x(last.end_ns)
    word = severity_word(last.severity)
    # Letters are about 7 wide; where they would run out at the right, they end with the bar instead.
    label = f"{number}  {word.upper()}  {episode.last.origin}  {episode.what}"
    late = left + 7.2 * len(label) > WIDTH
    bar = element(
        "rect", x=min(left, WIDTH - MARGIN), y=top + 20, width=max(4.0, right - left), height=14,
        fill=f"url(#{word})", stroke="#1a1a1a", stroke_dasharray=None if episode.attack else "3 2",
        stroke_width=1 if episode.attack else 1.5, fill_opacity=None if episode.attack else 0.35,
    )  # fmt: skip
    words = element(
        "text", label if len(label) <= 90 else label[:89] + "…", x=max(right, left + 4) if late else left, y=top + 15,
        font_size=12.5, text_anchor="end" if late else None, fill="#1a1a1a",
    )  # fmt: skip
    return element("a", element("g", bar, words), href=f"#alert-{number}")


def _crowd(episodes: Sequence[ReportedEpisode], scale: _Scale, top: float) -> list[Markup]:
    """How many opened in each part of the time, all episodes."""
    counts = [0] * BINS
    width = scale.end_ns - scale.start_ns
    for episode in episodes:
        within = min(max(episode.last.start_ns, scale.start_ns), scale.end_ns) - scale.start_ns
        counts[min(BINS - 1, within * BINS // width)] += 1
    most, each = max(counts), (WIDTH - 2 * MARGIN) / BINS
    bottom = top + 24 + BINS_HEIGHT
    parts = [element("text", f"All {len(episodes):,}, by when they began: up to {most:,} at once", x=MARGIN, y=top + 16,
                     font_size=12.5, fill="#1a1a1a")]  # fmt: skip
    for place, count in enumerate(counts):
        if count:
            tall = max(2.0, (BINS_HEIGHT - 4) * count / most)
            parts.append(
                element("rect", x=MARGIN + place * each, y=bottom - tall, width=each - 1, height=tall, fill="#5b6b78")
            )
    return parts


def _patterns() -> list[Markup]:
    """High is plain, medium has lines, low has dots."""
    high = element("rect", width=8, height=8, fill=_COLOURS["high"])
    medium = [
        element("rect", width=8, height=8, fill=_COLOURS["medium"]),
        element("path", d="M-2 2l4 -4M0 8l8 -8M6 10l4 -4", stroke="#1a1a1a", stroke_width=1.2),
    ]
    low = [
        element("rect", width=8, height=8, fill=_COLOURS["low"]),
        element("circle", cx=4, cy=4, r=1.4, fill="#1a1a1a"),
    ]
    return [
        element("pattern", content, id=word, width=8, height=8, patternUnits="userSpaceOnUse")
        for word, content in (("high", high), ("medium", medium), ("low", low))
    ]


def _swatch(word: str | None, *, dashed: bool) -> Markup:
    box = element(
        "rect", x=1, y=1, width=26, height=12, fill=f"url(#{word})" if word else "#ffffff", stroke="#1a1a1a",
        stroke_dasharray="3 2" if dashed else None,
    )  # fmt: skip
    return element("svg", box, viewBox="0 0 28 14", class_="swatch", aria_hidden="true")


def _signed_log(number: float) -> float:
    return math.copysign(math.log1p(abs(number)), number)
