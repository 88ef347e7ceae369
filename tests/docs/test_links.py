"""Links of the README and of the pages lead to files, and to headings, of this repository; each page can be reached."""

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.ux

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def links(text: str) -> list[str]:
    return LINK.findall(CODE.sub("", text))


def anchors(page: Path) -> set[str]:
    """Names that headings have on the code hosts that show Markdown: lower case, blanks as hyphens, no punctuation."""
    headings = HEADING.findall(re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead(page: Path) -> list[str]:
    """Links of a page that lead nowhere in this repository. Those to other hosts are not followed."""
    found = []
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_of_a_page_is_dead(page: Path) -> None:
    assert dead(page) == []


def test_a_dead_link_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n\n[x](gone.md) [y](#a-b-c) [z](#gone) `[q](gone)`\n\n```\n[w](gone)\n```\n")
    assert dead(page) == ["gone.md", "#gone"]


def test_the_readme_leads_to_every_page() -> None:
    doors = set(links((ROOT / "README.md").read_text(encoding="utf-8")))
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages <= doors


def test_what_pages_link_to_is_kept_under_version_control() -> None:
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if kept.returncode:
        pytest.skip("not a clone")
    files = set(kept.stdout.splitlines())
    for page in PAGES:
        local = [link for link in links(page.read_text(encoding="utf-8")) if not re.match(r"[a-z]+:|#", link)]
        for link in local:
            target = (page.parent / link.partition("#")[0]).resolve().relative_to(ROOT).as_posix()
            assert any(file == target or file.startswith(f"{target}/") for file in files), f"{page.name}: {link}"
