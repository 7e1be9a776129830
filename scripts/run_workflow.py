#!/usr/bin/env python3
"""Run the steps of a workflow on this machine, one after the other, and leave the same files.

    python scripts/run_workflow.py [WORKFLOW] --out DIR [--cells N] [--input NAME=VALUE]
                                   [--checkout DIR] [--skip STEP]

WORKFLOW is .github/workflows/memory-safety-pyo3.yml by default. The commands are read from its
`run:` steps, so that the two cannot differ; of its `uses:` steps checkout becomes a clone,
artifacts become folders in DIR/artifacts, and setup-python is left to the Pythons of this machine.
Jobs of a matrix run one by one, the first N of them (default: 2). DIR has to be new, empty, or of
an earlier run, whose files are removed; it gets artifacts/, summary.md, outputs/ and a log of each
step. GITHUB_TOKEN, GITHUB_API_URL and GITHUB_REPOSITORY are passed on; without a token and a
repository no issue is opened: `--issue` is left out of the commands. The exit code is 1 when a step
failed that may not (a cell fails for its own verdict, and that may be).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "memory-safety-pyo3.yml"
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_FOLDERS = ("artifacts", "outputs", "logs")


@dataclass(slots=True)
class Run:
    """One run: where everything lies, and what jobs and steps have put out so far."""

    out: Path
    checkout: Path
    inputs: Mapping[str, str]
    environ: Mapping[str, str]
    cells: int
    skipped: Sequence[str]
    needs: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def artifacts(self) -> Path:
        """Where upload-artifact puts things."""
        return self.out / "artifacts"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every job in the order of its needs; returns the exit code."""
    options = _options(arguments)
    workflow = YAML(typ="safe").load(options.workflow.read_text(encoding="utf-8"))
    out = options.out.resolve()
    _clear(out, with_checkout=options.checkout is None)
    for name in _FOLDERS:
        (out / name).mkdir(parents=True)
    run = Run(
        out=out,
        checkout=(options.checkout or out / "checkout").resolve(),
        inputs=dict(options.input),
        environ={name: str(value) for name, value in workflow.get("env", {}).items()},
        cells=options.cells,
        skipped=options.skip,
    )
    if not run.checkout.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(run.checkout)], check=True)
    for name in _ordered(workflow["jobs"]):
        _job(run, name, workflow["jobs"][name])
    for line in (f"failed: {item}" for item in run.failed):
        print(line, file=sys.stderr)
    return 1 if run.failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("workflow", nargs="?", type=Path, default=WORKFLOW)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="a new or empty folder, or one of an earlier run, whose files are removed",
    )
    parser.add_argument(
        "--cells",
        type=_count,
        default=2,
        metavar="N",
        help="run the first N jobs of a matrix only (default: 2)",
    )
    parser.add_argument(
        "--input",
        type=_pair,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an input of workflow_dispatch, such as tag=quick (repeatable)",
    )
    parser.add_argument("--checkout", type=Path, metavar="DIR", help="default: a new clone")
    parser.add_argument("--skip", action="append", default=[], metavar="STEP", help="by its name")
    options = parser.parse_args(arguments)
    if not _may_clear(options.out):
        parser.error(
            f"--out {options.out}: it is not empty, and this script did not make it (it would "
            f"have {', '.join(_FOLDERS)}); name a new or empty folder"
        )
    return options


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of jobs")
    return int(text)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _may_clear(out: Path) -> bool:
    """Whether nothing of anybody else lies there: no folder, an empty one, an earlier run's."""
    if not out.exists():
        return True
    if not out.is_dir():
        return False
    return not any(out.iterdir()) or all((out / name).is_dir() for name in _FOLDERS)


def _clear(out: Path, *, with_checkout: bool) -> None:
    """Remove what an earlier run left, by its names: nothing else, and no checkout of others."""
    for name in (*_FOLDERS, "checkout") if with_checkout else _FOLDERS:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
    (out / "summary.md").unlink(missing_ok=True)


def _ordered(jobs: Mapping[str, Any]) -> Iterator[str]:
    done: set[str] = set()
    while ready := [name for name in jobs if name not in done and set(_needs(jobs[name])) <= done]:
        yield ready[0]
        done.add(ready[0])


