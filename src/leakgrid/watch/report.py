"""What a look saw, as text and as JSON (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from leakgrid.errors import LeakgridError
from leakgrid.registry import CrateVersion
from leakgrid.watch.reasons import Reason
from leakgrid.watch.releases import News, Release

DUE = 10
"""The exit code when a re-evaluation is due."""


@dataclass(frozen=True, slots=True)
class Report:
    """``before`` is when the last look was (empty: there was none), ``source`` who was asked
    (empty: nobody, so that a release may be due that nobody knows of).

    ``troubles`` are what could not be looked at, ``notes`` what is worth a line and asks for
    nothing.
    """

    news: News | None
    reasons: tuple[Reason, ...] = ()
    troubles: tuple[LeakgridError, ...] = ()
    notes: tuple[str, ...] = ()
    before: str = ""
    source: str = ""
    unchanged: bool = False

    @property
    def exit_code(self) -> int:
        """10 when something is due; else 3 or 4 where a source failed; else 0."""
        if self.reasons:
            return DUE
        return max((error.exit_code for error in self.troubles), default=0)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        news = self.news or News(None)
        return {
            "schema": 1,
            "due": bool(self.reasons),
            "looked": not self.troubles,
            "before": self.before,
            "source": self.source,
            "unchanged": self.unchanged,
            "newest": news.newest.version if news.newest else None,
            "new": [release.to_dict() for release in news.new],
            "proposals": [release.to_dict() for release in news.proposals],
            "yanked": list(news.yanked),
            "unyanked": list(news.unyanked),
            "reasons": [reason.to_dict() for reason in self.reasons],
            "troubles": [
                {"what": error.what, "why": error.why, "next": error.next, "code": error.exit_code}
                for error in self.troubles
            ],
            "notes": list(self.notes),
        }

    def render(self) -> str:
        """For people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.news and self.news.newest:
            newest = self.news.newest
            yield f"The newest PyO3 is {newest.version} ({_facts(newest)})."
        if self.news and self.source:
            yield from self._new(self.news)
        for error in self.troubles:
            yield f"Could not look: {error.sentence()}"
            yield from (f"  {line}" for line in error.next.splitlines())
        for note in self.notes:
            yield f"Note: {note}"
        if not self.reasons:
            yield (
                "Nothing else is known to be due."
                if self.troubles or not self.source
                else "Nothing is due: no reason to evaluate again."
            )
            return
        yield "A re-evaluation is due:"
        for reason in self.reasons:
            cells = f" [{len(reason.cells)} cells]" if reason.cells else ""
            yield f"  {reason.kind}: {reason.text}{cells}"
            yield from (f"    {line}" for line in reason.details)

    def _new(self, news: News) -> Iterator[str]:
        since = f"since the look of {self.before}" if self.before else "compared with the matrix"
        if self.unchanged:
            yield f"The index is unchanged {since}."
        elif not (news.new or news.yanked or news.unyanked):
            yield f"No release is new {since}."
        else:
            yield f"New {since}:"
        yield from (f"  {_release(release)}" for release in news.new)
        yield from (f"  {version}: yanked" for version in news.yanked)
        yield from (f"  {version}: no longer yanked" for version in news.unyanked)


def _release(release: Release) -> str:
    told = f"{release.version}: {release.kind}, {_facts(release.entry)}"
    return told if release.proposed else f"{told}; not proposed: {release.why_not}"


def _facts(entry: CrateVersion) -> str:
    published = f"of {entry.published[:10]}" if entry.published else "date unknown"
    rust = f"Rust {entry.rust_version} or newer" if entry.rust_version else "oldest Rust unknown"
    return f"{published}, {rust}"
