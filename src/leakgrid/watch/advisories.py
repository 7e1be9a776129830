"""Security advisories for a crate, from OSV's API (https://google.github.io/osv.dev/api/).

RustSec's data is among what OSV collects, so one question has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from leakgrid.registry import sort_key
from leakgrid.watch.http import Client, Distrusted

DEFAULT = "https://api.osv.dev"
_WHO = "the advisory service"
_PAGES = 20


@dataclass(frozen=True, slots=True)
class Span:
    """Versions from ``introduced`` up to, but not, ``fixed``, or up to and with ``last``."""

    introduced: str = "0"
    fixed: str = ""
    last: str = ""

    def __contains__(self, version: str) -> bool:
        key = sort_key(version)
        if self.introduced != "0" and key < sort_key(self.introduced):
            return False
        if self.fixed:
            return key < sort_key(self.fixed)
        return not self.last or key <= sort_key(self.last)


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advisory; ``modified`` is an ISO 8601 time in UTC."""

    id: str
    summary: str
    modified: str
    aliases: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    versions: tuple[str, ...] = ()

    def affects(self, version: str) -> bool:
        """Whether it speaks of this version."""
        return version in self.versions or any(version in span for span in self.spans)


def ask(crate: str, address: str, client: Client) -> tuple[Advisory, ...]:
    """Every advisory about ``crate``, each once. Raises CouldNotLook, Distrusted."""
    question: dict[str, Any] = {"package": {"purl": f"pkg:cargo/{crate}"}}
    found: list[Advisory] = []
    for _ in range(_PAGES):
        answer = client.ask("POST", f"{address.rstrip('/')}/v1/query", _WHO, data=question)
        data = answer.json(_WHO)
        try:
            found += [_advisory(item, crate) for item in data.get("vulns", ())]
            token = data.get("next_page_token")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Distrusted(
                f"{_WHO} answers in a way unknown here",
                why=f"{type(error).__name__}: {error}",
                next="Update leakgrid, or check the address (--advisories URL).",
            ) from error
        if not token:
            return _unique(found)
        question["page_token"] = token
    raise Distrusted(f"{_WHO} has more than {_PAGES} pages about {crate}", next="Try again later.")


def _advisory(item: Mapping[str, Any], crate: str) -> Advisory:
    spans: list[Span] = []
    versions: list[str] = []
    for affected in item.get("affected", ()):
        if affected["package"]["name"] != crate:
            continue
        versions += [str(version) for version in affected.get("versions", ())]
        for reach in affected.get("ranges", ()):
            if reach["type"] != "GIT":
                spans += _spans(reach["events"])
    if item.get("withdrawn"):
        spans, versions = [], []
    return Advisory(
        id=str(item["id"]),
        summary=" ".join(str(item.get("summary") or item.get("details") or "").split())[:160],
        modified=str(item["modified"]),
        aliases=tuple(str(name) for name in item.get("aliases", ())),
        spans=tuple(spans),
        versions=tuple(versions),
    )


def _spans(events: Iterable[Mapping[str, str]]) -> list[Span]:
    """OSV's events in order: each ``introduced`` opens a span, the next other event ends it."""
    spans: list[Span] = []
    start: str | None = None
    for event in events:
        if "introduced" in event:
            start = str(event["introduced"])
        elif start is not None and ("fixed" in event or "last_affected" in event):
            fixed, last = str(event.get("fixed", "")), str(event.get("last_affected", ""))
            spans.append(Span(start, fixed, last))
            start = None
    return spans if start is None else [*spans, Span(start)]


def _unique(found: Iterable[Advisory]) -> tuple[Advisory, ...]:
    """The same matter has an id in each database that OSV collects: the first by name stays."""
    kept: list[Advisory] = []
    told: set[str] = set()
    for item in sorted(found, key=lambda item: (not item.id.startswith("RUSTSEC"), item.id)):
        if item.id not in told and not told & set(item.aliases):
            kept.append(item)
            told |= {item.id, *item.aliases}
    return tuple(kept)
