"""docs/messages.md has every message of the code, in words for people; what commands really say is on it."""

import re
from pathlib import Path

import pytest

from docs.message_book import CODES, MESSAGES, messages, sources, with_messages
from tests.support.command import DEMO, flowvigil

pytestmark = pytest.mark.ux

FOUND, CODE = messages(sources())
# Of a programming language or of the checker of settings: nobody who meets a message has to know them.
FOREIGN = re.compile(
    r"pydantic|typing|NoneType|traceback|\bnull pointer|Input should|valid (string|integer|number|dictionary|boolean)"
    r"|\b(str|int|bool|dict|tuple|kwargs|argv|stacktrace|errno|unpack|callable|iterable|instance of)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("page", [MESSAGES, CODES], ids=lambda page: page.name)
def test_the_page_says_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert with_messages(text, FOUND) == text, "python -m docs.message_book writes it anew"


def test_every_kind_of_message_is_on_the_page() -> None:
    kinds = {message.kind for message in FOUND}
    assert kinds == set(re.findall(r"<!-- messages: ([^>]+?) -->", MESSAGES.read_text(encoding="utf-8")))


def is_foreign(words: str) -> bool:
    said = re.sub(r"\{[^}]*\}", "", words)
    return bool(FOREIGN.search(said) or re.match(r"(Error|Failed|Invalid|Oops|Sorry)\b", said) or "!" in said)


def test_messages_are_in_words_for_people() -> None:
    assert [message for message in sorted(FOUND) if is_foreign(message.words)] == []
    assert is_foreign("{name} is NoneType, expected str")
    assert is_foreign("Input should be a valid integer")
    assert is_foreign("Invalid thing!")


def test_every_exception_of_ours_has_an_exit_code_or_is_known_to_have_none() -> None:
    ours = {name for name in CODE.parents if CODE.is_exception(name)}
    without = {name for name in ours if CODE.exit_code(name) is None}
    # an answer of the API, requests to end, those that an output waits through, and a parent of others
    waited_through = {
        "NoReaderYetError",
        "MessageRefusedError",
        "BodyRefusedError",
        "TakenInPartError",
        "AskedToWaitError",
    }
    assert without == {"Problem", "ReadStopped", "_TakenOverError", "TrainingError"} | waited_through


def test_messages_are_found_however_they_are_made() -> None:
    source = """
class OddError(ConfigError):
    def __init__(self, what):
        super().__init__(f"odd: found {what}")

def _refusal(path) -> OddError:
    return OddError("a word")

def read(path):
    if path:
        problem = "is a pipe" if path else "is a directory"
        raise InputError(f"{path}: found nothing, {problem}")
    log.warning("one thing" + " and another")
    raise _refusal(f"{path} is none")
"""
    base = (
        "class ConfigError(Exception):\n    exit_code = CONFIG\nclass InputError(Exception):\n    exit_code = INPUT\n"
    )
    found, _ = messages({"sensor/errors.py": base, "sensor/odd.py": source})
    assert {(message.kind, message.words) for message in found} == {
        ("stop 3", "odd: found {what}"),
        ("stop 3", "a word"),
        ("stop 3", "{path} is none"),
        ("stop 6", "{path}: found nothing, {problem}"),
        ("stop 6", "is a pipe"),
        ("stop 6", "is a directory"),
        ("warnings", "one thing and another"),
    }


MISTAKES = {
    "no such file": ("read", "nothing.pcap"),
    "a text": ("read", "notes.txt"),
    "a bundle": ("read", str(DEMO), "-m", "nosuch"),
    "a setting": ("read", str(DEMO), "--set", "meter.nothing=1"),
    "a type": ("read", str(DEMO), "--set", "meter.idle_timeout_s=soon"),
    "a filter": ("read", str(DEMO), "--filter", "tcp prt 1"),
    "an interface": ("watch", "-i", "nosuch0"),
    "an output": ("read", str(DEMO), "-o", "nowhere/x.jsonl"),
    "a command": ("reed",),
    "an option": ("read", "--nothing", str(DEMO)),
    "a query": ("alerts", "search", "severity:>=high", "alerts.jsonl"),
    "a page": ("report", "table.csv", "-o", "x.html"),
    "a table": ("flows", str(DEMO), "-o", "x.txt"),
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES)
def test_what_a_command_really_says_is_on_the_page(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "alerts.jsonl").write_text("")
    monkeypatch.chdir(tmp_path)
    result = flowvigil(*arguments)
    assert result.code in (2, 3, 4, 5, 6, 7)
    said = next(line for line in result.stderr if line.startswith("flowvigil: ")).removeprefix("flowvigil: ")
    words = [message.words for message in FOUND if message.kind == f"stop {result.code}"]
    assert any(re.search(pattern_of(each), said) for each in words if len(re.sub(r"\{[^}]*\}", "", each)) > 4), said
    assert not FOREIGN.search(said)


def pattern_of(words: str) -> str:
    return ".+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", words))
