import re
import stat

import pytest
from services import entry, running

from leakgrid import cli
from leakgrid.commands import init as command
from leakgrid.errors import Unsupported
from leakgrid.matrix import load
from leakgrid.toolchain.interpreters import Interpreter

SOURCE = "git+https://example.org/leakgrid@0123456789abcdef"
FILES = (
    "noxfile.py",
    "matrix.toml",
    "suppressions/README.md",
    ".github/workflows/memory-safety-pyo3.yml",
)
PYPROJECT = '[project]\nname = "shelf"\nrequires-python = ">=3.10"\n'
CARGO = '[package]\nname = "shelf"\n[dependencies]\npyo3 = "0.29"\n'
LOCK = 'version = 4\n[[package]]\nname = "pyo3"\nversion = "0.29.3"\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "shelf"
    (folder / "src").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "Cargo.toml").write_text(CARGO)
    (folder / "Cargo.lock").write_text(LOCK)
    monkeypatch.setattr(command.pyo3, "supported_pythons", lambda _: ((3, 8), (3, 13)))
    monkeypatch.setattr(command.interpreters, "discover", lambda: python("3.14.0", "3.13.1"))
    return folder


def python(*versions: str, threaded: bool = False) -> tuple[Interpreter, ...]:
    return tuple(
        Interpreter(f"/{version}", version, "", "cpython", False, threaded) for version in versions
    )


@pytest.fixture(autouse=True)
def index(monkeypatch):
    with running() as services:
        services.entries = [entry("0.28.3"), entry("0.29.3"), entry("0.30.1")]
        monkeypatch.setenv("LEAKGRID_INDEX", services.url + "/index/")
        yield services


def init(project, *arguments: str) -> int:
    return cli.main(["init", str(project), "--source", SOURCE, *arguments])


def written(project) -> set[str]:
    own = {"pyproject.toml", "Cargo.toml", "Cargo.lock"}
    found = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    return found - own


def test_a_project_gets_all_it_needs(project, capsys):
    assert init(project) == 0

    assert written(project) == set(FILES)
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"wrote       {name}" for name in FILES]
    assert told.err == "Now: nox -s valgrind\n"


def test_the_matrix_has_the_locked_and_the_newest_pyo3_with_one_python(project):
    init(project)

    matrix = load(project / "matrix.toml")
    assert matrix.default_target == "shelf"
    assert (matrix.pythons, matrix.pyo3) == (("3.13",), ("0.29.3", "0.30.1"))
    assert (matrix.watch.python, matrix.watch.pyo3) == (">=3.10", ">=0.29")


def test_the_noxfile_says_where_leakgrid_comes_from(project):
    init(project)

    text = (project / "noxfile.py").read_text()
    assert f'"leakgrid[nox] @ {SOURCE}"' in text
    compile(text, "noxfile.py", "exec")
    everything = "".join((project / name).read_text() for name in FILES)
    assert not re.search(r"install[^\n]*\bleakgrid\b", everything)


def test_nothing_is_overwritten_and_what_is_left_alone_is_named(project, capsys):
    (project / "matrix.toml").write_text("# mine\n")
    (project / "suppressions").mkdir()
    (project / "suppressions" / "README.md").symlink_to("nowhere")

    assert init(project) == 0

    assert (project / "matrix.toml").read_text() == "# mine\n"
    assert capsys.readouterr().out.splitlines()[2:] == [
        "left alone  matrix.toml",
        "left alone  suppressions/README.md",
    ]


def test_a_second_time_changes_nothing(project, capsys):
    init(project)
    before = {name: (project / name).read_bytes() for name in FILES}
    capsys.readouterr()

    assert init(project) == 0
    assert {name: (project / name).read_bytes() for name in FILES} == before
    assert capsys.readouterr().out.splitlines() == [f"left alone  {name}" for name in FILES]


def test_beside_somebody_elses_noxfile_it_has_its_own(project, capsys):
    (project / "noxfile.py").write_text("import nox\n")

    assert init(project) == 0

    assert (project / "noxfile.py").read_text() == "import nox\n"
    assert "leakgrid.nox" in (project / "noxfile-leakgrid.py").read_text()
    assert "NOXFILE: noxfile-leakgrid.py\n" in (project / FILES[3]).read_text()
    told = capsys.readouterr()
    assert "left alone  noxfile.py" in told.out
    assert "Now: nox -f noxfile-leakgrid.py -s valgrind" in told.err


def test_without_a_known_source_it_asks_for_one_and_writes_nothing(project, monkeypatch, capsys):
    monkeypatch.setattr(command.provenance, "installed_from", lambda: None)

    assert cli.main(["init", str(project)]) == 2
    assert "--source" in capsys.readouterr().err
    assert written(project) == set()


