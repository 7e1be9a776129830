"""The workflows of this repository and the one that ``leakgrid init`` writes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / ".github" / "workflows"
WRITTEN = ROOT / "src" / "leakgrid" / "scaffold" / "workflow.yml"
ALL = [*sorted(OWN.glob("*.yml")), WRITTEN]
NIGHTLY = [OWN / "memory-safety-pyo3.yml", WRITTEN]


def read(path: Path):
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_tag(path):
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))

    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use) for use in used)


def test_one_action_has_one_commit_everywhere():
    used = {use for path in ALL for use in re.findall(r"uses: (\S+)", path.read_text())}

    assert len({use.partition("@")[0] for use in used}) == len(used)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_every_job_has_its_own_permissions_and_a_time_limit(path):
    workflow = read(path)

    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert set(job["permissions"]) >= {"contents"}
        assert job["timeout-minutes"]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_no_value_from_outside_is_pasted_into_a_script(path):
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", NIGHTLY, ids=lambda path: str(path.parent.name))
def test_the_nightly_matrix_blocks_nothing_and_can_be_started_by_hand(path):
    assert set(read(path)["on"]) == {"schedule", "workflow_dispatch"}


@pytest.mark.parametrize("path", NIGHTLY, ids=lambda path: str(path.parent.name))
def test_hidden_folders_are_uploaded_as_such(path):
    """upload-artifact leaves hidden files out unless it is told otherwise."""
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            given = step.get("with", {})
            if step.get("uses", "").startswith("actions/upload-artifact") and "/." in (
                "/" + given["path"]
            ):
                assert given["include-hidden-files"] is True


def test_both_nightly_workflows_have_the_same_jobs_and_hand_on_the_same_files():
    one, other = (read(path)["jobs"] for path in NIGHTLY)

    assert list(one) == list(other)
    for name in one:
        assert handed(one[name]) == handed(other[name])


def handed(job) -> list[dict]:
    return [step["with"] for step in job["steps"] if "-artifact@" in step.get("uses", "")]


def test_the_steps_of_a_workflow_run_locally_with_its_outputs_and_artifacts(tmp_path):
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(
        r"""
env: {GREETING: hello}
jobs:
  last:
    needs: [plan, cells]
    if: ${{ !cancelled() && needs.plan.outputs.jobs != '0' }}
    steps:
      - uses: actions/download-artifact@0
        with: {pattern: result-*, path: all}
      - run: cat all/*/* >> "$GITHUB_STEP_SUMMARY"
  none:
    needs: plan
    if: needs.plan.outputs.jobs == '0'
    steps: [{run: exit 1}]
  cells:
    needs: plan
    strategy: {matrix: "${{ fromJSON(needs.plan.outputs.plan) }}"}
    steps:
      - env: {NAME: "${{ matrix.id }}"}
        run: |
          mkdir -p .leakgrid/results
          echo "$GREETING $NAME" > ".leakgrid/results/$NAME"
          test "$NAME" != two
      - run: echo not after a failure >> "$GITHUB_STEP_SUMMARY"
      - uses: actions/upload-artifact@0
        if: ${{ !cancelled() }}
        with: {name: "result-${{ matrix.id }}", path: .leakgrid/results, include-hidden-files: true}
  plan:
    outputs:
      plan: ${{ steps.plan.outputs.plan }}
      jobs: ${{ steps.plan.outputs.jobs }}
    steps:
      - id: plan
        run: |
          list='[{"id": "one"}, {"id": "two"}, {"id": "three"}]'
          echo "plan={\"include\": $list}" >> "$GITHUB_OUTPUT"
          echo "jobs=3" >> "$GITHUB_OUTPUT"
"""
    )
    (tmp_path / "checkout").mkdir()
    command = [sys.executable, str(ROOT / "scripts" / "run_workflow.py"), str(workflow)]
    command += ["--out", str(tmp_path / "out"), "--checkout", str(tmp_path / "checkout")]

    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert summary == "not after a failure\nhello one\nhello two\n"
    assert (tmp_path / "out" / "artifacts" / "result-two" / "two").exists()
    assert not (tmp_path / "out" / "artifacts" / "result-two" / "one").exists()
