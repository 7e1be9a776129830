"""Results, baselines and history on disk: every file is whole or absent, whatever kills a run.

Layout below ``root`` (``.leakgrid`` beside the matrix, kept out of git by its own .gitignore)::

    results/<target>/<cell>.json    history/<target>.jsonl
    bisect/<how>/<target>/<cell>.json

Baselines lie apart, in git: ``<baselines>/<target>/<cell>.toml``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakgrid import baseline as baselines_format
from leakgrid import nearest
from leakgrid.baseline import Baseline, measured_tests, python_minor
from leakgrid.errors import ConfigError, DataError, UsageError
from leakgrid.finding import CellResult
from leakgrid.matrix import Cell
from leakgrid.verdict import Verdict

SEARCHES = "bisect"
"""Where searches keep their results, one folder for each way to evaluate."""
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}\Z")
_LEFTOVER_AGE = 3600.0  # seconds after which a temporary file belongs to no living run


@dataclass(frozen=True, slots=True)
class Store:
    """Where one project's results and baselines lie.

    ``kept`` is the folder of the results; a search keeps its own apart from those of the cells.
    """

    root: Path
    baselines: Path
    kept: str = "results"

    def result_path(self, cell: Cell | str) -> Path:
        """The file of a cell's result. Raises UsageError where the name is no cell's name."""
        target, name = split_name(cell)
        return self.root / self.kept / target / f"{name}.json"

    def baseline_path(self, cell: Cell | str) -> Path:
        """The file of a cell's baseline. Raises UsageError where the name is no cell's name."""
        target, name = split_name(cell)
        return self.baselines / target / f"{name}.toml"

    def save_result(self, cell: Cell | str, result: CellResult) -> Path:
        """Write ``result.json`` atomically and return its path."""
        path = self.result_path(cell)
        self._prepare()
        write_atomically(path, to_json(result.to_dict()))
        return path

    def load_result(self, cell: Cell | str) -> CellResult | None:
        """The stored result, None where there is none. Raises DataError where it is broken."""
        path = self.result_path(cell)
        return read_result(path) if path.exists() else None

    def results(self) -> dict[str, CellResult]:
        """All stored results by cell name, sorted. Raises DataError at the first broken one."""
        folder = self.root / self.kept
        return {
            f"{path.parent.name}/{path.stem}": read_result(path)
            for path in sorted(folder.glob("*/*.json"))
            if not path.name.startswith(".")
        }

    def save_baseline(self, baseline: Baseline) -> Path:
        """Write a baseline atomically and return its path."""
        path = self.baseline_path(Cell(baseline.target, baseline.python, baseline.pyo3))
        write_atomically(path, baselines_format.write(baseline))
        return path

    def load_baseline(self, cell: Cell | str) -> Baseline | None:
        """The accepted findings of a cell, None where nothing was accepted yet.

        Raises DataError or ConfigError, naming the file, where it is broken or of another cell.
        """
        path = self.baseline_path(cell)
        if not path.exists():
            return None
        baseline = baselines_format.read(read_text(path), name=str(path))
        written = Cell(baseline.target, baseline.python, baseline.pyo3).name
        wanted = "/".join(split_name(cell))
        if written != wanted:
            raise ConfigError(
                f"{path} is the baseline of {written}, not of {wanted}",
                next="Put target, python and pyo3 right, or write it again: leakgrid accept.",
            )
        return baseline

    def nearest_baseline(self, cell: Cell | str) -> Baseline | None:
        """The baseline of the cell of the same target that is most like this one.

        Raises as :meth:`load_baseline` does.
        """
        target, name = split_name(cell)
        found = sorted((self.baselines / target).glob("*.toml"))
        other = nearest.nearest(name, [path.stem for path in found])
        return None if other is None else self.load_baseline(f"{target}/{other}")

    def append_history(self, cell: Cell | str, result: CellResult) -> None:
        """Add one line about an evaluated cell."""
        target, name = split_name(cell)
        self._prepare()
        path = self.root / "history" / f"{target}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(_history(f"{target}/{name}", result), sort_keys=True)
        # A line that a killed run left unfinished must not swallow this one: start a new line.
        with path.open("ab+") as file:
            torn = _ends_torn(file.fileno())
            file.write(("\n" if torn else "").encode() + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def history(self, target: str) -> Iterator[Mapping[str, Any]]:
        """The lines about a target, oldest first; lines that a killed run tore are left out."""
        path = self.root / "history" / f"{_part(target, 'target')}.jsonl"
        if not path.exists():
            return
        for line in read_text(path).splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    yield entry

    def _prepare(self) -> None:
        """Make the root, with the .gitignore that keeps it out of every repository."""
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, "*\n")


def split_name(cell: Cell | str) -> tuple[str, str]:
    """``mrrc/py3.13-pyo3-0.30.1`` -> its two parts, safe as file names.

    Raises UsageError on anything else: names come from command lines and files.
    """
    name = cell if isinstance(cell, str) else cell.name
    parts = name.split("/")
    if len(parts) != 2:
        raise UsageError(
            f"{name!r} is not a cell's name",
            next="Cells are named like mrrc/py3.13-pyo3-0.30.1; `leakgrid report` shows those with "
            "a result.",
        )
    return _part(parts[0], "target"), _part(parts[1], "cell")


def _part(text: str, what: str) -> str:
    if not _PART.match(text) or ".." in text:
        raise UsageError(
            f"{text!r} cannot be the name of a {what}",
            why="Names become files: letters, digits and . _ + - only, a letter or digit first.",
            next="Rename the target in matrix.toml, or the project in its pyproject.toml; a stored "
            "file needs the name back that it was stored under.",
        )
    return text


def read_result(path: Path) -> CellResult:
    """Read a ``result.json`` from anywhere. Raises DataError naming the file and what to do."""
    text = read_text(path)
    try:
        data = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        if not isinstance(data, dict):
            raise DataError("this is not a leakgrid result", why="it is not a JSON object")
        result = CellResult.from_dict(data)
        _require_consistent(result)
    except (ValueError, RecursionError, DataError) as error:
        reason = error.sentence() if isinstance(error, DataError) else f"not JSON: {error}"
        raise DataError(
            f"{path} cannot be read",
            why=reason,
            next="Remove the file and run its cell again (--fresh).",
        ) from error
    return result


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises DataError on a key that is there twice, as merges leave them."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise DataError("this is not a leakgrid result", why=f"the key {double!r} is there twice")
    return found


def _no_constant(word: str) -> float:
    raise DataError("this is not a leakgrid result", why=f"{word} is no number")


def _require_consistent(result: CellResult) -> None:
    """Raises DataError where parts contradict each other: one of them was lost or changed."""
    if result.verdict not in {str(verdict) for verdict in Verdict}:
        raise DataError("this is no verdict of leakgrid", why=f"verdict: {result.verdict!r}")
    for stage, spent in result.timing.items():
        for key in ("seconds", "cpu") if isinstance(spent, Mapping) else ():
            if not isinstance(spent.get(key, 0.0), (int, float)):
                raise DataError(
                    "its timing is not in numbers", why=f"timing.{stage}.{key}: {spent[key]!r}"
                )
    known = {finding.id for finding in result.findings}
    for word in ("new", "changed", "known"):
        for name in result.comparison.get(word, ()):
            if name not in known:
                raise DataError(
                    "its findings are not complete",
                    why=f"comparison.{word} names {name}, which is none of them",
                )


def to_json(data: Mapping[str, Any]) -> str:
    """JSON as leakgrid stores it: two spaces, UTF-8 (lone surrogates escaped), no NaN."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a test's parameter may hold any code unit
        text = json.dumps(data, indent=2, allow_nan=False)
    return text + "\n"