def _needs(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _job(run: Run, name: str, job: Mapping[str, Any]) -> None:
    """A job, or each job of its matrix on what looks like a fresh machine."""
    context = {"needs": run.needs, "inputs": run.inputs}
    if not _true(str(job.get("if", "true")), context):
        print(f"== {name}: skipped", flush=True)
        return
    matrix = job.get("strategy", {}).get("matrix")
    rows = json.loads(_text(matrix, context))["include"] if matrix else [{}]
    for row in rows[: run.cells] if matrix else rows:
        # Results reach the next job as artifacts or not at all.
        shutil.rmtree(run.checkout / ".leakgrid" / "results", ignore_errors=True)
        title = f"{name}-{row['id']}" if row else name
        run.needs[name] = _steps(run, title, job, {**context, "matrix": row})


def _steps(run: Run, title: str, job: Mapping[str, Any], context: dict[str, Any]) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    github = {
        name: os.environ.get(f"GITHUB_{name.upper()}", "") for name in ("token", "repository")
    }
    context = {**context, "steps": steps, "github": github}
    failed = False
    for number, step in enumerate(job["steps"], 1):
        name = step.get("name") or step.get("uses", "").partition("@")[0] or step["run"].strip()
        condition = str(step.get("if", "success()"))
        cleanup = "cancelled()" in condition or "always()" in condition
        if (failed and not cleanup) or name in run.skipped or not _true(condition, context):
            print(f"== {title}: {name}: skipped", flush=True)
            continue
        print(f"== {title}: {name}", flush=True)
        outputs: dict[str, str] = {}
        log = run.out / "logs" / f"{title}-{number:02}.log"
        if "uses" in step:
            code = _uses(run, step, context)
        else:
            code, outputs = _shell(run, step, {**job.get("env", {})}, context, log)
        if "id" in step:
            steps[step["id"]] = {"outputs": outputs}
        if code:
            print(f"   exit code {code}, see {log}", flush=True)
            if not step.get("continue-on-error"):
                failed = True
    if failed and not context["matrix"]:
        run.failed.append(title)
    made = {key: _text(value, context) for key, value in job.get("outputs", {}).items()}
    return {"outputs": made, "result": "failure" if failed else "success"}


def _shell(
    run: Run,
    step: Mapping[str, Any],
    job_environ: Mapping[str, Any],
    context: Mapping[str, Any],
    log: Path,
) -> tuple[int, dict[str, str]]:
    """A ``run:`` step as the runner starts it: ``bash -e`` in the checkout."""
    outputs = run.out / "outputs" / log.stem
    outputs.touch()
    given = {**run.environ, **job_environ, **step.get("env", {})}
    environ = {
        **os.environ,
        **{name: _text(str(value), context) for name, value in given.items()},
        "CI": "true",
        "GITHUB_OUTPUT": str(outputs),
        "GITHUB_STEP_SUMMARY": str(run.out / "summary.md"),
        "GITHUB_WORKSPACE": str(run.checkout),
    }
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.call(
            ["bash", "-e", "-c", _command(_text(step["run"], context))],
            cwd=run.checkout,
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    lines = outputs.read_text(encoding="utf-8").splitlines()
    return code, dict(line.split("=", 1) for line in lines if "=" in line)


def _command(text: str) -> str:
    """A step's command; where issues cannot be opened, without opening any."""
    if os.environ.get("GITHUB_TOKEN") and os.environ.get("GITHUB_REPOSITORY"):
        return text
    left = re.sub(r" --issue\b", "", text)
    if left != text:
        print("   without --issue: GITHUB_TOKEN or GITHUB_REPOSITORY is not set", flush=True)
    return left


def _uses(run: Run, step: Mapping[str, Any], context: Mapping[str, Any]) -> int:
    """What an action does, as far as this workflow relies on it."""
    action = step["uses"].partition("@")[0]
    plain = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in step.get("with", {}).items()
    }
    given = {name: _text(value, context) for name, value in plain.items()}
    if action == "actions/upload-artifact":
        return _upload(run, given)
    if action == "actions/download-artifact":
        return _download(run, given)
    if action in ("actions/checkout", "actions/setup-python"):
        return 0
    raise SystemExit(f"run_workflow does not know what {action} does")


def _upload(run: Run, given: Mapping[str, str]) -> int:
    source, to = run.checkout / given["path"], run.artifacts / given["name"]
    if any(part.startswith(".") for part in Path(given["path"]).parts) and (
        given.get("include-hidden-files") != "true"
    ):
        print(f"   {given['path']} is hidden, and hidden files are left out")
        return 0
    if source.is_dir():
        shutil.copytree(source, to, dirs_exist_ok=True)
    elif source.is_file():
        to.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, to)
    else:
        print(f"   there is no {given['path']}")
        return int(given.get("if-no-files-found") == "error")
    return 0


def _download(run: Run, given: Mapping[str, str]) -> int:
    to = run.checkout / given.get("path", ".")
    if "name" in given:
        shutil.copytree(run.artifacts / given["name"], to, dirs_exist_ok=True)
    for found in sorted(run.artifacts.glob(given.get("pattern", ""))) if "pattern" in given else ():
        shutil.copytree(found, to / found.name, dirs_exist_ok=True)
    return 0


def _text(template: str, context: Mapping[str, Any]) -> str:
    return _EXPRESSION.sub(lambda match: str(_value(match[1], context)), template)


def _true(condition: str, context: Mapping[str, Any]) -> bool:
    """A condition of ``&&``, ``==``, ``!=`` and the status functions; no run here is cancelled."""
    match = _EXPRESSION.fullmatch(condition.strip())
    for part in (match[1] if match else condition).split("&&"):
        text = part.strip()
        if text in ("true", "success()", "always()", "!cancelled()"):
            continue
        left, operator, right = re.split(r"\s*(==|!=)\s*", text)
        if (_value(left, context) == _value(right, context)) != (operator == "=="):
            return False
    return True


def _value(expression: str, context: Mapping[str, Any]) -> Any:
    """A quoted text, ``fromJSON(...)`` (kept as its text), or a path such as ``matrix.name``."""
    if expression.startswith("'"):
        return expression.strip("'")
    if call := re.fullmatch(r"fromJSON\((.*)\)", expression):
        return _value(call[1], context)
    value: Any = context
    for name in expression.split("."):
        value = value.get(name, "") if isinstance(value, Mapping) else ""
    return value


if __name__ == "__main__":
    sys.exit(main())
