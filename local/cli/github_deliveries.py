"""What GitHub says it sent to a webhook, and asking it to send again what did not arrive.

GitHub tries each delivery once. Its attempts, also those somebody asked for, share the delivery's `guid`,
which is the `X-GitHub-Delivery` of the request and so the event id of the case.
https://docs.github.com/en/rest/repos/webhooks
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

PER_PAGE = 100
TIMEOUT_S = 30.0
SENT_AGAIN = 3
"""Days that GitHub sends a delivery again for."""

type Json = dict[str, Any]


class GitHubError(Exception):
    """GitHub said no, or nothing. The message is one sentence."""


class RateLimited(GitHubError):
    """GitHub takes no more calls for a while; the message says until when."""


@dataclass
class Delivery:
    """One event that GitHub sent, with all attempts: `answered` is one that was answered 2xx.

    `last` is the latest attempt, by which it is sent again; instants are in UTC.
    """

    guid: str
    event: str
    action: str | None
    attempts: list[Json] = field(default_factory=list)

    @property
    def last(self) -> Json:
        return max(self.attempts, key=_at)

    @property
    def answered(self) -> Json | None:
        return next((a for a in self.attempts if 200 <= int(a["status_code"] or 0) < 300), None)

    @property
    def name(self) -> str:
        return f"{self.event}.{self.action}" if self.action else self.event


class GitHubHook:
    """A repository's webhook. `repo` is `OWNER/NAME`; `token` goes to `api_url` and nowhere else."""

    def __init__(self, api_url: str, token: str, repo: str, hook: int, http: Any = None) -> None:
        self._url = f"{api_url.rstrip('/')}/repos/{repo}/hooks/{hook}/deliveries"
        self._token = token
        self._http = http or requests.Session()

    def deliveries(self, since: datetime) -> list[Delivery]:
        """All that were attempted since then, the oldest first. Raises GitHubError."""
        found: dict[str, Delivery] = {}
        for attempt in self._attempts():
            if _at(attempt) < since:
                break  # they come latest first
            delivery = found.setdefault(
                attempt["guid"], Delivery(attempt["guid"], attempt["event"], attempt["action"])
            )
            delivery.attempts.append(attempt)
        return list(reversed(found.values()))

    def answer(self, attempt: Json) -> Json:
        """The JSON that an attempt was answered; empty where it was none. Raises GitHubError."""
        told = self._call("GET", f"{self._url}/{attempt['id']}").json()
        try:
            body = json.loads(told["response"]["payload"])
        except (KeyError, TypeError, ValueError):
            return {}
        return body if isinstance(body, dict) else {}

    def send_again(self, attempt: Json) -> None:
        """Asks for another attempt, which GitHub makes by and by. Raises GitHubError."""
        self._call("POST", f"{self._url}/{attempt['id']}/attempts")

    def _attempts(self) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            query = {"per_page": str(PER_PAGE), **({"cursor": cursor} if cursor else {})}
            page = self._call("GET", self._url, query)
            yield from page.json()
            # Of the next page's address only the cursor is taken: the token goes nowhere else.
            following = urlsplit(page.links.get("next", {}).get("url", "")).query
            cursor = parse_qs(following).get("cursor", [None])[0]
            if cursor is None:
                return

    def _call(self, method: str, url: str, query: Json | None = None) -> requests.Response:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        try:
            answer: requests.Response = self._http.request(
                method, url, params=query, headers=headers, timeout=TIMEOUT_S, allow_redirects=False
            )
        except (requests.RequestException, UnicodeError) as error:
            raise GitHubError(f"nobody answers for GitHub at {urlsplit(url).netloc}") from error
        if 200 <= answer.status_code < 300:
            return answer
        limited = answer.headers.get("retry-after") or answer.headers.get("x-ratelimit-remaining") == "0"
        if answer.status_code == 429 or (answer.status_code == 403 and limited):
            raise RateLimited(f"no more calls of GitHub's API {_until(answer)}; run this again then")
        says = {
            401: "the token in GITHUB_TOKEN is not valid",
            403: "the token in GITHUB_TOKEN may not do this: it needs the repository's webhooks",
            404: "there is no such repository or webhook for the token in GITHUB_TOKEN",
            422: "the delivery is too old: GitHub sends again for three days",
        }
        otherwise = f"the answer of GitHub's API was {answer.status_code}"
        raise GitHubError(says.get(answer.status_code, otherwise))


def _until(answer: requests.Response) -> str:
    reset, wait = answer.headers.get("x-ratelimit-reset", ""), answer.headers.get("retry-after", "")
    if wait.isdecimal():
        return f"for {wait} s"
    if reset.isdecimal():
        return f"until {datetime.fromtimestamp(int(reset), UTC):%H:%M:%S} UTC"
    return "for a while"


def _at(attempt: Json) -> datetime:
    return datetime.fromisoformat(attempt["delivered_at"])
