"""The search finds the version, whatever the range, in few steps, and never claims too much."""

from hypothesis import given
from hypothesis import strategies as st

from leakgrid.bisection import Sought, answer, next_version

ONE = Sought("growth|instance", "", frozenset())


@st.composite
def ranges(draw: st.DrawFn) -> tuple[int, int]:
    last = draw(st.integers(1, 80))
    return last, draw(st.integers(1, last))


def search(last: int, first: int, skipped: frozenset[int]) -> dict[int, bool | None]:
    states: dict[int, bool | None] = {0: False, last: True}
    while (index := next_version(states, last)) is not None:
        assert index not in states
        states[index] = None if index in skipped else index >= first
    return states


@given(ranges())
def test_the_first_version_is_found_within_the_limit(drawn: tuple[int, int]) -> None:
    last, first = drawn
    states = search(last, first, frozenset())
    told = answer(ONE, tuple(map(str, range(last + 1))), states)
    assert told.found
    assert (told.without, told.first) == (str(first - 1), str(first))
    assert len(states) <= 2 + (last - 1).bit_length()
    assert last > 16 or len(states) <= 6


@given(ranges(), st.frozensets(st.integers(1, 79)))
def test_versions_that_cannot_be_judged_stay_among_the_candidates(
    drawn: tuple[int, int], skipped: frozenset[int]
) -> None:
    last, first = drawn
    skipped -= {last}
    told = answer(ONE, tuple(map(str, range(last + 1))), search(last, first, skipped))
    assert not told.open
    assert str(first) in (*told.untold, told.first)
    assert set(map(int, told.untold)) <= skipped
    assert int(told.without) < first
