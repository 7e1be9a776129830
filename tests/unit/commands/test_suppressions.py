import json
from dataclasses import replace
from pathlib import Path

import pytest
from made import CELL, finding, places, result

from leakgrid import cli, suppression
from leakgrid.commands import suppressions as command
from leakgrid.commands._common import read_layers
from leakgrid.errors import ConfigError
from leakgrid.signature import Frame, Owner
from leakgrid.store import Store

OWN = Path(__file__).parents[3] / "suppressions"
NOTES = """\
# python: any
# pyo3: any
# owner: cpython
# reason: made for this test
# reference: https://docs.python.org/3/
"""
RULE = """\
{{
   {name}
   Memcheck:Leak
   match-leak-kinds: reachable
   fun:malloc
   fun:{name}_of_python
}}
"""
LATER = NOTES.replace("python: any", "python: ==3.12.*")
HAND = "# run: by-hand\n"


def rule(folder, place, name, *, notes=NOTES, proof=True):
    path = folder / "rules" / f"{place}.supp"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if path.exists() else ""
    path.write_text(before + notes + RULE.format(name=name))
    if proof:
        frames = f'frames = ["malloc", "{name}_of_python"]'
        table = f'[{name}]\nkind = "reachable"\nseen = "here"\n{frames}\n'
        stacks = path.with_suffix(".toml")
        stacks.write_text((stacks.read_text() if stacks.exists() else "") + table)
    return path


def suppressions(folder, action, *arguments):
    return cli.main(["suppressions", action, "--rules", str(folder / "rules"), *arguments])


@pytest.fixture
def layers(tmp_path):
    rule(tmp_path, "common", "everywhere")
    rule(tmp_path, "python/3.12", "of_312")
    rule(tmp_path, "python/3.13", "of_313")
    rule(tmp_path, "pyo3/0.29", "of_029")
    rule(tmp_path, "target/demo", "of_demo")
    rule(tmp_path, "python/3.12", "at_exit", notes=NOTES + HAND)
    return tmp_path


def names(folder, **cell):
    return {rule.name for rule in suppression.compose(read_layers(folder / "rules"), **cell)}


def test_a_cell_loads_the_layers_that_are_for_it_and_nothing_for_plain_runs(layers):
    assert names(layers, python="3.12", pyo3="0.29.3", target="demo") == {
        "everywhere",
        "of_312",
        "of_029",
        "of_demo",
    }
    assert names(layers, python="3.13t", pyo3="0.30.1", target="x") == {"everywhere", "of_313"}
    assert "at_exit" in names(layers, python="3.12", by_hand=True)


