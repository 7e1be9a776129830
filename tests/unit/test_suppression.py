from pathlib import Path

import pytest

from leakgrid.errors import ConfigError
from leakgrid.signature import RawFrame
from leakgrid.suppression import Rule, applicable, hit_counts, lint, matches, parse, render

PASSED_ON = """
# PyO3 arena allocator (thread-local storage)
# Safe: intentional design pattern
{
   pyo3_arena_leak
   Memcheck:Leak
   match-leak-kinds: reachable
   fun:malloc
   fun:pthread_once
   ...
   fun:PyInit_*
}

# Python module initialization
{
   pyo3_module_init
   Memcheck:Leak
   match-leak-kinds: reachable
   fun:malloc
   fun:PyModule_Create2
   ...
}
"""

GOOD = """
# python: >=3.9,<3.12
# pyo3: any
# owner: cpython
# reason: interned once per process, never freed
# reference: https://docs.python.org/3/c-api/unicode.html
{
   cpython_interned
   Memcheck:Leak
   match-leak-kinds: reachable
   fun:malloc
   fun:init_interned_dict
}
"""


def stack(*functions: str) -> list[RawFrame]:
    return [RawFrame(function, "/usr/lib/libpython3.12.so.1.0") for function in functions]


def rule(*frames: str, kind: str = "Leak", kinds: tuple[str, ...] = ()) -> Rule:
    return Rule("r", "Memcheck", kind, frames, kinds)


def complaints(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for complaint in lint(parse(text)):
        found[complaint.rule] = found.get(complaint.rule, "") + complaint.text + "\n"
    return found


def test_a_rule_is_read_with_its_metadata_and_line():
    (read,) = parse(GOOD)
    assert read.name == "cpython_interned"
    assert (read.python, read.pyo3, read.owner) == (">=3.9,<3.12", "any", "cpython")
    assert read.leak_kinds == ("reachable",)
    assert read.frames == ("fun:malloc", "fun:init_interned_dict")
    assert read.line == 7


def test_metadata_of_one_rule_does_not_reach_the_next():
    _, second = parse(GOOD + PASSED_ON.partition("initialization")[2])
    assert second.name == "pyo3_module_init"
    assert second.reason == ""


def test_a_param_rule_keeps_its_detail():
    (read,) = parse("{\n n\n Memcheck:Param\n write(buf)\n fun:write\n}\n")
    assert read.detail == "write(buf)"
    assert read.frames == ("fun:write",)


def test_every_fault_is_told_with_its_line():
    with pytest.raises(ConfigError) as caught:
        parse(
            "junk\n{\n a\n Memcheck\n fun:f\n}\n"
            "{\n b\n Memcheck:Leak\n match-leak-kinds: sure\n bad line\n}\n"
            "{\n c\n Memcheck:Cond\n match-leak-kinds: all\n fun:f\n}\n{\n d\n"
        )
    told = "\n".join(caught.value.faults)
    for line in (1, 4, 10, 11, 16, 19):
        assert f"line {line}:" in told


def test_a_name_that_is_taken_is_a_fault_because_hits_count_by_name():
    with pytest.raises(ConfigError, match="is taken"):
        parse(GOOD + GOOD)


def test_a_wrong_version_specifier_is_a_fault():
    with pytest.raises(ConfigError, match="python: 'three'"):
        parse(GOOD.replace(">=3.9,<3.12", "three"))


def test_more_frames_than_valgrind_takes_are_a_fault():
    with pytest.raises(ConfigError, match="25 frames"):
        parse("{\n n\n Memcheck:Leak\n" + " fun:f\n" * 25 + "}\n")


def test_a_good_rule_raises_no_complaint():
    assert lint(parse(GOOD)) == ()


def test_the_arena_rule_that_is_passed_on_is_refused():
    told = complaints(PASSED_ON)["pyo3_arena_leak"]
    assert "no arena allocator" in told
    assert "PyInit_*" in told
    assert "'...' above" in told
    for key in ("python", "pyo3", "owner", "reason", "reference"):
        assert f"nothing about its {key}" in told


def test_the_module_rule_that_is_passed_on_is_refused():
    told = complaints(PASSED_ON)["pyo3_module_init"]
    assert "ends at PyModule_Create2" in told
    assert "nothing about its reference" in told


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        (["..."], "hides everything"),
        (["fun:malloc", "..."], "hides everything"),
        (["fun:malloc", "fun:*"], "hides everything"),
        (["fun:malloc", "obj:*.so"], "hides everything"),
        (["fun:malloc", "obj:*site-packages*.so", "fun:init_sys"], "frames of the extension"),
        (["fun:malloc", "fun:*", "fun:init_interned_dict"], "frames of the extension"),
        (["fun:malloc", "...", "fun:init_interned_dict"], "'...' above"),
        (["fun:malloc", "fun:pyo3::err::take"], "mangled"),
    ],
)
def test_rules_that_could_hide_a_leak_of_the_extension_are_refused(frames, told):
    text = GOOD.replace("   fun:malloc\n   fun:init_interned_dict\n", "\n".join(frames) + "\n")
    assert told in complaints(text)["cpython_interned"]


