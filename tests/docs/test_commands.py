"""Commands of the README and of docs/ are such as the command line takes; those of the README run."""

import gzip
from pathlib import Path

import pytest

from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.command import DEMO, flowvigil
from tests.support.command_examples import in_blocks, take

pytestmark = [pytest.mark.ux, pytest.mark.takes(25)]

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")])
# Those of interfaces and of running sensors are run by tests/live, tests/sensor/attach and tests/sensor/api, selftest
# by tests/sensor/cli/test_selftest.py.
ELSEWHERE = ("check", "watch", "serve", "selftest")
NORMAL = ("monday.pcap.gz", "tuesday.pcap.gz")


def of_readme() -> list[list[str]]:
    return list(in_blocks(README.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_command_line_takes_the_commands_of_a_page(page: Path) -> None:
    for call in in_blocks(page.read_text(encoding="utf-8")):
        take(call)  # raises where it is not taken


def test_a_command_that_is_not_taken_would_be_found() -> None:
    page = "```\nsudo .venv/bin/flowvigil read --nothing x.pcap   # a remark\n```\n\n    flowvigil nothing\n"
    calls = list(in_blocks(page))
    assert calls == [["read", "--nothing", "x.pcap"], ["nothing"]]
    for call, message in zip(calls, ("No such option", "nothing"), strict=True):
        with pytest.raises(Exception, match=message):
            take(call)


def test_the_readme_runs_on_a_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other in a directory of captures, so that each finds what those before it have made."""
    (tmp_path / "capture.pcap").write_bytes(gzip.decompress(DEMO.read_bytes()))
    normal = [scenario for scenario in CATALOGUE if scenario.name == "normal"]
    for seed, name in enumerate(NORMAL):
        write_pcap(tmp_path / name, pcap_bytes(generate(normal, seed, minutes=10).packets, snaplen=262144))
    notes = README.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "site.yaml").write_text(notes)
    monkeypatch.chdir(tmp_path)
    run = [call for call in of_readme() if call[0] not in ELSEWHERE]
    assert {call[0] for call in run} == {"read", "report", "flows", "baseline", "rehearse", "alerts"}
    for call in run:
        result = flowvigil(*call)
        assert result.code == 0, (call, result.stderr)
    for made in ("alerts.jsonl", "capture.html", "flows.csv", "site/manifest.json", "site.html"):
        assert (tmp_path / made).stat().st_size > 0


def test_the_readme_is_a_screen_and_doors() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150
