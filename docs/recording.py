"""Records commands in a terminal (tmux) as an animated SVG: `python -m docs.recording` writes docs/first-minutes.svg.

The commands are those of the README, run as written in a directory of their own; what the terminal shows is taken ten
times a second. Waiting is shortened to LONGEST_S. The picture needs no script and asks for nothing from elsewhere.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import MONOKAI, TerminalTheme
from rich.text import Text

REPOSITORY: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = REPOSITORY / "docs" / "first-minutes.svg"
DEMO: Final = REPOSITORY / "sensor" / "synth" / "demo.pcap.gz"
COLUMNS, ROWS = 110, 34
CELL: Final = (8.4, 18.0)  # width and height of a character
MARGIN: Final = 14.0
LOOK_S: Final = 0.1
TYPED_S: Final = 0.03  # a character
LONGEST_S: Final = 1.6  # that one picture of the terminal stays, but for those that are meant to be read
LAST_S: Final = 5.0
PATIENCE_S: Final = 120.0  # with a command: it may have to compile
THEME: Final = MONOKAI
PROMPT: Final = "$ "
SHELL: Final = ("env", f"PS1={PROMPT}", "bash", "--norc", "--noprofile")


@dataclass(frozen=True, slots=True)
class Step:
    """A line that is typed, or a key, and how long its result is to be read."""

    keys: str  # typed as they are; Enter after them where `line`
    read_s: float = 1.5
    line: bool = True
    until: str = PROMPT  # what the terminal shows once it is done; of the prompt: as its last line. "": a second's rest


@dataclass(frozen=True, slots=True)
class Frame:
    """What a terminal showed, with its colours as escape sequences, and for how long."""

    lines: tuple[str, ...]
    seconds: float


FIRST_MINUTES: Final = (
    Step("flowvigil read demo.pcap.gz", 4.0, until="at its end"),
    Step("Down", 1.5, line=False, until=""),
    Step("Down", 1.5, line=False, until=""),
    Step("Enter", 6.0, line=False, until=""),
    Step("Enter", 1.0, line=False, until=""),
    Step("q", 3.0, line=False),
    Step("flowvigil read demo.pcap.gz -q -o alerts.jsonl", 1.0),
    Step("jq -r '[.event.action, .source.ip, .event.reason[:60]] | @tsv' alerts.jsonl", 4.0),
    Step("flowvigil report demo.pcap.gz -o demo.html", 2.5),
    Step("flowvigil flows demo.pcap.gz -o flows.csv", 2.5),
    Step("flowvigil check -i lo | tail -5", 4.0),
    Step("flowvigil selftest", 4.0),
)


class Terminal:
    """A shell in a terminal of tmux that nobody sees."""

    def __init__(self, directory: Path, columns: int, rows: int) -> None:
        self._tmux = ("tmux", "-S", str(directory / "tmux"), "-f", "/dev/null")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"TERM": "xterm-256color", "PATH": path, "LC_ALL": "C.UTF-8"}
        size = ("-x", str(columns), "-y", str(rows))
        self.run("new-session", "-d", *size, "-c", str(directory), *SHELL, environment=environment)
        self.run("set-option", "-g", "status", "off")
        self.run("resize-window", *size)

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """What tmux answers to a command of its own."""
        done = subprocess.run(  # noqa: S603  # commands of this module
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=20, env=environment
        )
        return done.stdout

    def send(self, keys: str, *, literally: bool) -> None:
        """Press keys, by their names or as text."""
        self.run("send-keys", *(("-l",) if literally else ()), "\\;" if keys == ";" else keys)

    def screen(self) -> tuple[str, ...]:
        """The lines it shows, with escape sequences of their colours."""
        return tuple(self.run("capture-pane", "-p", "-e").splitlines())


@contextmanager
def opened(directory: Path, columns: int = COLUMNS, rows: int = ROWS) -> Iterator[Terminal]:
    """A shell at work in a directory."""
    terminal = Terminal(directory, columns, rows)
    try:
        yield terminal
    finally:
        terminal.run("kill-server")


def recorded(terminal: Terminal, steps: Iterable[Step]) -> list[Frame]:
    """What the terminal shows while the steps are made. Raises TimeoutError where one does not come to its end."""
    frames: list[Frame] = []
    for step in steps:
        if step.line:
            for character in step.keys:
                terminal.send(character, literally=True)
                frames.append(Frame(terminal.screen(), TYPED_S))
        terminal.send("Enter" if step.line else step.keys, literally=False)
        frames += _until_done(terminal, step)
        frames.append(Frame(terminal.screen(), step.read_s))
    return merged(frames)


def _until_done(terminal: Terminal, step: Step) -> Iterator[Frame]:
    began = time.monotonic()
    quiet, before = 0, terminal.screen()
    while time.monotonic() - began < PATIENCE_S:
        time.sleep(LOOK_S)
        screen = terminal.screen()
        quiet = quiet + 1 if screen == before else 0
        before = screen
        yield Frame(screen, LOOK_S)
        shown = [plain for line in screen if (plain := Text.from_ansi(line).plain.rstrip())]
        at_prompt = shown[-1:] == [PROMPT.rstrip()]
        done = at_prompt if step.until == PROMPT else step.until in "\n".join(shown)
        if done and quiet >= (2 if step.until else 10):
            return
    raise TimeoutError(f"{step.keys!r} has not come to its end within {PATIENCE_S:.0f} s")


def merged(frames: Sequence[Frame]) -> list[Frame]:
    """Frames of which each differs from the one before; waiting shortened but where a frame was meant to be read."""
    kept: list[Frame] = []
    for frame in frames:
        if kept and kept[-1].lines == frame.lines:
            longest = max(LONGEST_S, frame.seconds, kept[-1].seconds)
            kept[-1] = Frame(frame.lines, min(kept[-1].seconds + frame.seconds, longest))
        else:
            kept.append(frame)
    return kept


def svg(frames: Sequence[Frame], title: str, columns: int = COLUMNS, rows: int = ROWS) -> str:
    """An animation of the frames that begins anew after the last; each line of text is in it once."""
    width, height = columns * CELL[0] + 2 * MARGIN, rows * CELL[1] + 2 * MARGIN
    total = sum(frame.seconds for frame in frames) + LAST_S
    numbers: dict[str, int] = {}
    shown, rules, at = [], [], 0.0
    for number, frame in enumerate(frames):
        seconds = frame.seconds + (LAST_S if number == len(frames) - 1 else 0.0)
        uses = []
        for row, line in enumerate(frame.lines[:rows]):
            if line.strip():
                name = numbers.setdefault(line, len(numbers))
                uses.append(f'<use href="#l{name}" y="{row * CELL[1]:g}"/>')
        first, last = 100 * at / total, 100 * (at + seconds) / total
        hidden = "" if first == 0 else f"0%,{first:.3f}%{{visibility:hidden}}"
        rules.append(f"@keyframes f{number}{{{hidden}{first:.3f}%,{last:.3f}%{{visibility:visible}}"
                     f"{last:.3f}%,100%{{visibility:hidden}}}}.f{number}{{animation-name:f{number}}}")  # fmt: skip
        shown.append(f'<g class="f f{number}">{"".join(uses)}</g>')
        at += seconds
    lines = "".join(f'<g id="l{number}">{_line(line)}</g>' for line, number in numbers.items())
    ground, ink = (f"#{bytes(colour).hex()}" for colour in (THEME.background_color, THEME.foreground_color))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">'
        f"<title>{escape(title)}</title><style>"
        f".t{{font:14px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:{ink};white-space:pre}}"
        f".f{{visibility:hidden;animation-duration:{total:.2f}s;animation-iteration-count:infinite;"
        f"animation-timing-function:step-end}}{''.join(rules)}"
        f"@media(prefers-reduced-motion:reduce){{.f{{animation:none}}.f{len(frames) - 1}{{visibility:visible}}}}"
        f'</style><rect width="100%" height="100%" rx="8" fill="{ground}"/><defs>{lines}</defs>'
        f'<g class="t" transform="translate({MARGIN:g} {MARGIN + 14:g})">{"".join(shown)}</g></svg>\n'
    )


def _line(line: str) -> str:
    """A line of the terminal as elements of SVG, from its beginning."""
    console = Console(width=1000, color_system="truecolor", force_terminal=True)
    parts, at = [], 0
    for segment in Text.from_ansi(line).render(console, end=""):
        length = Segment(segment.text).cell_length
        parts.append(_segment(segment.text, segment.style or Style(), at, length))
        at += length
    return "".join(parts)


def _segment(text: str, style: Style, at: int, length: int) -> str:
    ink, ground = _hex(style.color, THEME, foreground=True), _hex(style.bgcolor, THEME, foreground=False)
    if style.reverse:
        ink, ground = (
            ground or f"#{bytes(THEME.background_color).hex()}",
            ink or f"#{bytes(THEME.foreground_color).hex()}",
        )
    x, width = at * CELL[0], length * CELL[0]
    drawn = ""
    if ground:
        drawn = f'<rect x="{x:g}" y="-13.5" width="{width:g}" height="{CELL[1]:g}" fill="{ground}"/>'
    if not text.strip():
        return drawn
    marks = "".join(
        mark
        for holds, mark in (
            (ink, f' fill="{ink}"'),
            (style.bold, ' font-weight="bold"'),
            (style.dim, ' opacity="0.6"'),
            (style.underline, ' text-decoration="underline"'),
        )
        if holds
    )
    return f'{drawn}<text x="{x:g}" textLength="{width:g}" xml:space="preserve"{marks}>{escape(text)}</text>'


def _hex(colour: Color | None, theme: TerminalTheme, *, foreground: bool) -> str:
    """A colour as SVG has it; "" for the terminal's own."""
    if colour is None or colour.is_default:
        return ""
    return f"#{bytes(colour.get_truecolor(theme, foreground=foreground)).hex()}"


def main() -> None:
    """Record the first minutes."""
    with tempfile.TemporaryDirectory(prefix="flowvigil-recording-") as name:
        directory = Path(name)
        (directory / DEMO.name).symlink_to(DEMO)
        with opened(directory) as terminal:
            frames = recorded(terminal, FIRST_MINUTES)
    PICTURE.write_text(svg(frames, "The first minutes with flowvigil"))
    seconds = sum(frame.seconds for frame in frames) + LAST_S
    sys.stdout.write(f"{PICTURE.name}: {len(frames)} frames, {seconds:.0f} s, {PICTURE.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
