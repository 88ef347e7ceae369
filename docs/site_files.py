"""Hooks of mkdocs (mkdocs.yml): the site has README, SECURITY and CHANGELOG as pages too, and what a page links to.

In the repository a page links to files by their paths. Those that are no pages are copied into the site as plain text
under `source/`, so that no link leads out of it. It knows no page by name but the three.
"""

import re
from pathlib import Path
from posixpath import normpath
from typing import Any, Final
from urllib.parse import urlsplit

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = "docs"
# Pages outside of docs/, by their path in the repository, with their name in the site.
OUTSIDE: Final = {"README.md": "index.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
_LINK: Final = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_CODE: Final = re.compile(r"(^( *)```.*?^\2```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages outside of docs/, and the sources that pages link to."""
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / path).read_text(encoding="utf-8")))
    pages = [*OUTSIDE, *(f"{DOCS}/{file.src_uri}" for file in files.documentation_pages() if file.generated_by is None)]
    for path in sorted({source for page in pages for source in _sources(page)}):
        files.append(File.generated(config, _in_site(path), content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its links as they are in the site, which is flat but for sources."""
    by_name = {name: path for path, name in OUTSIDE.items()}
    path = by_name.get(page.file.src_uri, f"{DOCS}/{page.file.src_uri}")
    return _with_links(markdown, lambda link: _moved(path, link))


def _sources(page: str) -> set[str]:
    """Files, by their paths in the repository, that a page links to and that are no pages and no part of docs/."""
    found: set[str] = set()

    def look(link: str) -> str:
        target = _target(page, link)
        if target and target not in OUTSIDE and not target.startswith(f"{DOCS}/"):
            found.update(_files_of(target))
        return link

    _with_links((ROOT / page).read_text(encoding="utf-8"), look)
    return found


def _files_of(target: str) -> list[str]:
    """The file, or the sources right in the directory."""
    path = ROOT / target
    inside = sorted(path.glob("*.py")) + sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    return [each.relative_to(ROOT).as_posix() for each in inside]


def _target(page: str, link: str) -> str | None:
    """What a link of a page leads to, as a path in the repository; None where it leads to a heading or another host."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return None
    return normpath(f"{page.rpartition('/')[0]}/{parts.path}".lstrip("/"))


def _moved(page: str, link: str) -> str:
    """A link of a page as it is in the site. That to a directory leads to its first file."""
    target = _target(page, link)
    if target is None:
        return link
    _, mark, anchor = link.partition("#")
    if target in OUTSIDE:
        return OUTSIDE[target] + mark + anchor
    if target.startswith(f"{DOCS}/"):
        return target.removeprefix(f"{DOCS}/") + mark + anchor
    return _in_site(_files_of(target)[0])


def _in_site(path: str) -> str:
    """A source's name in the site. Browsers show .txt, where they would save .yaml and .py."""
    return f"source/{path}.txt"


def _with_links(markdown: str, change: Any) -> str:
    """The text with each link changed; what stands in code stays."""
    parts = _CODE.split(markdown)
    # split() also gives the indentation of fenced blocks, after each piece of code
    texts = [
        _LINK.sub(lambda link: change(link[1]), part) if number % 3 == 0 else part
        for number, part in enumerate(parts)
        if number % 3 != 2
    ]
    return "".join(texts)
