import pytest

from leakgrid.toolchain.project_lock import pins

UV = """
version = 1
[[package]]
name = "shelf"
source = { editable = "." }
[[package]]
name = "pytest"
version = "9.1.1"
source = { registry = "https://index.example/simple" }
[[package]]
name = "Two"
version = "1.0"
source = { registry = "https://index.example/simple" }
[[package]]
name = "two"
version = "2.0"
source = { registry = "https://index.example/simple" }
[[package]]
name = "from-git"
version = "1.0"
source = { git = "https://git.example/x" }
"""


def test_only_what_the_lock_has_once_and_from_an_index_is_pinned(tmp_path):
    (tmp_path / "uv.lock").write_text(UV)

    assert pins(tmp_path) == ("pytest==9.1.1",)


@pytest.mark.parametrize("name", ["poetry.lock", "pdm.lock"])
def test_locks_without_a_source_are_those_of_the_index(tmp_path, name):
    (tmp_path / name).write_text('[[package]]\nname = "pytest"\nversion = "9.1.1"\n')

    assert pins(tmp_path) == ("pytest==9.1.1",)


@pytest.mark.parametrize("text", ["", "package = 1", "[[package", "[package]\nname = 'x'", "\0"])
def test_a_lock_that_says_nothing_pins_nothing(tmp_path, text):
    assert pins(tmp_path) == ()
    (tmp_path / "uv.lock").write_text(text)

    assert pins(tmp_path) == ()
