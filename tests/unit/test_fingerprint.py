from pathlib import Path

import pytest

from leakgrid import fingerprint


def test_the_same_parts_give_the_same_text():
    assert fingerprint.of("a", {"x": 1, "y": 2}) == fingerprint.of("a", {"y": 2, "x": 1})
    assert len(fingerprint.of()) == 16


@pytest.mark.parametrize(
    "other", [("a", "bc"), ("ab", "c", ""), ("c", "ab"), (["ab", "c"],), ("ab", 1)]
)
def test_other_parts_give_another(other):
    assert fingerprint.of("ab", "c") != fingerprint.of(*other)


def test_own_code_covers_everything_that_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "__file__", str(tmp_path / "fingerprint.py"))
    (tmp_path / "incell").mkdir()
    seen = set()
    for name in ("fingerprint.py", "incell/plugin.py", "incell/requests.c"):
        (tmp_path / name).write_text(name)
        fingerprint.own_code.cache_clear()
        seen.add(fingerprint.own_code())
    (tmp_path / "notes.md").write_text("no code")
    fingerprint.own_code.cache_clear()
    assert fingerprint.own_code() in seen
    assert len(seen) == 3
    fingerprint.own_code.cache_clear()


def test_own_code_is_that_of_this_checkout():
    assert Path(fingerprint.__file__).name == "fingerprint.py"
    assert len(fingerprint.own_code()) == 16
