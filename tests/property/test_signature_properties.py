from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from leakgrid.finding import Finding
from leakgrid.signature import (
    Origins,
    Owner,
    RawFrame,
    cause_key,
    clean_function,
    clean_object,
    normalise,
    owner_of,
    signature_id,
    story,
)

word = st.from_regex(r"[a-z][a-z0-9_]{1,8}", fullmatch=True)
hexes = st.text("0123456789abcdef", min_size=16, max_size=16)
folder = st.lists(word, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
version = st.tuples(*[st.integers(0, 99)] * 3).map(lambda v: ".".join(map(str, v)))

# Names made of the very pieces that normalisation looks for, in any order.
pieces = st.sampled_from(
    ["::", "<", ">", "demo", "f", "::h0123456789abcdef", "[0123456789abcdef]", ".llvm.12", ".cold",
     ".part.0", "{{closure}}", "{closure#1}", "{impl#3}", "@@GLIBC_2.2", "$LT$", "$u20$", "..",
     "_R", "Cs12_", "4demo", "0x12ab", "???", " ", "{", "}", "$", "L", "T", "[clone .cold]"]
)  # fmt: skip
messy = st.lists(pieces, max_size=8).map("".join) | st.text(max_size=30)


class Machine:
    """One machine's paths for the same stacks."""

    def __init__(self, root: str, home: str, index: str, rustc: str, python: str) -> None:
        self.root, self.python = root + "/stage", python
        self.cargo = f"{home}/.cargo/registry/src/index-{index}"
        self.rustc = f"/rustc/{rustc}"
        self.object = f"{root}/venv/lib/site-packages/demo/demo.cpython-312-x86_64-linux-gnu.so"
        self.origins = Origins(frozenset({self.object}), (self.root,))

    def frame(self, kind: str, name: str, line: int, hashed: str) -> RawFrame:
        if kind == "own":
            return RawFrame(f"demo::{name}::h{hashed}", self.object, self.root, "src/a.rs", line)
        if kind == "pyo3":
            place = f"{self.cargo}/pyo3-0.29.3"
            return RawFrame(f"pyo3::{name}::h{hashed}", self.object, place, "src/b.rs", line)
        if kind == "crate":
            place = f"{self.cargo}/smallvec-1.16.6"
            return RawFrame(f"smallvec::{name}", self.object, place, "src/lib.rs", line)
        if kind == "std":
            return RawFrame(f"alloc::{name}", self.object, self.rustc, "library/alloc/a.rs", line)
        library = f"{self.python}/lib/libpython3.12.so.1.0"
        return RawFrame(f"{name}.llvm.{line}", library, f"{self.python}/Objects", "o.c", line)


machines = st.builds(Machine, folder, folder, hexes, hexes, folder)
plans = st.lists(
    st.tuples(st.sampled_from(["own", "pyo3", "crate", "std", "py"]), word), min_size=1, max_size=12
)


def build(machine: Machine, plan, line: int, hashed: str):
    raw = [machine.frame(kind, name, line, hashed) for kind, name in plan]
    return normalise(raw, machine.origins)


@given(messy)
def test_cleaning_a_function_twice_changes_nothing(name):
    assert clean_function(clean_function(name)) == clean_function(name)


@given(messy)
def test_a_clean_function_is_one_line_and_never_empty(name):
    clean = clean_function(name)
    assert clean
    assert "\n" not in clean


@given(folder, word, st.sampled_from([".so", ".so.1", ".abi3.so", ".cpython-312-x86_64.so"]))
def test_cleaning_an_object_twice_changes_nothing(directory, name, suffix):
    clean = clean_object(f"{directory}/{name}{suffix}")
    assert clean_object(clean) == clean
    assert "/" not in clean


@given(machines, plans, st.integers(1, 9999), hexes)
def test_normalising_twice_changes_nothing(machine, plan, line, hashed):
    once = build(machine, plan, line, hashed)
    again = [RawFrame(frame.function, frame.object, "", frame.file, frame.line) for frame in once]
    origins = Origins(frozenset({"demo.so"}), ())
    assert [(f.function, f.file, f.object) for f in normalise(again, origins)] == [
        (f.function, f.file, f.object) for f in once
    ]


@given(
    machines, machines, plans, st.integers(1, 9999), st.integers(1, 9999), hexes, hexes
)  # fmt: skip
def test_nothing_of_the_machine_reaches_the_id_the_owner_or_the_story(
    one, two, plan, line, other_line, hashed, other_hash
):
    here = build(one, plan, line, hashed)
    there = build(two, plan, other_line, other_hash)
    assert signature_id("memcheck", "leak", here) == signature_id("memcheck", "leak", there)
    assert owner_of(here) == owner_of(there)
    assert [replace(f, line=0) for f in story(here)] == [replace(f, line=0) for f in story(there)]


@given(machines, plans, word, word)
def test_other_functions_of_the_extension_give_another_id(machine, plan, name, other):
    assume(name != other)
    one = build(machine, [*plan, ("own", name)], 1, "0" * 16)
    two = build(machine, [*plan, ("own", other)], 1, "0" * 16)
    assume(one[-2:-1] == () or one[-2].function not in (one[-1].function, two[-1].function))
    assert signature_id("memcheck", "leak", one) != signature_id("memcheck", "leak", two)


@given(machines, plans, version, version)
def test_versions_in_file_names_do_not_reach_the_cause(machine, plan, before, after):
    frames = build(machine, plan, 1, "0" * 16)

    def key(pyo3: str) -> str:
        moved = tuple(
            replace(frame, file=frame.file.replace("pyo3-0.29.3", f"pyo3-{pyo3}"))
            for frame in frames
        )
        finding = Finding("memcheck", "leak", "0" * 12, Owner.UNKNOWN, ("t",), frames=moved)
        return cause_key(finding)

    assert key(before) == key(after)


@given(machines, plans)
def test_an_owner_is_always_one_whose_frames_are_there(machine, plan):
    frames = build(machine, plan, 1, "0" * 16)
    found = owner_of(frames)
    assert found is Owner.UNKNOWN or found in {frame.owner for frame in frames}