def write_atomically(path: Path, text: str) -> None:
    """Write a whole file or none: a temporary file beside it, fsync, then rename over it.

    Raises OSError translated to DataError where the disk or the permissions refuse it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        handle, temporary = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
        )
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would hide results from other CI steps
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_directory(path.parent)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written",
            why=error.strerror or str(error),
            next="Free space or mend the permissions of its directory, then run again.",
        ) from error


def _sweep(path: Path) -> None:
    """Remove what killed runs left behind of this very file."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE:
                leftover.unlink()


def _sync_directory(folder: Path) -> None:
    """Make the rename itself durable where the system can (Linux, macOS)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_text(path: Path) -> str:
    """A file of text. Raises DataError naming it where it is not readable, or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read",
            why=str(error),
            next="Mend its permissions or contents, or remove it and make it again.",
        ) from error


def _ends_torn(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return size > 0 and os.pread(handle, 1, size - 1) != b"\n"


def _history(cell: str, result: CellResult) -> dict[str, Any]:
    stages = [stage for stage in result.timing.values() if isinstance(stage, Mapping)]
    return {
        "cell": cell,
        "python": python_minor(result.python),
        "pyo3": result.pyo3,
        "started": result.started,
        "fingerprint": result.fingerprint,
        "verdict": result.verdict,
        "partial": result.partial,
        "tests": measured_tests(result.tests),
        "findings": len(result.findings),
        "counts": {word: len(ids) for word, ids in result.comparison.items()},
        "cpu": round(sum(float(stage.get("cpu", 0.0)) for stage in stages), 2),
    }
