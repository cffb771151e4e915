"""What tests of formats share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def formats(shared_data: Path) -> Path:
    """Folder of files as the real programs wrote them."""
    folder = shared_data / "formats"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder
