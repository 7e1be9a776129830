"""HTTP as the watcher uses it: bounded in time and size, tried again, never guessed at."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
import urllib3

from leakgrid import __version__
from leakgrid.errors import LeakgridError, NotEvaluated, NotTrusted, UsageError

USER_AGENT = f"leakgrid/{__version__}"
SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of one answer; the index entry of a crate with a hundred versions has some 200 kB."""
_CHUNK = 64 * 1024
_PASSING = frozenset({429, 500, 502, 503, 504})


class CouldNotLook(LeakgridError):
    """A service gave no answer: offline, refused, limited, failing or too slow (exit code 3).

    ``status`` is the HTTP status, 0 where there was none.
    """

    exit_code = NotEvaluated.exit_code

    def __init__(self, what: str, *, why: str = "", next: str = "", status: int = 0) -> None:
        super().__init__(what, why=why, next=next)
        self.status = status


class Distrusted(LeakgridError):
    """A service answered something that cannot be believed (exit code 4)."""

    exit_code = NotTrusted.exit_code


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of status 200 to 299, or 304 with an empty body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self, who: str) -> Any:
        """The body as JSON. Raises Distrusted where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise Distrusted(
                f"{who} did not answer with JSON",
                why=str(error),
                next="A proxy may have answered instead; try again, or give another address.",
            ) from error


class _Passing(Exception):
    """A trouble that may be over at the next try; ``after`` is the server's wish in seconds."""

    def __init__(self, error: LeakgridError, after: float | None = None) -> None:
        super().__init__(error.what)
        self.error = error
        self.after = after

    @property
    def nothing_done(self) -> bool:
        """Whether the server said that it did not even begin: it limits how often it is asked."""
        return getattr(self.error, "status", 0) in (403, 429)


@dataclass(frozen=True, slots=True)
class Client:
    """How to ask. All times are seconds.

    ``connect`` limits the connection, ``silence`` the time without a byte, ``total`` one try.
    A try that fails in passing is repeated ``tries`` times in all, after ``pause``, doubled each
    time, or after what the server asks for if that is at most ``patience``.
    """

    connect: float = 10.0
    silence: float = 20.0
    total: float = 60.0
    tries: int = 4
    pause: float = 1.0
    patience: float = 60.0
    size: int = SIZE_LIMIT
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def ask(
        self,
        method: str,
        url: str,
        who: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        repeatable: bool = True,
    ) -> Answer:
        """The answer of ``who`` (a name for messages).

        A request that is not ``repeatable`` is tried again only where the server said that it did
        nothing. Raises CouldNotLook, Distrusted, and UsageError for an address that is none.
        """
        pause = self.pause
        for left in range(self.tries - 1, -1, -1):
            try:
                return self._once(method, url, who, headers or {}, data)
            except _Passing as passing:
                wait = pause if passing.after is None else passing.after
                again = repeatable or passing.nothing_done
                if not (left and again) or wait > self.patience:
                    raise passing.error from passing
                self.sleep(wait)
                pause *= 2
        raise AssertionError("the last try either answers or raises")

    def _once(
        self,
        method: str,
        url: str,
        who: str,
        headers: Mapping[str, str],
        data: Any,
    ) -> Answer:
        deadline = self.clock() + self.total
        try:
            with requests.Session() as session:
                # Without an auth of its own requests sends what ~/.netrc has for the host.
                session.auth = _no_auth
                session.max_redirects = 5
                response = session.request(
                    method,
                    url,
                    headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                    json=data,
                    timeout=(self.connect, self.silence),
                    stream=True,
                )
                with response:
                    body = self._body(response, who, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _translated(error, who, url) from error
        return _judged(response, body, who)

    def _body(self, response: requests.Response, who: str, deadline: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            parts.append(chunk)
            size += len(chunk)
            if size > self.size:
                raise Distrusted(
                    f"{who} answers with more than {self.size} bytes",
                    why="nothing that is asked for here is that large",
                    next="Check the address; a proxy may have answered instead.",
                )
            if self.clock() > deadline:
                raise _Passing(_too_slow(who, f"the answer was not whole after {self.total:g} s"))
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and "Content-Encoding" not in response.headers:
            missing = int(announced) - size
            if missing > 0 and response.request.method != "HEAD" and response.status_code != 304:
                raise _Passing(_cut_off(who, f"{missing} of {announced} bytes are missing"))
        return b"".join(parts)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _translated(error: Exception, who: str, url: str) -> Exception:
    """What went wrong on the way, as an error of leakgrid or one that passes."""
    found: LeakgridError
    invalid = requests.exceptions.InvalidURL | requests.exceptions.MissingSchema
    if isinstance(error, invalid | requests.exceptions.InvalidSchema):
        return UsageError(
            f"{url!r} is not an address of {who}", why=str(error), next="Write http(s)://HOST/."
        )
    if isinstance(error, requests.exceptions.SSLError):
        return CouldNotLook(
            f"{who} cannot be asked over TLS",
            why=_root(error),
            next="Check the address and the certificates that this machine trusts "
            "(REQUESTS_CA_BUNDLE).",
        )
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return CouldNotLook(f"{who} redirects in circles", next="Check the address.")
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        found = _too_slow(who, _root(error))
    elif isinstance(error, urllib3.exceptions.IncompleteRead | urllib3.exceptions.ProtocolError):
        found = _cut_off(who, _root(error))
    else:
        found = CouldNotLook(
            f"{who} cannot be reached",
            why=_root(error),
            next="Check the network, proxy and address, and run the same command again.",
        )
    return _Passing(found)


def _judged(response: requests.Response, body: bytes, who: str) -> Answer:
    status = response.status_code
    if 200 <= status < 300 or status == 304:
        return Answer(status, body, dict(response.headers))
    said = _message(body)
    why = f"it answers {status} {response.reason}" + (f": {said}" if said else "")
    after = _retry_after(response.headers.get("Retry-After", ""))
    if status in _PASSING or (status == 403 and after is not None):
        wish = f" in {after:g} seconds" if after is not None else " later"
        what = "limits how often it may be asked" if status in (403, 429) else "fails"
        raise _Passing(
            CouldNotLook(
                f"{who} {what}",
                why=why,
                next=f"Run the same command again{wish}; nothing is lost.",
                status=status,
            ),
            after,
        )
    raise CouldNotLook(
        f"{who} refuses to answer",
        why=why,
        next="Check the address, and the token's permissions where one is needed.",
        status=status,
    )


def _message(body: bytes) -> str:
    """The ``message`` of a JSON error, as GitHub and OSV write it; empty for anything else."""
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return " ".join(str(said).split())[:200]


def _retry_after(text: str) -> float | None:
    """Seconds, of a number or an HTTP date (RFC 9110, section 10.2.3)."""
    if text.strip().isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _too_slow(who: str, why: str) -> CouldNotLook:
    return CouldNotLook(
        f"{who} is too slow", why=why, next="Run the same command again; nothing is lost."
    )


def _cut_off(who: str, why: str) -> Distrusted:
    return Distrusted(
        f"the answer of {who} is cut off",
        why=why,
        next="Run the same command again; nothing was taken from it.",
    )


def _root(error: BaseException) -> str:
    """The innermost cause, without the addresses of objects."""
    while True:
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if not isinstance(inner, BaseException) or inner is error:
            break
        error = inner
    text = str(error).rpartition(">: ")[2]
    return text or type(error).__name__
