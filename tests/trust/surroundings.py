"""Claims about what the sensor stands on: the cache of compiled kernels, and results that do not depend on it."""

import os
import pickle
import random
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from kernels.cache import DIGEST_BYTES, SUFFIX, read_kernel, write_kernel
from tests.trust.claim import Claim, NotTriedError, Outcome

REPOSITORY: Final = Path(__file__).resolve().parents[2]
# Uses kernels as every command does: the cache is chosen, numba loaded, a kernel compiled or found, its result told.
CODE: Final = """
from sensor.process.kernel_cache import kernels_are_compiled, use_kernel_cache
use_kernel_cache()
from models.scaling import fit_scaling
import numpy as np
rows = np.arange(6.0).reshape(3, 2)
found = fit_scaling(rows, {"a": 0, "b": 1}).transform(rows)
kernels_are_compiled()
print("result", found.tolist())
"""
# What a stranger would have us load: it leaves a mark where it runs.
MARK: Final = "executed"
OURS: Final = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "CACHE_DIRECTORY", "HOME", "TMPDIR")
STRANGER: Final = 12345  # a user who is nobody here
AT_ONCE: Final = 8


class Planted:
    """Its pickle runs a command when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self._mark}",)


@dataclass
class Try:
    """Surroundings of one process: its environment, and what it is started by."""

    place: Path
    environment: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    silent: bool = False  # whether nothing is wrong, so that nothing may be said
    opened: ExitStack = field(default_factory=ExitStack)

    @property
    def caches(self) -> Path:
        """Directory of all programs' caches."""
        return self.place / "caches"

    @property
    def base(self) -> Path:
        """That of the sensor."""
        return self.caches / "flowvigil"

    def run(self) -> subprocess.CompletedProcess[bytes]:
        """Run the code in a new process."""
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        environment = kept | {"XDG_CACHE_HOME": str(self.caches), "HOME": str(self.place)} | self.environment
        environment = {name: value for name, value in environment.items() if value != UNSET}
        command = [*self.prefix, sys.executable, "-c", CODE]
        return subprocess.run(command, capture_output=True, cwd=REPOSITORY, env=environment, timeout=300, check=False)

    def warm(self) -> list[Path]:
        """Files of a cache that a run has filled."""
        done = self.run()
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        return sorted(self.base.rglob(f"*{SUFFIX}")) or sorted(self.base.rglob("*.nb?"))


UNSET: Final = "\0"


def mounted(this: Try, target: Path, options: str) -> None:
    """A small file system of its own, unmounted when the try is over."""
    target.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "flowvigil-trial", str(target)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise NotTriedError("a tmpfs cannot be mounted here")
    this.opened.callback(subprocess.run, ["umount", "-l", str(target)], check=False, capture_output=True)