def test_a_rule_without_leak_kinds_is_refused_because_it_hides_definite_leaks():
    text = GOOD.replace("   match-leak-kinds: reachable\n", "")
    assert "definite" in complaints(text)["cpython_interned"]


def test_a_rule_for_the_extension_itself_is_refused():
    text = GOOD.replace("owner: cpython", "owner: extension")
    assert "baseline" in complaints(text)["cpython_interned"]


def test_patterns_match_a_prefix_of_the_stack_from_the_innermost_frame():
    frames = stack("malloc", "PyList_New", "main")
    assert matches(rule("fun:malloc", "fun:PyList_New"), "definite", frames)
    assert not matches(rule("fun:PyList_New"), "definite", frames)
    assert not matches(rule("fun:malloc", "fun:main"), "definite", frames)


def test_wildcards_and_ellipsis_match_as_in_valgrind():
    frames = stack("malloc", "a", "b", "PyList_New")
    assert matches(rule("fun:m*c", "...", "fun:PyList_Ne?"), "definite", frames)
    assert matches(rule("...", "fun:malloc"), "definite", frames)
    assert matches(rule("fun:malloc", "...", "...", "fun:b"), "definite", frames)
    assert not matches(rule("fun:[m]alloc"), "definite", frames)
    assert not matches(rule("fun:malloc", "...", "fun:c"), "definite", frames)


def test_an_ellipsis_does_not_reach_back_before_what_is_matched():
    assert not matches(rule("fun:a", "fun:b", "...", "fun:a"), "definite", stack("a", "b"))


def test_objects_and_sources_match():
    frames = [RawFrame("f", "/x/libpython3.12.so.1.0", "/src/Objects", "listobject.c", 12)]
    assert matches(rule("obj:*/libpython3*"), "definite", frames)
    assert matches(rule("src:listobject.c"), "definite", frames)
    assert matches(rule("src:listobject.c:12"), "definite", frames)
    assert not matches(rule("src:listobject.c:13"), "definite", frames)


def test_leak_kinds_limit_a_rule():
    frames = stack("malloc")
    limited = rule("fun:malloc", kinds=("reachable", "possible"))
    assert matches(limited, "Leak_StillReachable", frames)
    assert matches(limited, "possible", frames)
    assert not matches(limited, "Leak_DefinitelyLost", frames)
    assert matches(rule("fun:malloc", kinds=("all",)), "definite", frames)
    assert not matches(rule("fun:malloc", kinds=("none",)), "definite", frames)


def test_kinds_of_memory_errors_match():
    frames = stack("address_in_range")
    assert matches(rule("fun:address_in_range", kind="Addr4"), "InvalidRead", frames)
    assert matches(rule("fun:address_in_range", kind="Cond"), "UninitCondition", frames)
    assert not matches(rule("fun:address_in_range", kind="Addr4"), "Addr8", frames)
    assert not matches(rule("fun:address_in_range", kind="Leak"), "InvalidRead", frames)


def test_a_mangled_rust_pattern_matches_the_demangled_frame():
    frames = stack("malloc", "pyo3::err::PyErr::take")
    assert matches(rule("fun:malloc", "fun:_ZN4pyo33err5PyErr4take17h*"), "definite", frames)
    assert not matches(rule("fun:malloc", "fun:_ZN4pyo33err5PyErr4give17h*"), "definite", frames)


def test_only_rules_for_this_python_and_pyo3_apply():
    rules = parse(GOOD)
    assert applicable(rules, "3.11.7", "0.30.1") == rules
    assert applicable(rules, "3.12.1", "0.30.1") == ()
    assert applicable([Rule("r", "Memcheck", "Leak", ("fun:f",))], "3.14t", "0.31.0-beta.1")


def test_hits_add_up_over_files_and_rules_without_hits_are_named():
    rules = parse(GOOD)
    assert hit_counts(
        rules, [("cpython_interned", 2), ("cpython_interned", 3), ("dl-hack", 9)]
    ) == {"cpython_interned": 5}
    assert hit_counts(rules, []) == {"cpython_interned": 0}


def test_render_is_read_back_to_the_same_rules():
    text = GOOD + "{\n n\n Memcheck:Param\n write(buf)\n obj:*/libc.so.6\n ...\n fun:write\n}\n"
    rules = parse(text)
    assert parse(render(rules)) == rules


def test_every_rule_that_leakgrid_ships_passes_its_own_lint():
    folder = Path(__file__).parents[2] / "suppressions"
    assert (folder / "README.md").is_file()
    for file in sorted(folder.glob("*/*.supp")):
        assert lint(parse(file.read_text(encoding="utf-8"), file.name)) == ()


def test_the_rule_in_the_readme_passes_the_lint():
    text = (Path(__file__).parents[2] / "suppressions" / "README.md").read_text(encoding="utf-8")
    (example,) = [block for block in text.split("```") if "# owner:" in block]
    assert lint(parse(example)) == ()
