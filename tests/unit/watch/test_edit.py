from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakgrid.errors import ConfigError
from leakgrid.watch.edit import add_pyo3

FILE = """\
# top
pythons = ["3.12"] # keep
pyo3 = ["0.28.3", '0.29.0'] # newest last

[targets.a] # follows
path = "a"
pyo3 = [
  # chosen
  "0.27.2",
  "0.29.0", # the newest

]

[targets.b]
path = "b"
pyo3 = ["0.28.3"]
"""


def test_lists_that_follow_get_the_version_and_nothing_else_changes() -> None:
    edited = add_pyo3(FILE, ["0.30.1"])
    assert edited.added == (("pyo3", "0.30.1"), ("targets.a.pyo3", "0.30.1"))
    assert edited.text == FILE.replace("'0.29.0'] #", "'0.29.0', \"0.30.1\"] #").replace(
        '"0.29.0", # the newest\n', '"0.29.0", # the newest\n  "0.30.1",\n'
    )


def test_a_patch_of_an_older_minor_goes_into_its_place_of_the_matrix_alone() -> None:
    edited = add_pyo3(FILE, ["0.28.4"])
    assert edited.added == (("pyo3", "0.28.4"),)
    assert tomllib.loads(edited.text)["pyo3"] == ["0.28.3", "0.28.4", "0.29.0"]


def test_the_newest_first_stays_first() -> None:
    text = 'pyo3 = [\n    "0.29.0", # b\n    "0.28.3", # a\n]\n'
    edited = add_pyo3(text, ["0.30.1", "0.28.4"])
    assert tomllib.loads(edited.text)["pyo3"] == ["0.30.1", "0.29.0", "0.28.4", "0.28.3"]
    assert [line.split("#")[0].strip() for line in edited.text.splitlines() if "#" in line] == [
        '"0.29.0",',
        '"0.28.3",',
    ]


def test_what_is_there_is_not_added_again() -> None:
    once = add_pyo3(FILE, ["0.30.1"])
    again = add_pyo3(once.text, ["0.30.1"])
    assert (again.text, again.added) == (once.text, ())


@pytest.mark.parametrize("text", ["pyo3 = [", 'pythons = ["3.12"]'])
def test_a_file_that_cannot_be_edited_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        add_pyo3(text, ["0.30.1"])
    assert error.value.next


SPACE = st.sampled_from(["", " ", "\n", "\n    ", " # note\n", '\n\n  # a ] " # note\n  '])


@given(
    st.lists(st.integers(20, 40), min_size=1, max_size=5, unique=True),
    st.lists(SPACE, min_size=12, max_size=12),
    st.booleans(),
    st.integers(19, 41),
)
def test_any_list_keeps_its_comments_and_its_order(
    minors: list[int], spaces: list[str], comma: bool, new: int
) -> None:
    # A note that a line break does not end would swallow what is behind it.
    parts = [f'"0.{minor}.1"{spaces[2 * at]}' for at, minor in enumerate(minors)]
    body = ",".join(f"{spaces[2 * at + 1]}{part}" for at, part in enumerate(parts))
    text = f"# first\npyo3 = [{body}{',' if comma else ''}{spaces[10]}]{' # last'}\nother = 1\n"
    edited = add_pyo3(text, [f"0.{new}.1"])
    before, after = tomllib.loads(text)["pyo3"], tomllib.loads(edited.text)["pyo3"]
    assert [item for item in after if item != f"0.{new}.1" or item in before] == before
    assert f"0.{new}.1" in after
    for note in ("# first", "# note", '# a ] " # note', "# last"):
        assert edited.text.count(note) == text.count(note)
