"""One call of GitHub's API: sent with a time-out, repeated where that is safe, its failures translated.

How long to wait is GitHub's to say: `Retry-After`, else `x-ratelimit-reset` where nothing remains, else at least a
minute for a secondary limit ("Best practices for using the REST API", GitHub Docs). A write that is not idempotent is
never repeated blindly: after a time-out, a broken connection or a 5xx nobody knows whether it took effect, so the
caller looks first (`Transport.create`).
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Never, TypeVar
from urllib.parse import urlsplit

from passmuster import __version__
from passmuster.errors import Refused, Unavailable, UsageError

if TYPE_CHECKING:
    import requests

T = TypeVar("T")

#: No answer in JSON is longer; a hundred comments of full length are seven million bytes.
LONGEST_ANSWER = 32 * 2**20
_CHUNK = 64 * 2**10

#: GitHub answers so where something on its way failed; the call may have taken effect.
_BROKEN = frozenset({408, *range(500, 600)})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class NotThere(Refused):
    """GitHub has no such thing, or does not show it to this token."""


class MissingPermission(Unavailable):
    """The token may not do that; the message names the permission."""


class Rejected(Unavailable):
    """GitHub understood the call and does not accept it."""


class Uncertain(Unavailable):
    """A write failed on its way; it may have taken effect."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often and how long a call is tried; times in seconds."""

    attempts: int = 5
    longest: float = 600.0  #: of all waits of one call together
    connect: float = 10.0
    read: float = 60.0  #: without a byte
    whole: float = 600.0  #: for one answer or download, however steadily it comes
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: parsed JSON, or None where there is no body; headers in lower case."""

    status: int
    headers: Mapping[str, str]
    data: Any
    next_page: str | None = None


def open_session() -> requests.Session:
    """Return a session that sends no password of the user's `.netrc`."""
    import requests

    session = requests.Session()
    session.auth = _as_it_is
    return session


