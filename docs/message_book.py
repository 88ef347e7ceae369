"""Writes docs/messages.md and the table of docs/exit-codes.md: `python -m docs.message_book`. A test holds both.

Every message that a user can meet, read out of the code's syntax trees: what is raised, logged, noted, found by a
check, or answered by the API. Nothing is imported but the exit codes, and nothing runs. What stands in the code as
`{path}` is shown so; a larger expression, or words from elsewhere, is `{…}`.
"""

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sensor.errors
from sensor.errors import CAPTURE, CONFIG, EXIT_CODES, INPUT, MODEL, OUTPUT, USAGE

ROOT: Final = Path(__file__).resolve().parents[1]
MESSAGES: Final = ROOT / "docs" / "messages.md"
CODES: Final = ROOT / "docs" / "exit-codes.md"
ROOMS: Final = ("sensor", "flows", "models", "training", "kernels", "configs")
# Of these rooms nobody meets a message: they are made by ourselves, or are a module of their own for developers.
APART: Final = ("sensor/synth/", "sensor/cli/manual.py", "training/reproduction.py")

_BLOCK: Final = re.compile(r"(?<=<!-- )(exit codes|messages: [^>]+?)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
_GAP: Final = "{…}"
_PLACE: Final = re.compile(r"\{[^}]*\}")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")

# Exceptions that are not of sensor/errors.py: the exit code that the command line gives them.
STOPS: Final = {
    "BadParameter": USAGE,
    "QuestionError": USAGE,
    "QueryError": USAGE,
    "RecipeError": CONFIG,
    "ScenarioError": CONFIG,
    "LabelMapError": CONFIG,
    "MemoryBoundError": CONFIG,
    "TemporaryFileError": OUTPUT,
    "YamlFaultError": CONFIG,
    "BundleError": MODEL,
    "LabError": CAPTURE,
    "DatasetError": INPUT,
    "TooLittleError": INPUT,
    "NothingToRehearseError": INPUT,
    "UnreadableLineError": INPUT,
    "RowError": INPUT,
    "NotAtomicError": OUTPUT,
    "BusyError": OUTPUT,
    "InUseError": OUTPUT,
    "OtherVersionError": INPUT,
    "StoreError": INPUT,
}
# Other exceptions (ValueError, OSError …) say what is wrong in a file, which a stop of this code quotes after its name.
QUOTED: Final = (
    ("models/", MODEL),
    ("sensor/site/", CONFIG),
    ("sensor/settings/", CONFIG),
    ("training/lab/scenario.py", CONFIG),
    ("training/lab/attacks/", CONFIG),
    ("training/lab/", CAPTURE),
    ("training/networks_recipe.py", CONFIG),
    ("training/recipe.py", CONFIG),
    ("configs/", CONFIG),
    ("flows/pcap", INPUT),
    ("flows/byte_stream.py", INPUT),
    ("flows/compression.py", INPUT),
    ("sensor/alerts/", INPUT),
    ("sensor/flow_log/", INPUT),
    ("training/datasets/", INPUT),
    ("sensor/files/", OUTPUT),
    ("sensor/outputs/", OUTPUT),
)
# Of these modules, texts that a function yields, or gives back, are messages of this kind.
YIELDED: Final = (
    ("sensor/settings/", f"stop {CONFIG}"),
    ("sensor/site/overlaps.py", "checks"),
    ("sensor/site/", f"stop {CONFIG}"),
    ("training/lab/", f"stop {CONFIG}"),
    ("sensor/progress/", "notes"),
    ("training/label_map.py", "notes"),
    ("training/evaluation/promotion/comparison.py", "notes"),
)
GIVEN_BACK: Final = (
    ("configs/faults.py", f"stop {CONFIG}"),
    ("sensor/cli/mistakes.py", f"stop {USAGE}"),
    ("sensor/checks/", "checks"),
    ("sensor/progress/words.py", "notes"),
    ("sensor/terminal/alert_list.py", "screen"),
    ("sensor/terminal/status.py", "screen"),
)
# Calls that tell something and stop nothing, by the last name of what is called.
TOLD: Final = {
    "warnings": ("log.warning", "PROBLEMS.add"),
    "notes": (
        "log.info", "log.progress", "log.error", "report", "progress", "screen.note", "going.report", "notes.append",
        "Hint", "hint", "self._note", "self._report", "self._add_event", "self._lose", "self._status.lose",
        "self._give_up", "show",
    ),
    "checks": ("Observation",),
    "drift": ("Condition",),
    "answers": ("Problem", "unprocessable", "ErrorDetail"),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Message:
    """A message: its words, the kind of it (`stop 3`, `quoted 3`, `warnings` …), and the module it comes from.

    part: whether it only stands within others.
    """

    kind: str
    part: bool
    module: str
    words: str


class _Part(str):
    """A text that is put into another one."""

    __slots__ = ()


@dataclass
class Code:
    """What is known of all modules together: classes of exceptions with their parents, and functions that make one."""

    parents: dict[str, list[str]] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=lambda: dict(STOPS))  # exit codes of those that have one
    makers: dict[tuple[str, str], str] = field(default_factory=dict)  # (module, function) to the exception
    framing: set[str] = field(default_factory=set)  # exceptions that put what they are given into words of their own

    def is_exception(self, name: str) -> bool:
        """Whether a class is one, by its parents or as a builtin."""
        known = getattr(builtins, name, None)
        if isinstance(known, type) and issubclass(known, BaseException):
            return True
        return name == "BadParameter" or any(map(self.is_exception, self.parents.get(name, ())))

    def exit_code(self, name: str) -> int | None:
        """The exit code of what stops by it; None of an exception that something else quotes."""
        if name in self.codes:
            return self.codes[name]
        return next((code for code in map(self.exit_code, self.parents.get(name, ())) if code is not None), None)


def messages(sources: dict[str, str]) -> tuple[set[Message], Code]:
    """All messages of modules, and what these say of exceptions. sources: text by path."""
    trees = {path: ast.parse(text) for path, text in sources.items()}
    code = _known(trees)
    return {message for path, tree in trees.items() for message in _of_module(path, tree, code)}, code


def sources() -> dict[str, str]:
    """Every module of the rooms whose messages somebody meets, by its path."""
    paths = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    named = ((path.relative_to(ROOT).as_posix(), path) for path in paths)
    return {name: path.read_text(encoding="utf-8") for name, path in named if not name.startswith(APART)}


def _known(trees: dict[str, ast.Module]) -> Code:
    code = Code()
    nodes = [(path, node) for path, tree in trees.items() for node in _definitions(tree)]
    for _, node in nodes:
        if isinstance(node, ast.ClassDef):
            code.parents.setdefault(node.name, []).extend(_last(base) for base in node.bases)
            if "super().__init__(f" in ast.unparse(node):
                code.framing.add(node.name)
            stated = (each for each in node.body if isinstance(each, ast.Assign))
            if name := next((_last(each.value) for each in stated if _last(each.targets[0]) == "exit_code"), ""):
                code.codes[node.name] = getattr(sensor.errors, name)
    for path, node in nodes:
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            made = _last(node.returns)
            if made in ("NoReturn", "Never"):
                raised = (each.exc for each in ast.walk(node) if isinstance(each, ast.Raise))
                made = next(map(_last, filter(None, raised)), "")
            if code.is_exception(made):
                code.makers[path, node.name] = made
    return code


def _definitions(tree: ast.AST) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Classes and functions of a module, those inside others too."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield child
        if isinstance(child, ast.stmt):
            yield from _definitions(child)


def _of_module(path: str, tree: ast.Module, code: Code) -> Iterator[Message]:
    functions = {node.name: node for node in _definitions(tree) if isinstance(node, ast.FunctionDef)}
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for scope, owner, node in _scoped(tree):
        kind = _kind(path, owner, node, code)
        if kind:
            reader = _Reader(functions, constants, scope)
            for words in (words for part in _parts(node) for words in reader.texts(part)):
                if " " in words.strip() and _WORD.search(_PLACE.sub("", words)):
                    part = isinstance(words, _Part) or _is_framed(node, code)
                    yield Message(kind, part, path, " ".join(words.split()))


def _scoped(
    tree: ast.AST, scope: ast.AST | None = None, owner: str = ""
) -> Iterator[tuple[ast.AST | None, str, ast.AST]]:
    """Each call, and each place where a function gives something, with the function and the class that it stands in."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Call | ast.Return | ast.Yield):
            yield scope, owner, child
        inner = child if isinstance(child, ast.FunctionDef) else scope
        yield from _scoped(child, inner, child.name if isinstance(child, ast.ClassDef) else owner)


def _is_framed(node: ast.AST, code: Code) -> bool:
    """Whether what a call is given becomes part of words that its exception has."""
    return isinstance(node, ast.Call) and _last(node.func) in code.framing


def _parts(node: ast.AST) -> list[ast.expr]:
    """Where the words may stand: arguments, or what is given."""
    if isinstance(node, ast.Call):
        return [*node.args, *(keyword.value for keyword in node.keywords)]
    value = node.value if isinstance(node, ast.Return | ast.Yield) else None
    return [] if value is None else [value]


def _kind(path: str, owner: str, node: ast.AST, code: Code) -> str | None:
    """What kind of message is made there; None where none is. owner: the class that it stands in."""
    if not isinstance(node, ast.Call):
        table = YIELDED if isinstance(node, ast.Yield) else GIVEN_BACK
        return next((kind for start, kind in table if path.startswith(start)), None)
    called = ast.unparse(node.func)
    if called.endswith("faults.append"):
        return f"stop {CONFIG}"
    name = called.rpartition(".")[2]
    for kind, names in TOLD.items():
        if any(called == each or called.endswith(f".{each}") for each in names):
            return kind
    made = code.makers.get((path, name)) or (name if code.is_exception(name) else _shared(name, code))
    if called == "super().__init__" and code.is_exception(owner):
        made = owner
    if made is None:
        return None
    stops = code.exit_code(made)
    if stops is not None:
        return f"stop {stops}"
    quoting = next((number for start, number in QUOTED if path.startswith(start)), None)
    return None if quoting is None else f"quoted {quoting}"


def _shared(name: str, code: Code) -> str | None:
    """The exception that a public function makes, wherever it is."""
    made = {made for (_, function), made in code.makers.items() if function == name and not name.startswith("_")}
    return made.pop() if len(made) == 1 else None


@dataclass(frozen=True)
class _Reader:
    """Reads the texts that an expression can be, with what the module says of the names in it."""

    functions: dict[str, ast.FunctionDef]
    constants: dict[str, ast.expr]
    scope: ast.AST | None

    def texts(self, node: ast.expr, depth: int = 0) -> list[str]:
        """Each text that an expression may be, and those put into it; none of what is no text, or somebody else's."""
        if depth > 3:
            return []
        match node:
            case ast.Constant(value=str() as text):
                return [text]
            case ast.JoinedStr(values=values):
                inner = (value.value for value in values if isinstance(value, ast.FormattedValue))
                quoted = [_Part(text) for value in inner for text in self.texts(value, depth + 1)]
                return ["".join(_piece(value) for value in values), *quoted]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                before, after = self.texts(left, depth + 1), self.texts(right, depth + 1)
                if before or after:
                    return [one + two for one in before or [_GAP] for two in after or [_GAP]]
                return []
            case ast.IfExp(body=body, orelse=other):
                return [*self.texts(body, depth + 1), *self.texts(other, depth + 1)]
            case ast.Name(id=name):
                return [text for value in self._assigned(name) for text in self.texts(value, depth + 1)]
            case ast.Call(func=ast.Name(id=name)) if name in self.functions:
                returned = (each.value for each in ast.walk(self.functions[name]) if isinstance(each, ast.Return))
                return [text for value in returned if value is not None for text in self.texts(value, depth + 1)]
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return [text for element in elements for text in self.texts(element, depth + 1)]
        return []

    def _assigned(self, name: str) -> Iterable[ast.expr]:
        """What a name is given in the function, or in the module."""
        within = [
            node.value
            for node in ast.walk(self.scope or ast.Module([], []))
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
        ]
        return within or [self.constants[name]] if within or name in self.constants else []


def _piece(value: ast.expr) -> str:
    """A part of an f-string: its text, or the name of what is put there."""
    if isinstance(value, ast.Constant):
        return str(value.value)
    inner = value.value if isinstance(value, ast.FormattedValue) else value
    name = _last(inner) if isinstance(inner, ast.Name | ast.Attribute) else ""
    return "{" + name.strip("_").lower() + "}" if name else _GAP


def _last(node: ast.AST | None) -> str:
    """The last name of an expression such as `typer.BadParameter` or `a.b(c)`."""
    if isinstance(node, ast.Call):
        return _last(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return node.id if isinstance(node, ast.Name) else ""


def with_messages(page: str, found: set[Message]) -> str:
    """A page with its blocks as they are with these messages."""
    return _BLOCK.sub(lambda block: f"{block[1]}{block[2]}\n{_shown(block[1], found)}\n", page)


def _shown(block: str, found: set[Message]) -> str:
    if block == "exit codes":
        rows = (f"| {code} | {word} | {meaning} |" for code, word, meaning in EXIT_CODES)
        return "\n".join(("| code | word | what it says |", "|--:|---|---|", *rows, ""))
    kind = block.removeprefix("messages: ")
    modules: dict[tuple[bool, str], set[str]] = defaultdict(set)
    for message in found:
        if message.kind == kind:
            modules[message.part, message.words].add(message.module)
    listed = sorted(modules.items(), key=lambda each: (each[0][0], min(each[1]), each[0][1]))
    rows = (
        f"| {'… ' * part}{_cell(words)} | {', '.join(f'`{module}`' for module in sorted(where))} |"
        for (part, words), where in listed
    )
    return "\n".join(("| message | from |", "|---|---|", *rows, ""))


def _cell(words: str) -> str:
    """Words in a cell of a table, to be read as they are."""
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", words)


if __name__ == "__main__":
    of_code, _ = messages(sources())
    for each in (MESSAGES, CODES):
        each.write_text(with_messages(each.read_text(encoding="utf-8"), of_code), encoding="utf-8")