def test_export_writes_the_rules_of_one_cell_with_the_command_to_use_them(layers, capsys):
    cell = ["--python", "3.12", "--pyo3", "0.30.1", "--target", "demo"]
    assert suppressions(layers, "export", "--output", "-", *cell) == 0
    out = capsys.readouterr().out
    assert {r.name for r in suppression.parse(out)} == {
        "everywhere",
        "of_312",
        "of_demo",
        "at_exit",
    }
    assert "--suppressions=.valgrind.supp python -m pytest" in out


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project as ``leakgrid init`` leaves it: a folder of rules without any rule."""
    folder = tmp_path / "project"
    (folder / "suppressions").mkdir(parents=True)
    (folder / "suppressions" / "README.md").write_text("how to write a rule")
    monkeypatch.chdir(folder)
    return folder


def exported(capsys, *options):
    assert cli.main(["suppressions", "export", "--output", "-", *options]) == 0
    return suppression.parse(capsys.readouterr().out)


def test_a_project_without_rules_of_its_own_exports_those_that_leakgrid_brings(project, capsys):
    brought = {one.name for one in suppression.compose(read_layers(OWN), by_hand=True)}
    assert {one.name for one in exported(capsys)} == brought
    (project / "suppressions" / "README.md").unlink()
    (project / "suppressions").rmdir()
    assert {one.name for one in exported(capsys)} == brought


def test_rules_of_the_project_are_exported_with_those_that_leakgrid_brings(
    project, layers, capsys, monkeypatch
):
    wheel = project.parent / "site-packages" / "leakgrid"
    wheel.mkdir(parents=True)
    (layers / "rules").rename(wheel / "rules")
    monkeypatch.setattr(command, "_PACKAGE", wheel)
    path = rule(project, "common", "of_ours")
    rule(project, "python/3.12", "of_312", notes=NOTES.replace("made for", "ours, made for"))
    for file in (project / "rules").rglob("*.*"):
        place = project / "suppressions" / file.relative_to(project / "rules")
        place.parent.mkdir(exist_ok=True)
        file.rename(place)
    assert not path.exists()
    found = exported(capsys, "--python", "3.12", "--target", "demo")
    names = [one.name for one in found]
    assert sorted(names) == ["at_exit", "everywhere", "of_029", "of_312", "of_demo", "of_ours"]
    assert found[names.index("of_312")].reason == "ours, made for this test"
    alone = exported(capsys, "--rules", "suppressions")
    assert [one.name for one in alone] == ["of_ours", "of_312"]


def test_where_leakgrid_brings_no_rules_a_project_needs_a_folder(project, capsys, monkeypatch):
    monkeypatch.setattr(command, "_PACKAGE", project / "lib" / "leakgrid")
    assert exported(capsys) == ()
    monkeypatch.chdir(project.parent)
    assert cli.main(["suppressions", "export"]) == 2
    assert "--rules DIR" in capsys.readouterr().err


def test_without_any_rule_the_exported_file_says_so(tmp_path, capsys):
    (tmp_path / "rules").mkdir()
    assert suppressions(tmp_path, "export", "--output", "-") == 0
    assert "# leakgrid has no rule for this" in capsys.readouterr().out


def test_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert suppressions(tmp_path, "lint") == 2
    assert "--rules DIR" in capsys.readouterr().err


def test_our_own_rules_pass_the_lint_and_leakgrid_loads_none_of_them(capsys):
    assert cli.main(["suppressions", "lint", "--rules", str(OWN)]) == 0
    assert "no complaint" in capsys.readouterr().out
    ours = read_layers(OWN)
    assert suppression.compose(ours) == ()
    assert len(suppression.compose(ours, by_hand=True)) > 50


def test_no_rule_of_ours_matches_a_stack_with_a_frame_of_an_extension():
    own = "/x/site-packages/any/any.abi3.so"
    for layer in read_layers(OWN):
        for one in layer.rules:
            frames = layer.proofs[one.name].frames
            named = one.frames.index("...") if "..." in one.frames else len(one.frames)
            for at in range(1, min(named, len(frames))):
                planted = replace(frames[at], function="any::leak", object=own)
                stack = [*frames[:at], planted, *frames[at:]]
                kind = layer.proofs[one.name].kind
                assert not suppression.matches(one, kind, stack), (one.name, at)


@pytest.mark.parametrize(
    ("place", "name", "options", "told"),
    [
        ("python/3.11", "fresh", {"proof": False}, "has no captured stack"),
        ("pyo3/0.30", "everywhere", {}, "the name is taken by"),
        ("python/3.11", "late", {"notes": LATER}, "not those of this file"),
        ("common", "bare", {"notes": ""}, "says nothing about its reason"),
    ],
)
def test_the_lint_names_file_line_and_rule(layers, capsys, place, name, options, told):
    path = rule(layers, place, name, **options)
    assert suppressions(layers, "lint") == 2
    err = capsys.readouterr().err
    line = path.read_text().splitlines().index(f"   {name}")
    assert f"{path}:{line}: {name}: " in err
    assert told in err


def test_the_lint_refuses_double_rules_and_proofs_that_prove_nothing(layers, capsys):
    path = layers / "rules" / "common.supp"
    path.write_text(
        path.read_text()
        + NOTES
        + RULE.format(name="everywhere").replace("   everywhere\n", "   again\n")
    )
    stacks = path.with_suffix(".toml")
    stacks.write_text(
        stacks.read_text() + '[again]\nkind = "definite"\nseen = "x"\nframes = ["f"]\n'
    )
    stacks.write_text(
        stacks.read_text() + '[nobody]\nkind = "definite"\nseen = "x"\nframes = ["f"]\n'
    )
    assert suppressions(layers, "lint") == 2
    err = capsys.readouterr().err
    assert f"again: says the same as {path}:6" in err
    assert "again: does not match the captured stack" in err
    assert "nobody: is proved, but no rule" in err


@pytest.mark.parametrize("place", ["extra", "python/3", "python/3.12/more", "rust/1.90"])
def test_a_file_in_no_layer_is_refused_because_no_cell_would_load_it(layers, place):
    rule(layers, place, "lost", proof=False)
    with pytest.raises(ConfigError, match="belongs to no layer"):
        read_layers(layers / "rules")


def test_rules_loaded_together_may_not_share_a_name(layers):
    rule(layers, "target/demo", "of_312")
    with pytest.raises(ConfigError, match="share a name"):
        names(layers)


def unused(folder, *arguments):
    return suppressions(folder, "unused", *places(folder), *arguments)


def test_a_rule_without_hits_in_any_full_run_is_unused(layers, capsys):
    store = Store(layers / "store", layers / "base")
    hits = {"everywhere": 2, "of_312": 0, "of_demo": 1, "of_029": 4}
    store.save_result(CELL, result(suppressed=hits, detectors=("memcheck",)))
    other = result(suppressed={"of_313": 9}, detectors=("memcheck",), partial=True)
    store.save_result("demo/py3.13-pyo3-0.29.3", other)
    assert unused(layers, "--json", str(layers / "hits.json")) == 1
    out = capsys.readouterr().out
    assert "0 hits  of_312" in out
    assert "loaded by no stored run  of_313" in out
    assert "at_exit" not in out
    assert "5 rules, 1 runs, 2 unused" in out
    assert json.loads((layers / "hits.json").read_text())["hits"]["everywhere"] == 2


def test_without_a_full_run_nothing_is_called_unused(layers, capsys):
    store = Store(layers / "store", layers / "base")
    store.save_result(CELL, result(detectors=("growth",)))
    assert unused(layers) == 2
    assert "nothing says which rules are needed" in capsys.readouterr().err


def test_hits_of_a_plain_run_are_counted_from_its_xml(layers, capsys):
    golden = Path(__file__).parents[2] / "golden" / "valgrind" / "kinds.xml"
    assert unused(layers, "--xml", str(golden)) == 1
    assert "0 hits  at_exit" in capsys.readouterr().out


LEAK = finding(
    "a",
    owner=Owner.PYO3,
    kind="definitely-lost",
    frames=(
        Frame("malloc", "", 0, "vgpreload_memcheck.so", Owner.LIBC),
        Frame("<pyo3::err::PyErr as Drop>::drop", "pyo3/src/err.rs", 7, "demo.so", Owner.PYO3),
        Frame("PyType_FromSpec", "Objects/typeobject.c", 1, "libpython3.12.so", Owner.CPYTHON),
        Frame("???", "", 0, "libfoo.so", Owner.UNKNOWN),
    ),
)


def proposed(folder, found, *arguments):
    store = Store(folder / "store", folder / "base")
    store.save_result(CELL, result(found))
    (folder / "rules").mkdir()
    return suppressions(folder, "propose", found.id[:4], *arguments, *places(folder))


def test_a_proposed_rule_names_every_frame_and_its_cell(tmp_path, capsys):
    reasons = ["--reason", "reported", "--reference", "https://example.org/1"]
    assert proposed(tmp_path, LEAK, *reasons) == 0
    out, err = capsys.readouterr()
    (made,) = suppression.parse(out)
    assert (made.python, made.pyo3, made.leak_kinds) == ("==3.12.*", "==0.29.3", ("definite",))
    assert made.frames == (
        "fun:malloc",
        "fun:_*4pyo3*3err*5PyErr*4Drop*4drop*",
        "fun:PyType_FromSpec",
        "obj:*/libfoo.so*",
    )
    assert err == ""
    _, _, commented = out.partition(".toml file of the same name:\n")
    table = "\n".join(line.removeprefix("# ") for line in commented.splitlines())
    (proof,) = suppression.read_proofs(table).values()
    assert proof.seen == "leakgrid, Python 3.12.1, PyO3 0.29.3"
    assert suppression.matches(made, proof.kind, proof.frames)


def test_a_proposal_says_what_it_still_lacks(tmp_path, capsys):
    assert proposed(tmp_path, LEAK) == 0
    assert "not yet good: says nothing about its reason" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (replace(LEAK, owner=Owner.EXTENSION), "is the extension's own"),
        (replace(LEAK, frames=()), "no suppression can hide it"),
        (replace(LEAK, detector="refs", kind="reference"), "no suppression can hide it"),
    ],
)
def test_what_no_rule_should_or_could_hide_is_refused(tmp_path, capsys, found, told):
    assert proposed(tmp_path, found) == 2
    assert told in capsys.readouterr().err


def test_a_finding_that_is_not_stored_cannot_be_proposed(tmp_path, capsys):
    (tmp_path / "rules").mkdir()
    assert suppressions(tmp_path, "propose", "f", *places(tmp_path)) == 2
    assert "no stored finding has the id f" in capsys.readouterr().err
