"""What the index says of a crate now: over HTTP where its address is known, else through cargo.

The address comes from ``--index``, the environment, or cargo's configuration. Where cargo uses the
index that it was built with, a git index, or one that wants a login, cargo is asked: it knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leakgrid import registry
from leakgrid.errors import DataError, LeakgridError
from leakgrid.registry import CrateVersion
from leakgrid.watch.http import Client, CouldNotLook, Distrusted

CARGO = "cargo"
"""In place of an address: ask cargo."""
_WHO = "the crate index"


@dataclass(frozen=True, slots=True)
class Validators:
    """What a conditional request sends back (RFC 9110, section 13): only to the same ``url``."""

    url: str = ""
    etag: str = ""
    modified: str = ""

    def headers(self, url: str) -> dict[str, str]:
        """The request's headers; none for another address."""
        if url != self.url:
            return {}
        found = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen. ``source`` names who was asked; ``unchanged`` is true after a 304."""

    versions: tuple[CrateVersion, ...]
    source: str
    unchanged: bool = False
    validators: Validators = field(default_factory=Validators)


def look(
    crate: str,
    address: str,
    client: Client,
    *,
    known: tuple[CrateVersion, ...] = (),
    validators: Validators | None = None,
) -> Look:
    """Every version of ``crate``. ``address`` is that of a sparse index, or :data:`CARGO`.

    ``known`` is what the last look saw: an unchanged answer stands for it, and an answer that
    lacks some of it is not believed. Raises CouldNotLook, Distrusted.
    """
    if address == CARGO:
        found = _through_cargo(crate)
    else:
        try:
            found = _over_http(crate, address, client, known, validators or Validators())
        except CouldNotLook as error:
            if error.status != 401:
                raise
            found = _through_cargo(crate)
    seen = {entry.version for entry in found.versions}
    lost = [entry.version for entry in known if entry.version not in seen]
    if lost or not seen:
        raise Distrusted(
            f"{_WHO} has lost versions of {crate}: {', '.join(lost[:5]) or 'all'}",
            why="an index only ever grows, so the answer is cut off or of another index",
            next="Run the same command again; after a change of the index remove the state file.",
        )
    return found


def _through_cargo(crate: str) -> Look:
    try:
        listing = registry.lookup(crate)
    except LeakgridError as error:
        raise CouldNotLook(error.what, why=error.why, next=error.next) from error
    if not listing.fresh:
        raise CouldNotLook(
            f"{_WHO} could not be asked through cargo",
            why=listing.note,
            next="Check the network and cargo's configuration, and run the same command again.",
        )
    return Look(listing.versions, "cargo")


def _over_http(
    crate: str,
    address: str,
    client: Client,
    known: tuple[CrateVersion, ...],
    validators: Validators,
) -> Look:
    url = f"{address.removeprefix('sparse+').rstrip('/')}/{registry.index_path(crate)}"
    conditions = validators.headers(url) if known else {}
    answer = client.ask("GET", url, _WHO, headers=conditions)
    if answer.status == 304:
        return Look(known, url, unchanged=True, validators=validators)
    try:
        versions = registry.parse_index(answer.body, crate)
    except DataError as error:
        raise Distrusted(
            f"{_WHO} answers something else than its entry of {crate}",
            why=error.why,
            next="Check the address; a proxy may have answered, or the answer is cut off.",
        ) from error
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Look(
        versions,
        url,
        validators=Validators(url, headers.get("etag", ""), headers.get("last-modified", "")),
    )