def filled(directory: Path, left: int) -> None:
    """Fill the file system but for some bytes."""
    filling = os.open(directory / "filling", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(filling, bytes(4096)):
            pass
    os.ftruncate(filling, max(0, os.fstat(filling).st_size - left))
    os.close(filling)


def full_disks(this: Try) -> Iterator[str]:
    for left in (0, 4096, 8192, 16384, 32768):
        this.opened.close()
        mounted(this, this.caches, "size=256k,mode=755")
        filled(this.caches, left)
        yield f"a disk with {left} bytes left"
    this.opened.close()
    for inodes in (2, 3, 4, 5):
        mounted(this, this.caches, f"size=1m,nr_inodes={inodes},mode=755")
        yield f"a disk with {inodes} inodes"
        this.opened.close()
    mounted(this, this.caches, "size=4m,mode=755")
    this.warm()
    subprocess.run(["mount", "-o", "remount,ro", str(this.caches)], check=True)
    yield "a read-only disk with a cache"
    this.opened.close()
    mounted(this, this.caches, "size=4m,mode=755,ro")
    yield "an empty read-only disk"


def limited_files(this: Try) -> Iterator[str]:
    for limit in (0, 1, 31, 32, 33, 1000, 4096, 20_000):
        shutil.rmtree(this.base, ignore_errors=True)
        this.prefix = ("prlimit", f"--fsize={limit}")
        yield f"files of at most {limit} bytes"


def damaged_files(this: Try) -> Iterator[str]:
    chance = random.Random(18)
    files = this.warm()
    contents = {path: path.read_bytes() for path in files}
    for name, damage in (
        ("empty", lambda _: b""),
        ("of zeros", lambda content: bytes(len(content))),
        ("cut by a byte", lambda content: content[:-1]),
        ("cut in the middle", lambda content: content[: len(content) // 2]),
        ("with a byte more", lambda content: content + b"."),
        ("with a bit flipped", lambda content: flipped(content, chance)),
        ("with a bit of its digest flipped", lambda content: bytes([content[0] ^ 1]) + content[1:]),
        ("of random bytes", lambda content: chance.randbytes(len(content))),
        ("whose pickle asks for much memory", lambda _: b"\x8e" + b"\xff" * 7 + b"\x0f."),
    ):
        for path, content in contents.items():
            path.write_bytes(damage(content))
        yield f"files {name}"
    for path, content in contents.items():
        path.write_bytes(contents[files[0]] if path != files[0] else content)
    yield "files of another kernel"
    for number in range(3):
        for path, content in contents.items():
            path.write_bytes(flipped(content, chance))
        yield f"files with a bit flipped, {number + 1}"


def flipped(content: bytes, chance: random.Random) -> bytes:
    """The content with one bit another."""
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def planted_code(this: Try) -> Iterator[str]:
    """Code of strangers where compiled kernels are looked for."""
    mark = this.place / MARK
    payload = pickle.dumps(Planted(mark))
    files = this.warm()
    for name, owner, mode in (("another user's", STRANGER, 0o644), ("one that all may write to", 0, 0o666)):
        if owner and os.geteuid():
            continue
        for path in files:
            path.unlink(missing_ok=True)
            path.write_bytes(payload if path.suffix != SUFFIX else sha256(b"" + payload).digest() + payload)
            os.chown(path, owner or os.geteuid(), -1)
            path.chmod(mode)
        yield f"planted code, {name}"
    for path in files:
        path.unlink(missing_ok=True)
        elsewhere = this.place / "elsewhere"
        elsewhere.write_bytes(payload)
        path.symlink_to(elsewhere)
    yield "planted code behind a link"
    for path in files:
        path.unlink(missing_ok=True)
        path.write_bytes(payload)
    yield "planted code without a digest"
    if os.geteuid() == 0:
        yield from planted_for_root(this, payload, files)


def planted_for_root(this: Try, payload: bytes, files: list[Path]) -> Iterator[str]:
    shared = this.place / "shared"
    for name, owner, mode in (
        ("that all may write to", 0, 0o777),
        ("of another user", STRANGER, 0o755),
        ("that all may write to, as /tmp", 0, 0o1777),
    ):
        shutil.rmtree(shared, ignore_errors=True)
        shutil.copytree(this.base / files[0].relative_to(this.base).parts[0], shared)
        for path in shared.rglob("*.nb*"):
            path.write_bytes(payload)
            os.chown(path, STRANGER, -1)
        os.chown(shared, owner, -1)
        shared.chmod(mode)
        this.environment = {"NUMBA_CACHE_DIR": str(shared)}
        yield f"planted code in a directory {name}"
    this.environment = {"NUMBA_CACHE_DIR": str(this.place / "theirs" / "cache")}
    theirs = this.place / "theirs"
    theirs.mkdir()
    os.chown(theirs, STRANGER, -1)
    yield "a cache in another user's directory, who could exchange it"
    theirs.joinpath("caches").mkdir()
    this.environment = {"XDG_CACHE_HOME": str(theirs / "caches" / "root")}
    yield "a home of caches in another user's directory"


def odd_things(this: Try) -> Iterator[str]:
    """Something else where a directory or a file is looked for."""
    files = this.warm()
    for name, make in (
        ("a pipe", os.mkfifo),
        ("a directory", os.mkdir),
        ("a link to itself", lambda path: os.symlink(path, path)),
        ("a dangling link", lambda path: os.symlink("/nonexistent/x", path)),
        ("a device", lambda path: os.symlink("/dev/zero", path)),
    ):
        for path in files:
            remove(path)
            make(path)
        yield f"{name} in place of each file"
    for name, make in (
        ("a file", lambda path: path.write_text("")),
        ("a pipe", os.mkfifo),
        ("a dangling link", lambda path: path.symlink_to("/nonexistent/x")),
        ("a link to itself", lambda path: path.symlink_to(path)),
    ):
        remove(this.base)
        make(this.base)
        yield f"{name} in place of the cache"
    remove(this.base)
    for name, value in (
        ("relative", "caches"), ("too long", "/" + "x" * 5000), ("too deep", "/tmp" + "/x" * 3000),  # noqa: S108
        ("not text", os.fsdecode(os.fsencode(this.place) + b"/\xff\xfe")), ("of lines", f"{this.place}/a\nb\x1b[31m"),
        ("a file's", str(Path(__file__) / "x")), ("the kernel's", "/proc/flowvigil"), ("the system's", "/sys/x"),
    ):  # fmt: skip
        for variable in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "CACHE_DIRECTORY"):
            this.environment = {variable: value}
            yield f"{variable} {name}"
    shutil.rmtree(REPOSITORY / "caches", ignore_errors=True)


def remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def no_home(this: Try) -> Iterator[str]:
    """Users without what users have."""
    for name, environment in (
        ("HOME unset", {"HOME": UNSET}), ("HOME empty", {"HOME": ""}), ("HOME relative", {"HOME": "home"}),
        ("HOME missing", {"HOME": "/nonexistent"}), ("TMPDIR missing", {"TMPDIR": "/nonexistent"}),
        ("a locator that is none", {"NUMBA_CACHE_LOCATOR_CLASSES": "no.such.Class"}),
        ("an empty NUMBA_CACHE_DIR", {"NUMBA_CACHE_DIR": ""}),
    ):  # fmt: skip
        this.environment = {"XDG_CACHE_HOME": UNSET} | environment
        yield name
    if os.geteuid() == 0 and shutil.which("setpriv"):
        this.prefix = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
        for name, environment in (
            ("nobody known, HOME unset", {"HOME": UNSET, "XDG_CACHE_HOME": UNSET}),
            ("nobody known, HOME of root", {"HOME": "/root", "XDG_CACHE_HOME": UNSET}),
            ("nobody known, a cache of root", {}),
        ):
            this.environment = environment
            yield name
    if os.geteuid() == 0 and shutil.which("unshare"):
        hidden = (
            'for d in /var/tmp /usr/tmp /tmp; do mount -t tmpfs -o ro,mode=000 none $d 2>/dev/null; done; exec "$@"'
        )
        this.prefix = ("unshare", "--mount", "sh", "-c", hidden, "sh")
        this.environment = {"XDG_CACHE_HOME": "/nonexistent-caches"}
        yield "no /tmp to write to"
        shutil.rmtree("/nonexistent-caches", ignore_errors=True)


def other_processors(this: Try) -> Iterator[str]:
    """A cache that was filled on another kind of processor."""
    this.silent = True
    for name in ("generic", "nocona", "core2"):
        this.environment = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""}
        yield f"a processor called {name}"
    this.environment = {}
    yield "this processor beside them"


ADVERSITIES: Final = (
    full_disks, limited_files, damaged_files, planted_code, odd_things, no_home, other_processors,
)  # fmt: skip


def try_cache(scale: float) -> Outcome:
    """Each adversity in a process of its own; then many at once; then damage to files, without processes."""
    if os.geteuid() != 0:
        raise NotTriedError("needs root, for disks of its own and other users' files")
    tries, failures = 0, []
    with place() as calm:
        expected = Try(calm).run().stdout
    for adversity in ADVERSITIES:
        with place() as directory, ExitStack() as opened:
            this = Try(directory, opened=opened)
            for words in adversity(this):
                tries += 1
                failures += [f"{words}: {fault}" for fault in faults(this, expected)]
    together, found = try_at_once(expected)
    flips, unnoticed = try_flips(round(20_000 * scale))
    return Outcome(tries + together + flips, failures + found + unnoticed, f"{tries} surroundings, {flips:,} damages")


@contextmanager
def place() -> Iterator[Path]:
    """A directory of a try, which others may enter."""
    with tempfile.TemporaryDirectory(prefix="flowvigil-cache-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def faults(this: Try, expected: bytes) -> Iterator[str]:
    """What a run in such surroundings did that it should not."""
    try:
        done = this.run()
    except subprocess.TimeoutExpired:
        yield "has not ended"
        return
    said = done.stderr.decode(errors="replace").splitlines()
    if done.returncode or done.stdout != expected:
        yield f"exit code {done.returncode}, {done.stdout!r}, {said[-1:]}"
    elif len(said) > (0 if this.silent else 1) or any("Traceback" in line for line in said):
        yield f"{len(said)} lines: {said}"
    if (this.place / MARK).exists():
        (this.place / MARK).unlink()
        yield "ran a stranger's code"


def try_at_once(expected: bytes) -> tuple[int, list[str]]:
    """Processes that fill one cache at once, while another takes it away again and again."""
    with place() as directory, ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [pool.submit(Try(directory).run) for _ in range(AT_ONCE)]
        while not all(run.done() for run in runs[: AT_ONCE // 2]):
            shutil.rmtree(directory / "caches", ignore_errors=True)
        ended = [run.result() for run in runs]
    wrong = [done for done in ended if done.returncode or done.stdout != expected or done.stderr.count(b"\n") > 1]
    return AT_ONCE, [f"at once: exit code {done.returncode}, {done.stderr[-300:]!r}" for done in wrong]


def try_flips(count: int) -> tuple[int, list[str]]:
    """Damage to one file, each kind of which must be noticed before anything is loaded."""
    chance = random.Random(7)
    with place() as directory:
        path, key, content = directory / f"a{SUFFIX}", b"key", chance.randbytes(3000)
        write_kernel(path, key, content)
        whole = path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(whole) == DIGEST_BYTES + len(content)
        unnoticed = 0
        for _ in range(count):
            damaged = flipped(whole, chance) if chance.random() < 0.7 else whole[: chance.randrange(len(whole))]
            path.write_bytes(damaged)
            unnoticed += read_kernel(path, key) is not None
        path.write_bytes(whole)
        unnoticed += read_kernel(path, b"another key") is not None
        unnoticed += read_kernel(path, key) != content
    return count + 2, [f"{unnoticed} damages not noticed"] if unnoticed else []


CLAIMS: Final = (
    Claim(
        "kernel-cache",
        "Whatever is wrong with the cache of compiled kernels (full, read-only, another's, damaged, planted) costs one "
        "line and the time to compile; code of strangers is never run.",
        "surroundings",
        try_cache,
        minutes=2.5,
        needs="root",
    ),
)