@pytest.mark.parametrize("name", ["leakgrid", "leakgrid==0.1.0"])
def test_the_bare_name_is_never_written(project, name, capsys):
    assert init(project, "--source", name) == 2
    assert "anybody could register it" in capsys.readouterr().err
    assert written(project) == set()


def test_a_source_of_this_machine_is_said_not_to_do_for_ci(project, tmp_path, capsys):
    assert init(project, "--source", str(tmp_path)) == 0

    assert f"leakgrid[nox] @ {tmp_path.as_uri()}" in (project / "noxfile.py").read_text()
    assert "For CI and for others" in capsys.readouterr().err


def test_offline_the_locked_pyo3_stands_alone(project, monkeypatch, capsys):
    monkeypatch.setattr(command.index, "look", refuse)

    assert init(project) == 0
    assert load(project / "matrix.toml").pyo3 == ("0.29.3",)
    assert "the newest PyO3 is not known" in capsys.readouterr().err


def test_offline_without_a_lock_nothing_is_written(project, monkeypatch):
    monkeypatch.setattr(command.index, "look", refuse)
    (project / "Cargo.lock").unlink()

    assert init(project) == 3
    assert written(project) == set()


def refuse(*_: object) -> None:
    raise Unsupported("the index does not answer")


def test_a_yanked_lock_is_left_out(project, index, capsys):
    index.entries = [entry("0.29.3", yanked=True), entry("0.30.1")]

    assert init(project) == 0
    assert load(project / "matrix.toml").pyo3 == ("0.30.1",)
    assert "PyO3 0.29.3, which is yanked" in capsys.readouterr().err


def test_the_lock_of_the_workspace_around_it_counts(project):
    (project / "Cargo.lock").rename(project.parent / "Cargo.lock")

    init(project)

    assert load(project / "matrix.toml").pyo3 == ("0.29.3", "0.30.1")


def test_what_is_asked_for_is_taken(project):
    assert init(project, "--python", "3.11", "--python", "3.12", "--pyo3", "0.28.3") == 0

    matrix = load(project / "matrix.toml")
    assert (matrix.pythons, matrix.pyo3) == (("3.11", "3.12"), ("0.28.3",))


def test_a_wrong_version_is_refused_before_anything_is_written(project, capsys):
    assert init(project, "--pyo3", ">=0.28") == 2
    assert "is not a full version" in capsys.readouterr().err
    assert written(project) == set()


@pytest.mark.parametrize(
    "found", [(), python("3.14.1"), python("3.9.2"), python("3.13.0", threaded=True)]
)
def test_without_a_python_that_fits_the_matrix_names_one_to_install(
    project, monkeypatch, capsys, found
):
    monkeypatch.setattr(command.interpreters, "discover", lambda: found)

    assert init(project) == 0
    assert load(project / "matrix.toml").pythons == ("3.13",)
    assert "once it is installed" in capsys.readouterr().err


def test_a_folder_without_pyo3_is_refused(tmp_path, project, capsys):
    (project / "Cargo.toml").write_text('[package]\nname = "shelf"\n')

    assert init(project) == 2
    assert "does not depend on PyO3" in capsys.readouterr().err
    assert init(tmp_path / "nowhere") == 2


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("pyproject.toml", "project = 'x'", "project: a table is required"),
        ("pyproject.toml", "tool = 3", "tool: a table is required"),
        ("Cargo.toml", "package = 'x'", "package: a table is required"),
        ("Cargo.toml", "dependencies = 3", "dependencies: a table is required"),
        ("Cargo.toml", "[dependencies]\npyo3 = 3", "dependencies.pyo3: a version or a table"),
        ("Cargo.lock", "<<<<<<< ours\n", "Cargo.lock cannot be read"),
    ],
)
def test_a_broken_file_of_the_project_is_named_and_nothing_is_written(
    project, capsys, file, text, told
):
    (project / file).write_text(text)

    assert init(project) == 2
    said = capsys.readouterr().err
    assert f"shelf/{file}" in said
    assert told in said
    assert "Traceback" not in said
    assert written(project) == set()


def test_a_folder_that_cannot_be_written_is_an_error_with_a_next_step(project, capsys, monkeypatch):
    def full(path, _text):
        raise Unsupported(f"{path.name} cannot be written")

    monkeypatch.setattr(command, "write_atomically", full)

    assert init(project) == 3
    assert "cannot be written" in capsys.readouterr().err


def test_inside_a_repository_the_workflow_has_to_move(project, capsys):
    (project.parent / ".git").mkdir()

    init(project)

    assert "move .github/workflows/memory-safety-pyo3.yml" in capsys.readouterr().err


def test_what_it_writes_is_readable_for_others(project):
    init(project)

    assert all(stat.S_IMODE((project / name).stat().st_mode) == 0o644 for name in FILES)
