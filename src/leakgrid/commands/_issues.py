"""What commands that keep issues share: their options, and the tracker."""

from __future__ import annotations

import argparse
import os

from leakgrid.watch import issue
from leakgrid.watch.http import Client


def add_issue(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare ``--issue`` and where the repository is; ``what`` heads them in the help."""
    group = parser.add_argument_group(what)
    group.add_argument(
        "--issue",
        action="store_true",
        help="open, update or close it; the token is taken from $GITHUB_TOKEN or $GH_TOKEN",
    )
    group.add_argument("--dry-run", action="store_true", help="only say what would be done")
    group.add_argument(
        "--repository", metavar="OWNER/NAME", help="default: $GITHUB_REPOSITORY", default=""
    )
    group.add_argument(
        "--github-api",
        metavar="URL",
        default="",
        help=f"default: $GITHUB_API_URL, else {issue.DEFAULT}",
    )


def tracker(options: argparse.Namespace, client: Client) -> issue.Tracker:
    """The tracker that the options and the environment name."""
    return issue.Tracker(
        repository=options.repository or os.environ.get("GITHUB_REPOSITORY", ""),
        token=os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN") or "",
        api=options.github_api or os.environ.get("GITHUB_API_URL") or issue.DEFAULT,
        client=client,
    )
