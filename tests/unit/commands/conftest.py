"""The store that commands read."""

import pytest
from made import CELL, finding, result

from leakgrid.store import Store


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    store = Store(tmp_path / "store", tmp_path / "base")
    store.save_result(CELL, result(finding("a"), verdict="unbaselined"))
    return tmp_path
