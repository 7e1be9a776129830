from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from leakgrid.baseline import Accepted, Baseline, accept, read, write
from leakgrid.comparison import compare_baseline, compare_results
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.signature import Frame, Owner

identities = st.text("0123456789abcdef", min_size=12, max_size=12)
# No surrogates: TOML cannot hold them.
text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
said = text.filter(lambda value: value.strip())
amount = st.integers(0, 10**12) | st.floats(0, 1e9, allow_nan=False).map(
    lambda value: int(value) if value.is_integer() else value
)
accepted = st.builds(
    Accepted,
    id=identities,
    detector=said,
    kind=said,
    owner=st.sampled_from(Owner),
    tests=st.lists(text, max_size=4).map(lambda items: tuple(sorted(items))),
    blocks=amount,
    bytes=amount,
    per_call=st.booleans(),
    frames=st.lists(text, max_size=4).map(tuple),
    reason=said,
    reproducer=st.just("") | said,
    link=st.just("") | said,
)
comments = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20).map(
    lambda text: f"# {text}".rstrip()
)
entries = st.lists(accepted, max_size=5, unique_by=lambda entry: entry.id).map(
    lambda items: tuple(sorted(items, key=lambda entry: entry.id))
)
baselines = st.builds(
    Baseline, target=said, python=said, pyo3=said, entries=entries, tests=st.integers(0, 10**6)
)
findings = st.builds(
    Finding,
    detector=st.just("memcheck"),
    kind=st.sampled_from(["Leak_DefinitelyLost", "InvalidRead"]),
    id=identities,
    owner=st.sampled_from(Owner),
    tests=st.lists(st.sampled_from(["t::a", "t::b"]), unique=True).map(tuple),
    blocks=st.integers(0, 9),
    bytes=st.integers(0, 9),
    frames=st.lists(
        st.builds(Frame, function=st.sampled_from(["f", "g"]), owner=st.sampled_from(Owner)),
        max_size=3,
    ).map(tuple),
)
REASON = "upstream, https://example.org/1"
results = st.builds(
    CellResult,
    target=st.just("demo"),
    python=st.just({"version": "3.12.1"}),
    pyo3=st.just("0.29.3"),
    verdict=st.just("known"),
    reason=st.just(""),
    tests=st.just({"t::a": TestRecord("passed"), "t::b": TestRecord("passed")}),
    findings=st.lists(findings, max_size=6, unique_by=lambda f: f.id).map(tuple),
    partial=st.booleans(),
)


@given(baselines)
def test_what_is_written_is_read_back(baseline):
    assert read(write(baseline)) == baseline


@given(baselines, st.data())
def test_comments_are_read_back(baseline, data):
    keys = ["", *(entry.id for entry in baseline.entries)]
    notes = data.draw(
        st.dictionaries(
            st.sampled_from(keys), st.lists(comments, min_size=1, max_size=3).map(tuple)
        )
    )
    noted = replace(baseline, notes=notes)
    assert read(write(noted)) == noted


@given(baselines)
def test_writing_is_stable(baseline):
    assert write(read(write(baseline))) == write(baseline)
    assert write(replace(baseline, entries=baseline.entries[::-1])) == write(baseline)


@given(results)
def test_what_was_accepted_is_known_at_once(result):
    compared = compare_baseline(result, accept(result, None, REASON))
    assert compared.ids()["known"] == tuple(sorted(f.id for f in result.findings))
    assert compared.new == compared.gone == compared.changed == ()


@given(results)
def test_an_accepted_baseline_survives_its_file(result):
    made = accept(result, None, REASON)
    assert read(write(made)) == made


@given(results, results)
def test_a_partial_result_never_drops_an_accepted_finding(first, second):
    before = accept(first, None, REASON)
    after = accept(replace(second, partial=True), before, REASON)
    assert {e.id for e in before.entries} <= {e.id for e in after.entries}
    assert compare_baseline(replace(second, partial=True), before).gone == ()


@given(results, results)
def test_every_finding_has_exactly_one_place_in_a_comparison(before, after):
    before, after = replace(before, partial=False), replace(after, partial=False)
    compared = compare_results(before, after)
    placed = [*compared.new, *compared.gone, *compared.changed, *compared.known]
    older = sorted(entry.before.id for entry in placed if entry.before)
    newer = sorted(entry.after.id for entry in placed if entry.after)
    assert older == sorted(f.id for f in before.findings)
    assert newer == sorted(f.id for f in after.findings)


@given(results)
def test_a_result_compared_with_itself_has_nothing_new(result):
    compared = compare_results(result, result)
    assert compared.new == compared.gone == compared.changed == ()
