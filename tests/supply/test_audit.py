"""An audit passes only where the advisories answered for every package."""

import json
from pathlib import Path

import pytest

from tests.supply import audit

ANSWERED = {"name": "numpy", "version": "2.4.6", "vulns": []}
SKIPPED = {"name": "numba", "skip_reason": "Dependency not found on PyPI and could not be audited"}
FLAWED = {"name": "lz4", "version": "4.4.5", "vulns": [{"id": "PYSEC-2026-1"}]}


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ([ANSWERED], 0, "1 packages, no known vulnerability"),
        ([ANSWERED, SKIPPED], 3, "not reachable: no answer for 1 of 2 packages"),
        ([], 3, "not reachable"),
        ([FLAWED, SKIPPED], 1, "lz4 4.4.5: PYSEC-2026-1"),
    ],
)
def test_an_answer_gives_its_exit_code(
    answers: list[dict[str, object]], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.told(answers) == code
    assert said in capsys.readouterr().out


def test_an_auditor_that_breaks_is_no_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "pip-audit"
    broken.write_text("#!/bin/sh\necho 'Failed to resolve the host' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(audit, "PIP_AUDIT", broken)
    assert audit.main() == audit.NOT_REACHED
    assert capsys.readouterr().err == "not reachable: pip-audit ended with 1: Failed to resolve the host\n"


def test_every_lock_is_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    auditor = tmp_path / "pip-audit"
    auditor.write_text(f"#!/bin/sh\necho \"$@\" > {asked}\necho '{json.dumps({'dependencies': [ANSWERED]})}'\n")
    auditor.chmod(0o755)
    monkeypatch.setattr(audit, "PIP_AUDIT", auditor)
    assert audit.main() == 0
    for lock in audit.LOCKS.glob("*.txt"):
        assert str(lock) in asked.read_text()
