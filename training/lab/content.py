"""What the lab's servers serve: pages with their parts, files, a film, word lists, a certificate."""

import subprocess
from pathlib import Path
from random import Random
from typing import Final

from training.lab.accounts import COMMON_PASSWORDS, PASSWORDS

PAGES: Final = 24
ASSETS: Final = 60
CHUNKS: Final = 12  # of the film
CHUNK_BYTES: Final = 400_000
FILES: Final = 16
LARGE_BYTES: Final = 6_000_000


def web_root(shared: Path) -> Path:
    """Where the pages are."""
    return shared / "www"


def file_root(shared: Path) -> Path:
    """Where the files are."""
    return shared / "files"


def parts_of(page: int) -> list[str]:
    """What a browser fetches for a page: the page, its style and its pictures."""
    draw = Random(page)
    pictures = draw.sample(range(ASSETS), draw.randint(2, 9))
    return [f"page-{page}.html", "style.css", *(f"asset-{number}.webp" for number in pictures)]


def make_content(shared: Path, seed: int) -> None:
    """Write all of it below a directory. Raises OSError, CalledProcessError where openssl or ssh-keygen fails."""
    draw = Random(f"content {seed}")
    pages, files = web_root(shared), file_root(shared)
    for directory in (pages, files):
        directory.mkdir(parents=True)
    _fill(pages / "style.css", 9_000, draw)
    for page in range(PAGES):
        links = "".join(f'<img src="/{part}">' for part in parts_of(page)[2:])
        text = draw.randbytes(draw.randint(1_000, 20_000)).hex()
        html = f'<!doctype html><title>{page}</title><link rel="stylesheet" href="/style.css">{links}<p>{text}</p>'
        (pages / f"page-{page}.html").write_text(html, encoding="utf-8")
    for number in range(ASSETS):
        _fill(pages / f"asset-{number}.webp", int(draw.lognormvariate(9.6, 1.0)), draw)
    for number in range(CHUNKS):
        _fill(pages / f"film-{number}.ts", int(CHUNK_BYTES * draw.uniform(0.6, 1.4)), draw)
    _fill(pages / "large.bin", LARGE_BYTES, draw)
    for number in range(FILES):
        _fill(files / f"report-{number}.odt", int(draw.lognormvariate(11.0, 1.2)), draw)
    _make_secrets(shared, draw)


def _fill(path: Path, size: int, draw: Random) -> None:
    path.write_bytes(draw.randbytes(max(200, min(size, LARGE_BYTES))))


def _make_secrets(shared: Path, draw: Random) -> None:
    words = list(COMMON_PASSWORDS)
    draw.shuffle(words)
    (shared / "passwords.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (shared / "users.txt").write_text("\n".join(("root", "test", "oracle", *PASSWORDS)) + "\n", encoding="utf-8")
    certificate = "openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=lab.test -keyout lab.key -out lab.crt"
    _run(certificate.split(), shared)
    _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "ssh_host_key"], shared)
    hashed = _run(["openssl", "passwd", "-apr1", "-salt", "flowlab", PASSWORDS["admin"]], shared)
    (shared / "admin.hash").write_text(hashed, encoding="utf-8")
    (shared / "lab.key").chmod(0o644)


def _run(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout
