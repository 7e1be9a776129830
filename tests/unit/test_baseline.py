from dataclasses import replace

import pytest

from leakgrid.baseline import (
    Accepted,
    Accepting,
    Baseline,
    accept,
    is_complete,
    measured_tests,
    python_minor,
    read,
    stale,
    write,
)
from leakgrid.errors import ConfigError, DataError, UsageError
from leakgrid.finding import CellResult, Finding, TestRecord
from leakgrid.signature import Frame, Owner

PASSED = {f"tests/test_a.py::test_{i}": TestRecord("passed", 0.1) for i in range(3)}


def finding(identity: str = "a" * 12, **changes) -> Finding:
    base = Finding(
        "memcheck",
        "Leak_DefinitelyLost",
        identity,
        Owner.EXTENSION,
        ("tests/test_a.py::test_1", "tests/test_a.py::test_0"),
        blocks=2,
        bytes=1000,
        frames=(
            Frame("malloc", "", 0, "vgpreload_memcheck-amd64-linux.so", Owner.LIBC),
            Frame("demo::leak", "src/lib.rs", 17, "demo.so", Owner.EXTENSION),
            Frame("PyErr::take", "pyo3-0.29.3/src/err.rs", 4, "demo.so", Owner.PYO3),
        ),
    )
    return replace(base, **changes)


def result(*findings: Finding, **changes) -> CellResult:
    base = CellResult(
        "demo", {"version": "3.12.1"}, "0.29.3", "unbaselined", "", tests=PASSED, findings=findings
    )
    return replace(base, **changes)


def test_accepting_keeps_the_story_without_lines_and_versions():
    made = accept(result(finding()), None, "upstream bug")
    assert (made.target, made.python, made.pyo3, made.tests) == ("demo", "3.12", "0.29.3", 3)
    (entry,) = made.entries
    assert entry.reason == "upstream bug"
    assert entry.frames == ("demo::leak [src/lib.rs]", "PyErr::take [pyo3/src/err.rs]")
    assert entry.tests == ("tests/test_a.py::test_0", "tests/test_a.py::test_1")


def test_entries_that_stay_keep_their_reasons_and_new_ones_get_the_new():
    first = accept(result(finding("a" * 12)), None, "old reason")
    second = accept(result(finding("a" * 12, blocks=5), finding("b" * 12)), first, "new reason")
    assert [(e.id[0], e.reason, e.blocks) for e in second.entries] == [
        ("a", "old reason", 5),
        ("b", "new reason", 2),
    ]


def test_what_a_whole_result_shows_to_be_gone_is_stale_and_goes_when_pruned():
    first = accept(result(finding("a" * 12), finding("b" * 12)), None, "r")
    later = result(finding("b" * 12))
    assert stale(later, first) == ("a" * 12,)
    assert [e.id[0] for e in accept(later, first, "").entries] == ["a", "b"]
    assert [e.id[0] for e in accept(later, first, "", prune=True).entries] == ["b"]


@pytest.mark.parametrize(
    "unfinished",
    [
        {"partial": True},
        {"tests": {}},
        {"tests": {**PASSED, "t": TestRecord("crashed")}},
        {"detectors": ("growth",)},
    ],
)
def test_where_not_everything_ran_nothing_is_stale_and_nothing_is_pruned(unfinished):
    first = accept(result(finding("a" * 12)), None, "r")
    later = result(**unfinished)
    assert stale(later, first) == ()
    assert accept(later, first, "", prune=True).entries == first.entries


@pytest.mark.parametrize(
    "unfinished",
    [
        {"partial": True},
        {"tests": {**PASSED, "t": TestRecord("crashed")}},
        {"tests": {**PASSED, "t": TestRecord("hung-under-valgrind")}},
    ],
)
def test_an_unfinished_result_never_drops_or_lowers(unfinished):
    first = replace(accept(result(finding("a" * 12), finding("b" * 12)), None, "r"), tests=900)
    second = accept(
        result(finding("b" * 12, blocks=1, tests=("tests/test_c.py::t",)), **unfinished), first, ""
    )
    assert [(e.id[0], e.blocks) for e in second.entries] == [("a", 2), ("b", 2)]
    assert len(second.entries[1].tests) == 3
    assert second.tests == 900


def test_a_finding_is_not_accepted_without_a_reason():
    with pytest.raises(UsageError, match="reason"):
        accept(result(finding()), None, "  ")


def test_known_findings_need_no_second_reason():
    first = accept(result(finding()), None, "r")
    assert accept(result(finding()), first, "") == first


@pytest.mark.parametrize("verdict", ["blind", "build-failed", "no-tests", "interrupted"])
def test_a_result_that_proves_nothing_cannot_be_accepted(verdict):
    with pytest.raises(UsageError, match=verdict):
        accept(result(verdict=verdict), None, "r")


def test_a_clean_result_gives_an_empty_baseline():
    assert accept(result(), None, "").entries == ()


def test_the_text_is_the_same_for_the_same_baseline_and_is_read_back():
    made = accept(
        result(finding("b" * 12), finding("a" * 12, per_call=True, blocks=0.5)), None, "r"
    )
    shuffled = replace(made, entries=tuple(reversed(made.entries)))
    assert write(made) == write(shuffled)
    assert read(write(made)) == made


def test_the_file_looks_like_this():
    made = Baseline(
        "demo",
        "3.12",
        "0.29.3",
        (
            Accepted(
                "a" * 12, "memcheck", "leak", Owner.PYO3, ("t",), 1, 64, False, ("f [x]",), "r"
            ),
        ),
        900,
    )
    assert write(made) == (
        "# Accepted findings of one cell, written by `leakgrid accept`; reviewed like code.\n"
        'schema = 1\ntarget = "demo"\npython = "3.12"\npyo3 = "0.29.3"\ntests = 900\n'
        '\n[[accepted]]\nid = "aaaaaaaaaaaa"\ndetector = "memcheck"\nkind = "leak"\n'
        'owner = "pyo3"\nblocks = 1\nbytes = 64\nper_call = false\nreason = "r"\n'
        'tests = [\n    "t",\n]\nframes = [\n    "f [x]",\n]\nrelated = []\n'
    )


def test_all_faults_are_told_at_once_with_their_key_paths():
    text = (
        'schema = 1\ntarget = ""\npyo3 = 3\ntests = -1\nextra = 1\n'
        '[[accepted]]\nid = "xyz"\ndetector = "d"\nkind = "k"\nowner = "me"\nblocks = true\n'
        'tests = "t"\nper_call = 1\nwhy = "?"\n'
    )
    with pytest.raises(ConfigError) as caught:
        read(text, "demo.toml")
    told = "\n".join(caught.value.faults)
    for path in (
        "target:",
        "python:",
        "pyo3:",
        "tests:",
        "extra:",
        "accepted[0].id:",
        "accepted[0].owner:",
        "accepted[0].blocks:",
        "accepted[0].tests:",
        "accepted[0].per_call:",
        "accepted[0].why:",
        "accepted[0].reason:",
    ):
        assert path in told
    assert "demo.toml" in str(caught.value)


def test_an_id_that_is_accepted_twice_is_a_fault():
    text = write(accept(result(finding()), None, "r"))
    entry = text[text.index("[[accepted]]") :]
    with pytest.raises(ConfigError, match="twice"):
        read(text + entry)


@pytest.mark.parametrize("text", ["schema = ", "schema = 2\n", ""])
def test_what_is_no_baseline_is_refused(text):
    with pytest.raises(DataError):
        read(text)


def test_measured_are_tests_that_passed_and_did_not_end_under_valgrind():
    words = ["passed", "xfailed", "failed", "skipped", "crashed", "hung-under-valgrind"]
    assert measured_tests({word: TestRecord(word) for word in words}) == 2


def test_a_result_without_tests_is_not_complete():
    assert is_complete(result())
    assert not is_complete(result(tests={}))


def test_free_threaded_pythons_are_cells_of_their_own():
    assert python_minor({"version": "3.13.0", "abiflags": ""}) == "3.13"
    assert python_minor({"version": "3.13.0", "abiflags": "t"}) == "3.13t"


def test_the_other_blocks_of_a_cycle_are_kept_and_read_back():
    made = accept(result(finding(related=("c" * 12, "b" * 12))), None, "r")
    assert made.entries[0].related == ("b" * 12, "c" * 12)
    assert read(write(made)) == made


def test_a_partial_result_adds_to_the_blocks_of_a_cycle():
    first = accept(result(finding(related=("b" * 12,))), None, "r")
    second = accept(result(finding(related=("c" * 12,)), partial=True), first, "")
    assert second.entries[0].related == ("b" * 12, "c" * 12)


def test_a_baseline_of_before_cycles_were_kept_is_still_read():
    text = write(accept(result(finding()), None, "r")).replace("related = []\n", "")
    assert read(text).entries[0].related == ()


def test_a_finding_of_the_extension_carries_the_command_that_shows_it():
    (entry,) = accept(result(finding()), None, "looked at it").entries
    shown, _, path = entry.reproducer.partition("  # ")
    assert shown == "leakgrid check PATH --python 3.12 --pyo3 0.29.3 -- -k test_0"
    assert path == "PATH: the folder of demo, demo==VERSION, or demo where matrix.toml has it"
    assert entry.link == ""
    (entry,) = accept(result(finding(kind="lost-at-import", tests=())), None, "r").entries
    assert entry.reproducer.startswith("leakgrid check PATH --python 3.12 --pyo3 0.29.3  # PATH:")
    assert entry.reproducer.endswith("; importing it is enough")


@pytest.mark.parametrize(
    ("how", "carried"),
    [
        (Accepting("r", reproducer="while True: leak()"), ("while True: leak()", "")),
        (Accepting("r", link="https://example.org/1"), ("", "https://example.org/1")),
        (Accepting("known, see https://example.org/1"), ("", "")),
    ],
)
def test_a_reproducer_or_a_link_that_was_given_is_carried_instead(how, carried):
    (entry,) = accept(result(finding()), None, how).entries
    assert (entry.reproducer, entry.link) == carried
    assert accept(result(finding()), Baseline("demo", "3.12", "0.29.3", (entry,)), "").entries == (
        entry,
    )


def test_a_link_that_was_given_is_carried_whoever_owns_the_finding():
    found = result(finding(owner=Owner.CPYTHON))
    (entry,) = accept(found, None, Accepting("r", link="https://example.org/1")).entries
    assert entry.link == "https://example.org/1"
    (entry,) = accept(found, None, "r").entries
    assert (entry.reproducer, entry.link) == ("", "")


def test_a_finding_of_the_extension_that_no_test_shows_needs_a_reproducer_or_a_link():
    with pytest.raises(UsageError, match="no test shows it"):
        accept(result(finding(tests=())), None, "r")
    (entry,) = accept(result(finding(tests=(), owner=Owner.PYO3)), None, "r").entries
    assert (entry.reproducer, entry.link) == ("", "")


def test_only_the_chosen_findings_are_accepted():
    first = accept(result(finding("a" * 12), finding("b" * 12)), None, Accepting("r", ["b" * 12]))
    assert [entry.id[0] for entry in first.entries] == ["b"]
    second = accept(result(finding("a" * 12)), first, Accepting("s", ["a" * 12]))
    assert [(entry.id[0], entry.reason) for entry in second.entries] == [("a", "s"), ("b", "r")]


def test_comments_stay_with_the_entry_they_stand_at():
    text = write(accept(result(finding("a" * 12), finding("b" * 12)), None, "r"))
    head, first, second = text.split("[[accepted]]")
    edited = (
        head.replace("schema = 1", "# ask before you change this\nschema = 1")
        + "# the older one\n[[accepted]]"
        + first.replace('reason = "r"', '# since 0.28\nreason = "by hand"')
        + "[[accepted]]"
        + second
        + "# at the end\n"
    )
    again = write(accept(result(finding("b" * 12), finding("a" * 12)), read(edited), "new"))
    for kept in (
        "# ask before",
        "# the older one\n# since 0.28\n[[accepted]]",
        'reason = "by hand"',
    ):
        assert kept in again
    assert "# at the end\n[[accepted]]" in again
    assert write(read(again)) == again


def test_a_sharp_sign_in_a_long_string_is_no_comment():
    text = write(accept(result(finding()), None, "r"))
    edited = text.replace('reason = "r"', 'reason = """\n# no comment\n[[accepted]]"""')
    assert read(edited).notes == {}
    assert read(edited).entries[0].reason == "# no comment\n[[accepted]]"


def test_the_marks_of_a_merge_are_named_by_their_lines():
    text = write(accept(result(finding()), None, "r"))
    ours = text.replace(
        'reason = "r"', '<<<<<<< ours\nreason = "r"\n=======\nreason = "s"\n>>>>>>> x'
    )
    with pytest.raises(DataError) as caught:
        read(ours, "base/demo.toml")
    lines = [
        str(n)
        for n, line in enumerate(ours.splitlines(), 1)
        if line[:7] in ("<<<<<<<", "=======", ">>>>>>>")
    ]
    assert str(caught.value).startswith("base/demo.toml has the marks of an unfinished merge")
    assert f"line {', '.join(lines)}" in caught.value.why


def test_a_schema_of_the_future_asks_for_a_newer_leakgrid():
    with pytest.raises(DataError, match="a newer leakgrid wrote it"):
        read("schema = 2\n", "x.toml")
    for other in ("", "schema = 0\n", "schema = true\n", 'schema = "1"\n'):
        with pytest.raises(DataError, match="schema") as caught:
            read(other, "x.toml")
        assert "newer" not in str(caught.value)
