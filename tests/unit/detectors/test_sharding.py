import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakgrid.detectors.sharding import split

NAMES = [f"t{i}" for i in range(12)]


def test_batches_have_about_equal_cost():
    seconds = dict.fromkeys(NAMES, 1.0) | {"t0": 6.0}
    batches = split(NAMES, seconds, 3)
    costs = [sum(seconds[name] for name in batch) for batch in batches]
    assert len(batches) == 3
    assert max(costs) - min(costs) <= 1.0


def test_without_durations_the_tests_are_spread_evenly():
    assert [len(batch) for batch in split(NAMES, {}, 4)] == [3, 3, 3, 3]


def test_no_tests_make_no_batch():
    assert split([], {}, 4) == []


@pytest.mark.parametrize("batches", [0, 1])
def test_one_batch_holds_everything(batches):
    assert split(NAMES, {}, batches) == [NAMES]


@given(
    st.lists(st.floats(-1, 1e6, allow_nan=False), max_size=40),
    st.integers(0, 50),
)
def test_order_stays_nothing_is_lost_and_no_batch_is_empty(durations, count):
    tests = [f"t{i}" for i in range(len(durations))]
    batches = split(tests, dict(zip(tests, durations, strict=True)), count)
    assert [test for batch in batches for test in batch] == tests
    assert all(batches)
    assert len(batches) <= max(1, count)