class Transport:
    """Calls of the API at `base_url`, with a token or without."""

    def __init__(
        self,
        base_url: str,
        token: str | None,
        *,
        patience: Patience | None = None,
        session: Callable[[], requests.Session] = open_session,
    ) -> None:
        """Check the address; nothing is sent.

        Raises:
            UsageError: `base_url` is not HTTPS, which only this machine's own address may do without.
        """
        where = urlsplit(base_url)
        if where.scheme != "https" and where.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise UsageError(f"GITHUB_API_URL is {base_url!r}: a token is sent over HTTPS only")
        self.base_url = base_url.rstrip("/")
        self._token = token
        self._patience = patience or Patience()
        self._open = session
        self._session: requests.Session | None = None

    def get(self, path: str, *, needs: str, query: Mapping[str, str] | None = None) -> Any:
        """Return what stands at `path`."""
        return self.send("GET", path, needs=needs, query=query).data

    def pages(
        self, path: str, *, needs: str, query: Mapping[str, str] | None = None, key: str | None = None
    ) -> Iterator[Any]:
        """Yield the items of a list, page after page, each id once although lists move while they are read.

        Args:
            path: of the list.
            needs: the permission that it takes.
            query: parameters.
            key: where an answer holds its items; None: the answer is the list.
        """
        seen: set[object] = set()
        answer = self.send("GET", path, needs=needs, query={**(query or {}), "per_page": "100"})
        while True:
            for item in read(answer.data, lambda data: list(data[key] if key else data)):
                ident = item.get("id") if isinstance(item, dict) else None
                if ident is None or ident not in seen:
                    seen.add(ident)
                    yield item
            if answer.next_page is None:
                return
            answer = self.send("GET", self._own(answer.next_page), needs=needs)

    def create(self, make: Callable[[], T], look: Callable[[], T | None]) -> T:
        """Return what `make` made; where that is uncertain, what `look` finds, and only else is it made again."""
        for attempt in range(self._patience.attempts - 1):
            try:
                return make()
            except Uncertain:
                self._patience.sleep(_backoff(attempt))
                if (found := look()) is not None:
                    return found
        return make()

    def send(
        self,
        method: str,
        path: str,
        *,
        needs: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        idempotent: bool = True,
        redirect: bool = False,
    ) -> Answer:
        """Send one call until it is answered.

        Args:
            method: HTTP's.
            path: from "/", quoted, or with a query of its own.
            needs: the permission that the call takes, as a workflow writes it, e.g. "checks: write".
            query: parameters.
            body: sent as JSON.
            idempotent: whether the call may be sent again where nobody knows whether it took effect.
            redirect: whether a redirect is an answer; it is never followed.

        Raises:
            NotThere: 404 or 410.
            MissingPermission: the token may not.
            Rejected: another 4xx.
            Uncertain: it failed on its way, and is not idempotent.
            Unavailable: it failed on its way as often as `Patience` allows, or GitHub asks to wait longer.
        """
        import requests

        waited, what = 0.0, ""
        for attempt in range(self._patience.attempts):
            try:
                answer = self._once(method, path, query, body)
            except (requests.RequestException, OSError, ValueError) as exc:
                failure, wait, lost = _reason(exc), _backoff(attempt), True
            else:
                if answer.status < 300 or (redirect and answer.status in _REDIRECTS):
                    return answer
                failure, lost = f"{answer.status}: {_message(answer)}", answer.status in _BROKEN
                limited = _wait_asked(answer, attempt, self._patience.now())
                if limited is None and not lost:
                    _refuse(method, path, answer, needs)
                wait = _backoff(attempt) if limited is None else limited
            what = f"GitHub's API, {method} {path.partition('?')[0]}, failed ({failure})"
            if lost and not idempotent:
                raise Uncertain(f"{what}; it may have taken effect")
            waited += wait
            if waited > self._patience.longest:
                raise Unavailable(f"{what} and asks to wait {wait:.0f} s; run this again later")
            if attempt + 1 < self._patience.attempts:
                self._patience.sleep(wait)
        raise Unavailable(f"{what}, {self._patience.attempts} times; run this again later")

    def download(self, path: str, *, needs: str, limit: int) -> bytes:
        """Return a file that the API redirects to; the token stays here, and no more than `limit` bytes are read.

        Raises:
            Refused: it is longer than `limit` bytes.
            Unavailable: it can't be had.
        """
        import requests

        for attempt in range(self._patience.attempts):
            where = self._location(path, needs)  # signed anew each time: it is good for a minute
            try:
                return self._fetch(where, limit)
            except (requests.RequestException, OSError) as exc:
                failure = type(exc).__name__  # its text would hold the signed address
                if attempt + 1 < self._patience.attempts:
                    self._patience.sleep(_backoff(attempt))
        raise Unavailable(
            f"GitHub's storage, for {path}, failed ({failure}), {self._patience.attempts} times; run this again later"
        )

    def _once(self, method: str, path: str, query: Mapping[str, str] | None, body: Mapping[str, Any] | None) -> Answer:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": f"passmuster/{__version__}",
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._session is None:
            self._session = self._open()
        with self._session.request(
            method,
            self.base_url + path,
            params=query,
            json=body,
            headers=headers,
            timeout=(self._patience.connect, self._patience.read),
            allow_redirects=False,  # the token goes nowhere else
            stream=True,
        ) as response:
            text = _read(response, LONGEST_ANSWER, self._deadline())
            return Answer(
                status=response.status_code,
                headers={name.lower(): value for name, value in response.headers.items()},
                data=_parsed(text, response.status_code),
                next_page=response.links.get("next", {}).get("url"),
            )

    def _location(self, path: str, needs: str) -> str:
        answer = self.send("GET", path, needs=needs, redirect=True)
        where = answer.headers.get("location", "")
        if answer.status != 302 or not where.startswith(("https://", f"{self.base_url}/")):
            raise Unavailable(f"GitHub's API, GET {path}, answered {answer.status} where it should name a download")
        return where

    def _fetch(self, where: str, limit: int) -> bytes:
        with (
            self._open() as session,
            session.get(
                where,
                headers={"Accept-Encoding": "identity", "User-Agent": f"passmuster/{__version__}"},
                timeout=(self._patience.connect, self._patience.read),
                stream=True,
            ) as response,
        ):
            response.raise_for_status()
            return _read(response, limit, self._deadline())

    def _deadline(self) -> float:
        return time.monotonic() + self._patience.whole

    def _own(self, address: str) -> str:
        if not address.startswith(f"{self.base_url}/"):
            raise Unavailable("GitHub's API names a next page at another address; the token is not sent there")
        return address.removeprefix(self.base_url)


