"""One issue for each PyO3 version, through GitHub's REST API (docs.github.com/rest/issues).

An issue is known by a hidden marker in its body, so that a changed title makes no second one. Body
and state change in one request, so that a run that dies between two requests repeats nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from leakgrid.errors import UsageError
from leakgrid.finding import CellResult
from leakgrid.registry import CrateVersion
from leakgrid.verdict import worst
from leakgrid.watch.http import Client, CouldNotLook, Distrusted
from leakgrid.watch.reasons import Reason

DEFAULT = "https://api.github.com"
_WHO = "GitHub"
_MARKER = re.compile(r"<!-- leakgrid: pyo3 (?P<version>[0-9A-Za-z.+-]+) -->")
_TOLD = re.compile(r"```text\n.*?\n```\n", re.DOTALL)
_TABLE = "| cell | verdict | reason |"
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
_PAGES = 200


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue as it is now."""

    number: int
    version: str
    open: bool
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Wish:
    """The issue of ``version`` as it should be: ``closed`` where the cells have their verdict."""

    version: str
    title: str
    body: str
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Tracker:
    """A repository's issues. ``token`` needs ``issues: write``; ``api`` is that of the server."""

    repository: str
    token: str
    api: str = DEFAULT
    client: Client = field(default_factory=Client)

    def marked(self, since: str = "") -> dict[str, Issue]:
        """The first issue with a marker of each version; those touched after ``since`` (ISO 8601).

        Raises CouldNotLook, Distrusted, UsageError.
        """
        found: dict[str, Issue] = {}
        for item in self._pages(since):
            try:
                body = str(item["body"] or "")
                marker = _MARKER.search(body)
                if marker is None or "pull_request" in item:
                    continue
                version = marker["version"]
                state = str(item["state"]) == "open"
                issue = Issue(int(item["number"]), version, state, str(item["title"]), body)
            except (KeyError, TypeError, ValueError) as error:
                raise _strange(error) from error
            known = found.get(version)
            if known is None or issue.number < known.number:
                found[version] = issue
        return found

    def apply(self, wishes: Sequence[Wish], since: str = "", *, dry: bool = False) -> list[str]:
        """Open and update what is needed, and say in a line each what was done.

        An issue that somebody closed stays closed. With ``dry`` nothing is changed; without a token
        the existing issues are then not looked at. Raises as :meth:`marked`.
        """
        known = self.marked(since) if self.token or not dry else {}
        lines = (self._fulfil(wish, known.get(wish.version), dry) for wish in wishes)
        return [line for told in lines for line in told]

    def _fulfil(self, wish: Wish, issue: Issue | None, dry: bool) -> Iterator[str]:
        if issue is None:
            if wish.closed:
                return
            if dry:
                yield f"would open an issue: {wish.title}"
                yield from (f"  {line}" for line in wish.body.splitlines())
                return
            made = self._send("POST", "", {"title": wish.title, "body": wish.body}, False)
            yield f"opened #{made.get('number', '?')}: {wish.title}"
            return
        name = f"#{issue.number} ({issue.title})"
        body = _with_what_was_told(wish.body, issue.body)
        if not issue.open:
            yield f"{name} is closed and stays as it is"
        elif wish.closed:
            if not dry:
                change = {"body": body, "state": "closed", "state_reason": "completed"}
                self._send("PATCH", f"/{issue.number}", change)
            yield f"{'would close' if dry else 'closed'} {name} with its verdict"
        elif _plain(issue.body) == _plain(body):
            yield f"{name} says it already"
        else:
            if not dry:
                self._send("PATCH", f"/{issue.number}", {"body": body})
            yield f"{'would update' if dry else 'updated'} {name}"

    def _pages(self, since: str) -> Iterator[Mapping[str, Any]]:
        query = {"state": "all", "sort": "created", "direction": "asc", "per_page": "100"}
        if since:
            query["since"] = since
        for page in range(1, _PAGES + 1):
            url = f"{self._url()}?{urlencode({**query, 'page': str(page)})}"
            answer = self.client.ask("GET", url, _WHO, headers=self._headers())
            items = answer.json(_WHO)
            if not isinstance(items, list):
                raise _strange(TypeError("a list of issues was expected"))
            yield from items
            links = next((v for k, v in answer.headers.items() if k.lower() == "link"), "")
            if 'rel="next"' not in links:
                return
        raise CouldNotLook(
            f"{self.repository} has more than {_PAGES * 100} issues to look through",
            next="Open the issue by hand; `leakgrid watch --issue --dry-run` prints it.",
        )

    def _send(
        self, method: str, path: str, data: Mapping[str, str], repeatable: bool = True
    ) -> Mapping[str, Any]:
        answer = self.client.ask(
            method,
            self._url() + path,
            _WHO,
            headers=self._headers(),
            data=dict(data),
            repeatable=repeatable,
        )
        made = answer.json(_WHO)
        if not isinstance(made, dict):
            raise _strange(TypeError("an issue was expected"))
        return made

    def _url(self) -> str:
        if not _REPOSITORY.fullmatch(self.repository):
            raise UsageError(
                f"{self.repository!r} is no repository" if self.repository else "no repository",
                next="Give --repository OWNER/NAME, or set GITHUB_REPOSITORY.",
            )
        return f"{self.api.rstrip('/')}/repos/{self.repository}/issues"

    def _headers(self) -> dict[str, str]:
        if not self.token:
            raise UsageError(
                "issues need a token",
                next="Set GITHUB_TOKEN (in a workflow: permissions issues: write), "
                "or use --dry-run.",
            )
        return {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }


def wish(
    version: str,
    entry: CrateVersion | None,
    reasons: Sequence[Reason],
    cells: Sequence[str],
    results: Mapping[str, CellResult],
) -> Wish:
    """The issue of a version: closed with its verdict once each of its ``cells`` has a result."""
    title = f"PyO3 {version}: does it leak?"
    measured = {name: results[name] for name in cells if name in results}
    done = bool(cells) and len(measured) == len(cells)
    lines = [f"<!-- leakgrid: pyo3 {version} -->"]
    if done:
        lines += [f"**Verdict: {worst(item.verdict for item in measured.values())}**", ""]
    if entry is not None:
        published = entry.published[:10] if entry.published else "unknown"
        lines += [f"PyO3 {version}, published: {published}; ", ""]
        lines[-2] += f"oldest Rust: {entry.rust_version or 'unknown'}."
    told = [line for reason in reasons for line in (reason.text, *reason.details)]
    if told:
        # In a code block changelog lines notify nobody and link to nothing.
        lines += ["```text", *(line.replace("```", "'''") for line in told), "```", ""]
    if cells:
        lines += [_TABLE, "|---|---|---|"]
        lines += [_row(name, measured.get(name)) for name in cells]
    return Wish(version, title, "\n".join(lines).rstrip() + "\n", done)


def _row(name: str, result: CellResult | None) -> str:
    if result is None:
        return f"| `{name}` | not evaluated yet | |"
    reason = re.sub(r"[|`<>@\s]+", " ", result.reason)
    return f"| `{name}` | {result.verdict} | {reason} |"


def _with_what_was_told(body: str, before: str) -> str:
    """The new body with the longer of both lists of reasons: a later look may see less of them."""
    old, new = _TOLD.search(_plain(before)), _TOLD.search(body)
    if old is None or (new is not None and len(new[0]) >= len(old[0])):
        return body
    if new is not None:
        return body.replace(new[0], old[0], 1)
    return body.replace(_TABLE, f"{old[0]}\n{_TABLE}", 1)


def _plain(body: str) -> str:
    """GitHub stores bodies with its own line ends."""
    return body.replace("\r\n", "\n").strip()


def _strange(error: Exception) -> Distrusted:
    return Distrusted(
        f"{_WHO} answers in a way unknown here",
        why=f"{type(error).__name__}: {error}",
        next="Check the address (--github-api URL, GITHUB_API_URL).",
    )
