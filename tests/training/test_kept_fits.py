"""What an interrupted run has kept: nobody else's is taken over."""

import os
from pathlib import Path

import pytest

from training.kept_fits import own_directory


def test_only_a_directory_of_ones_own_is_what_a_run_has_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "runs" / "bundle.unfinished"
    own_directory(kept)
    assert kept.stat().st_mode & 0o777 == 0o700
    own_directory(kept)
    (tmp_path / "link").symlink_to(kept)
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for name in ("link", "file", "open"):
        with pytest.raises(OSError, match="is no directory of this user's own"):
            own_directory(tmp_path / name)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(OSError, match="is no directory of this user's own"):
        own_directory(kept)
