"""Where this leakgrid was installed from (PEP 610), so that another machine gets the same one.

The name on the package index is nobody's, so a bare ``leakgrid`` is never handed to pip: whoever
registered it would run code on other people's machines.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from leakgrid.errors import UsageError

_SCHEMES = ("git+https", "git+ssh", "git+file", "https", "file")
_ARCHIVES = (".whl", ".tar.gz", ".zip")
_FORMS = "git+https://HOST/OWNER/leakgrid@COMMIT, https://HOST/leakgrid.whl, or a folder"


def installed_from() -> str | None:
    """The source of the running installation as pip takes it, or None where nobody noted it.

    An editable installation is that of its folder. (PEP 610, "direct_url.json".)
    """
    try:
        text = importlib.metadata.distribution("leakgrid").read_text("direct_url.json")
        return _url(json.loads(text)) if text else None
    except (importlib.metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return None


def checked(source: str) -> str:
    """A source that a person gave, as an address that pip takes anywhere.

    Raises UsageError for the bare name, for what is no source, and for one with a password.
    """
    path = Path(source).expanduser()
    if path.is_dir() or (path.is_file() and source.endswith(_ARCHIVES)):
        return path.resolve().as_uri()
    if re.fullmatch(r"leakgrid(\[[^]]*\])?\s*([=<>~!].*)?", source):
        raise UsageError(
            f"{source!r} does not say where leakgrid comes from",
            why="its name on the package index is not taken, so anybody could register it",
            next=f"Give --source {_FORMS}.",
        )
    parts = urlsplit(source)
    if parts.scheme not in _SCHEMES or not (parts.netloc or parts.path) or re.search(r"\s", source):
        raise UsageError(f"{source!r} is no source of leakgrid", next=f"Give --source {_FORMS}.")
    if parts.password or (parts.username and parts.scheme != "git+ssh"):
        raise UsageError(
            "the source has a name or password in it",
            why="it would be written into files that are committed",
            next="Give it without, and let git's or pip's own configuration log in.",
        )
    return source


def requirement(source: str) -> str:
    """What pip installs leakgrid with nox from."""
    return f"leakgrid[nox] @ {source}"


def is_local(source: str) -> bool:
    """Whether only this machine can install from it."""
    return urlsplit(source).scheme in ("file", "git+file")


def _url(data: Mapping[str, Any]) -> str:
    url = str(data["url"])
    if "vcs_info" in data:
        url = f"{data['vcs_info']['vcs']}+{url}@{data['vcs_info']['commit_id']}"
    fragments = []
    if subdirectory := data.get("subdirectory"):
        fragments.append(f"subdirectory={subdirectory}")
    if found := data.get("archive_info", {}).get("hashes", {}).get("sha256"):
        fragments.append(f"sha256={found}")
    return url + ("#" + "&".join(fragments) if fragments else "")
