"""Slopes, caches, noise: told apart by their causes."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st
from leakgrid_incell import judge


@given(st.integers(1, 10_000), st.integers(-(10**9), 10**9))
def test_the_same_step_in_every_window_is_a_leak(step: int, start: int) -> None:
    assert judge.judge([start + step * n for n in range(9)]) == judge.LEAK


def test_a_leak_in_one_call_of_three_is_one_when_windows_hold_many_calls() -> None:
    assert judge.judge([(32 * n // 3) * 200 for n in range(9)]) == judge.LEAK


def test_a_leak_of_random_sizes_is_one() -> None:
    chance = random.Random(5)
    total, values = 0, [0]
    for _ in range(8):
        total += sum(chance.randrange(1, 1000) for _ in range(64))
        values.append(total)
    assert judge.judge(values) == judge.LEAK


@given(st.integers(0, 4), st.integers(1, 1000))
def test_a_pool_that_is_full_before_the_last_windows_has_settled(full: int, step: int) -> None:
    assert judge.judge([min(n, full) * step for n in range(9)]) == judge.SETTLED


def test_noise_around_a_level_is_no_leak() -> None:
    chance = random.Random(3)
    words = {judge.judge([chance.randrange(10_000) for _ in range(9)]) for _ in range(2000)}
    assert judge.LEAK not in words


def test_a_cache_whose_keys_begin_to_repeat_is_unclear_until_it_is_watched_for_longer() -> None:
    values = [0, 100, 190, 270, 340, 400, 450, 490, 520]
    assert judge.judge(values) == judge.UNCLEAR


def test_a_container_that_doubles_with_the_windows_leaks() -> None:
    assert judge.doubles([(32, 0), (64, 512), (128, 1024), (256, 2048), (512, 4096)])


def test_a_pool_that_is_full_does_not_double() -> None:
    assert not judge.doubles([(32, 512), (64, 1024), (128, 2048), (256, 0)])


def test_caches_of_code_that_ran_often_do_not_double() -> None:
    assert not judge.doubles([(112, 5232), (224, 3632), (460, 6752), (920, 9504)])


def test_few_windows_say_nothing_about_doubling() -> None:
    assert not judge.doubles([(64, 512), (128, 1024)])


def test_enough_calls_fill_a_pool_at_the_rate_seen() -> None:
    assert judge.enough_calls(12, 12, 200) == 200
    assert judge.enough_calls(4, 12, 200) == 600
    assert judge.enough_calls(0, 12, 200) == 2400


def test_a_round_in_which_nothing_moves_is_rest() -> None:
    assert judge.Rest().after(grown=False, heap=0)
    assert judge.Rest().after(grown=False, heap=-judge.REMAINDERS)


def test_a_fall_may_hide_a_leak_until_the_next_round_does_not_grow_either() -> None:
    rest = judge.Rest()
    assert not rest.after(grown=False, heap=-500)
    assert rest.after(grown=False, heap=-500)


def test_growth_behind_a_fall_is_no_rest_and_begins_anew() -> None:
    rest = judge.Rest()
    assert not rest.after(grown=False, heap=-500)
    assert not rest.after(grown=True, heap=64)
    assert not rest.after(grown=False, heap=-500)


def test_what_happens_once_in_a_leak_does_not_make_it_decay() -> None:
    steps = [3376, 2016, 3856, 1856, 2112, 1968, 2000, 2000]
    assert judge.judge(list(itertools.accumulate([0, *steps]))) == judge.LEAK


def test_a_cache_whose_keys_begin_to_repeat_is_unclear() -> None:
    steps = [1000, 900, 800, 700, 600, 500, 400, 300]
    assert judge.judge(list(itertools.accumulate([0, *steps]))) == judge.UNCLEAR


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=6), st.integers(32, 10_000))
def test_a_heap_that_gains_at_each_round_is_never_where_it_was(noise: list[int], step: int) -> None:
    heaps = [0]
    for more in noise:
        heaps.append(heaps[-1] + step + abs(more))
    assert not judge.is_where_it_was(heaps)


def test_a_heap_that_comes_back_is_where_it_was_whatever_it_did_between() -> None:
    assert judge.is_where_it_was([5000, 4728, 5080, 4968])


def test_one_fall_may_hide_what_was_lost_and_two_in_a_row_do_not() -> None:
    assert not judge.is_where_it_was([5000, 4456])
    assert judge.is_where_it_was([5000, 4456, 4200])
