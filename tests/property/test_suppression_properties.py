from hypothesis import given
from hypothesis import strategies as st

from leakgrid.errors import ConfigError
from leakgrid.signature import RawFrame
from leakgrid.suppression import ELLIPSIS, Rule, matches, parse, render

name = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
pattern = st.just(ELLIPSIS) | st.builds(
    "{}:{}".format,
    st.sampled_from(["fun", "obj", "src"]),
    st.from_regex(r"[a-z*?]{1,6}", fullmatch=True),
)
rules = st.lists(
    st.builds(
        Rule,
        name=name,
        tool=st.just("Memcheck"),
        kind=st.just("Leak"),
        frames=st.lists(pattern, min_size=1, max_size=6).map(tuple),
        leak_kinds=st.sampled_from([(), ("definite",), ("possible", "reachable")]),
        python=st.sampled_from(["", ">=3.9", "any"]),
        reason=name | st.just(""),
    ),
    max_size=4,
    unique_by=lambda rule: rule.name,
).map(tuple)
functions = st.lists(name, min_size=1, max_size=6)


def stack(names: list[str]) -> list[RawFrame]:
    return [RawFrame(function, "/lib/x.so") for function in names]


@given(rules)
def test_what_is_rendered_is_read_back(made):
    assert parse(render(made)) == made


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_line_numbers(text):
    faults: tuple[str, ...] = ()
    try:
        parse(text)
    except ConfigError as error:
        faults = error.faults or ("a fault without a line",)
    assert all(fault.startswith("line ") for fault in faults)


@given(functions)
def test_a_stack_is_matched_by_its_own_names(names):
    own = Rule("r", "Memcheck", "Leak", tuple(f"fun:{function}" for function in names))
    assert matches(own, "definite", stack(names))


@given(functions, st.integers(0, 6))
def test_an_ellipsis_stands_for_any_number_of_frames(names, cut):
    ends = Rule("r", "Memcheck", "Leak", (ELLIPSIS, *(f"fun:{f}" for f in names[cut:] or names)))
    assert matches(ends, "definite", stack(names))