def read(data: Any, how: Callable[[Any], T]) -> T:
    """Return what `how` reads from an answer.

    Raises:
        Unavailable: the answer is not of the form that GitHub describes.
    """
    try:
        return how(data)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise Unavailable(
            f"GitHub's API answered in another form than it describes ({type(exc).__name__}: {exc}); "
            "is GITHUB_API_URL the address of its API?"
        ) from exc


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _read(response: requests.Response, limit: int, deadline: float) -> bytes:
    """Return the body, decoded, of at most `limit` bytes, by `deadline` of the monotonic clock."""
    found = bytearray()
    for chunk in response.iter_content(_CHUNK):
        found += chunk
        if len(found) > limit:
            raise Refused(f"GitHub sent more than the {limit:,} bytes that are taken; nothing of it is used")
        if time.monotonic() > deadline:
            raise Unavailable("GitHub's answer came too slowly to be whole; run this again later")
    return bytes(found)


def _parsed(text: bytes, status: int) -> Any:
    """Return the JSON of an answer; what a proxy says of a failure needs not be JSON."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        if status < 400:
            raise
        return {"message": text[:200].decode("utf-8", "replace")}


def _message(answer: Answer) -> str:
    data = answer.data if isinstance(answer.data, dict) else {}
    errors = data.get("errors")
    details = f" ({json.dumps(errors)[:300]})" if isinstance(errors, list) and errors else ""
    return " ".join(str(data.get("message") or "no reason given").split())[:300] + details


def _reason(exc: Exception) -> str:
    """Return why a call failed on its way, without the address, which may be signed."""
    return {"ReadTimeout": "no answer in time", "ConnectTimeout": "no connection in time"}.get(
        type(exc).__name__, f"{type(exc).__name__}: the connection broke or the answer is not GitHub's"
    )


def _backoff(attempt: int) -> float:
    return float(2**attempt)


def _wait_asked(answer: Answer, attempt: int, now: float) -> float | None:
    """Return how many seconds a rate limit asks to wait before the next attempt; None: it is not about a limit."""
    if answer.status not in (403, 429, 503):
        return None
    if (after := answer.headers.get("retry-after")) is not None:
        return _seconds(after, now)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(0.0, int(reset) - now) + 1 if reset.isascii() and reset.isdigit() else 60.0
    if answer.status == 429 or (answer.status == 403 and "rate limit" in _message(answer).lower()):
        return 60.0 * _backoff(attempt)
    return None


def _seconds(after: str, now: float) -> float:
    """Return what `Retry-After` says, in seconds or as a date (RFC 9110, 10.2.3); of nonsense, a minute."""
    if after.strip().isascii() and after.strip().isdigit():
        return float(after)
    try:
        asked: float = email.utils.parsedate_to_datetime(after).timestamp() - now
        return max(0.0, asked)
    except ValueError:
        return 60.0


def _refuse(method: str, path: str, answer: Answer, needs: str) -> Never:
    """Raise what an answer means that the same call will get again."""
    what = f"GitHub's API, {method} {path.partition('?')[0]}, answered {answer.status}: {_message(answer)}"
    if answer.status == 401:
        raise MissingPermission(f"{what}; give a valid token as GITHUB_TOKEN")
    if answer.status == 403:
        raise MissingPermission(f"{what}; the job's token needs the permission `{needs}`")
    if answer.status in (404, 410):
        raise NotThere(f"{what}; it is gone, or the token lacks `{needs}`")
    raise Rejected(what)
