"""What compiled kernels are made of: the modules that hold them, what those import, and the compilers' versions.

Told from the text of the files, because numba, which is slow to load, must not be there yet when it is asked.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("kernels", "flows", "models", "sensor")
COMPILERS = ("numba", "llvmlite")
# Who imports one of these holds kernels, or says how they are compiled.
DECORATORS = (b"\nfrom kernels.jit import", b"\nfrom numba", b"\nimport numba")
# Imports at the beginning of a line, the module's own: a kernel's constants cannot come from any other. (^ is slower.)
IMPORTS = re.compile(rb"\n(?:from|import) ((?:kernels|flows|models|sensor)[\w.]*)(?: import (\([^)]*\)|.*))?")
WORDS = re.compile(rb"\w+")


def kernel_digest(root: Path = ROOT) -> str:
    """Digest of all that compiled kernels depend on: 16 hexadecimal digits.

    root: directory of the rooms. Python's, numba's and llvmlite's versions count too.
    """
    digest = hashlib.sha256(sys.version.encode())
    for compiler in COMPILERS:
        digest.update(_version_file(compiler).read_bytes())
    for name, text in sorted(kernel_sources(root).items()):
        digest.update(name.encode() + text)
    return digest.hexdigest()[:16]


def kernel_sources(root: Path = ROOT) -> dict[str, bytes]:
    """Text of each module that holds kernels and of each that one of these imports, by the module's name."""
    texts = dict(_modules(root))
    found: dict[str, bytes] = {}
    left = [name for name, text in texts.items() if any(sign in text for sign in DECORATORS)]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = texts[name]
            left.extend(_imported(texts[name], texts))
    return found


def _modules(root: Path) -> Iterator[tuple[str, bytes]]:
    """Name and text of every module. Text begins with an empty line, so that each line has one before it."""
    for directory, _, names in (step for room in ROOMS for step in os.walk(root / room)):
        package = os.path.relpath(directory, root).replace(os.sep, ".")
        for name in names:
            if name.endswith(".py"):
                module = package if name == "__init__.py" else f"{package}.{name[:-3]}"
                yield module, b"\n" + Path(directory, name).read_bytes()


def _imported(text: bytes, modules: Mapping[str, bytes]) -> Iterator[str]:
    """Those of the modules that a text imports: `from a.b import c` may mean a.b and a.b.c."""
    for module, names in IMPORTS.findall(text):
        named = module.decode()
        for candidate in (named, *(f"{named}.{name.decode()}" for name in WORDS.findall(names))):
            if candidate in modules:
                yield candidate


def _version_file(package: str) -> Path:
    """A file that changes with the version of a package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {package}", name=package)
    return Path(spec.origin).with_name("_version.py")
