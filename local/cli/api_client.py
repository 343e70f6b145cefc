"""The HTTP API as its callers use it: one method for each call, one error for each way it can go wrong."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import requests

TIMEOUT_S = 35.0
"""Longer than API Gateway waits for a function (30 s)."""
PAGE = 100
CASE_ID = re.compile(r"c-[0-9a-f]{32}")
APPROVAL_ID = re.compile(r"(c-[0-9a-f]{32})-a[1-9][0-9]*")
DESTINATION_ID = re.compile(r"d-[0-9a-f]{32}")

type Json = dict[str, Any]


class ApiError(Exception):
    """The API said no, or nothing. The message is one sentence."""


class NoAnswer(ApiError):
    """Nobody listens at the address, or the connection broke."""


class Refused(ApiError):
    """An answer that is not 2xx: its `status`, the `code` of its error and the whole body."""

    def __init__(self, status: int, body: Json) -> None:
        error = body.get("error")
        given = error if isinstance(error, dict) else {}
        said = given.get("message") or body.get("message") or f"HTTP status {status}"
        if status == 401 and not given:  # the gateway's word; a webhook's signature has an error of its own
            said = "the API does not take this token: it is wrong, or it has ended"
        super().__init__(said)
        self.status = status
        self.code: str = given.get("code", "")
        self.body = body


class NotOne(ApiError):
    """An id, or its beginning, that fits none or several."""


class Answer(Protocol):
    """What is read of an HTTP answer."""

    @property
    def status_code(self) -> int: ...

    @property
    def content(self) -> bytes: ...


class Http(Protocol):
    """The part of `requests.Session` that is used."""

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = True,
    ) -> Answer: ...


def pages(turn: Callable[..., Json]) -> Iterator[Json]:
    """Every page of a call that takes a `cursor` and answers with the next one's, None on the last."""
    cursor: str | None = None
    while True:
        page = turn(cursor=cursor)
        yield page
        cursor = page["cursor"]
        if not cursor:
            return


class ApiClient:
    """A deployment's API at `url`, as the person whom `token` stands for.

    Each method returns the JSON that the API documents and raises NoAnswer or Refused.
    """

    def __init__(self, url: str, token: str, http: Http | None = None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._http: Http = http or requests.Session()

    @property
    def inbox(self) -> str:
        """Where a browser finds the inbox, already signed in."""
        return f"{self.url}/#token={quote(self._token)}"

    def send(self, source: str, headers: Mapping[str, str], body: bytes) -> Json:
        """`POST /webhooks/{source}`, with the sender's own headers: it needs no token."""
        return self._call("POST", f"/webhooks/{quote(source, safe='')}", headers=headers, data=body)

    def cases(self, status: str | None = None, limit: int = PAGE, cursor: str | None = None) -> Json:
        query = {"status": status, "limit": str(limit), "cursor": cursor}
        return self._get("/cases", query)

    def case(self, case_id: str) -> Json:
        return self._get(f"/cases/{quote(case_id, safe='')}")

    def approvals(self, status: str = "pending") -> Json:
        return self._get("/approvals", {"status": status})

    def approval(self, approval_id: str) -> Json:
        return self._get(f"/approvals/{quote(approval_id, safe='')}")

    def decide(self, approval_id: str, decision: Json) -> Json:
        """`decision` is `{verdict, text?, reason?, shown_sha256}`."""
        return self._post(f"/approvals/{quote(approval_id, safe='')}/decision", decision)

    def failures(self, limit: int = PAGE, cursor: str | None = None) -> Json:
        """A page of what waits for an operator: `{failures, cursor}`."""
        return self._get("/failures", {"limit": str(limit), "cursor": cursor})

    def failure_ids(self) -> Iterator[str]:
        """The ids of all of them."""
        return (each["id"] for each in self._each("failures", self.failures))

    def redrive(self, ids: Sequence[str]) -> Json:
        """`{redriven, refused}` of failures, at most 100."""
        return self._post("/failures/redrive", {"ids": list(ids)})

    def redrive_all(self, cursor: str | None = None) -> Json:
        """`{redriven, refused, cursor}` of a page of all."""
        return self._post("/failures/redrive", {"all": True, **({"cursor": cursor} if cursor else {})})

    def forget(self, case_id: str) -> Json:
        """`{case_id, forgotten_at, erased, recalled_by}`."""
        return self._post(f"/cases/{quote(case_id, safe='')}/forget", {})

    def reconciliation(self, since: str | None, cursor: str | None = None) -> Json:
        """A page of the account of accepted events; `since` is an instant in ISO 8601."""
        return self._get("/reconciliation", {"since": since, "cursor": cursor})

    def repair(self, case_ids: Sequence[str]) -> Json:
        """`{repaired, refused}` of lost events, at most 25."""
        return self._post("/reconciliation/repairs", {"case_ids": list(case_ids)})

    def unknown_events(self, source: str, event_ids: Sequence[str]) -> list[str]:
        """Those of a sender's ids, at most 100, that no event was accepted under."""
        answer = self._post("/reconciliation/events", {"source": source, "event_ids": list(event_ids)})
        return list(answer["unknown"])

    def destinations(self, cursor: str | None = None) -> Json:
        """A page of the destinations that are switched off: `{destinations, cursor}`."""
        return self._get("/destinations", {"cursor": cursor})

    def turn_on(self, destination_id: str) -> Json:
        """A destination with its turns, once it is on."""
        return self._post(f"/destinations/{quote(destination_id, safe='')}/on", {})

    def limits(self) -> Json:
        """Today's budget, the cases that draft, and how many are parked."""
        return self._get("/limits")

    def search(self, query: str, limit: int) -> Json:
        return self._post("/knowledge/search", {"query": query, "limit": limit})

    def add_documents(self, documents: Sequence[Json]) -> Json:
        """Each is `{name, text | content_base64, content_type?}`; the job that is answered reads them."""
        return self._post("/knowledge/documents", {"documents": list(documents)})

    def job(self, job_id: str) -> Json:
        """An ingestion job: `{job_id, status, started_at, updated_at}`."""
        return self._get(f"/knowledge/jobs/{quote(job_id, safe='')}")

    def find_case(self, given: str) -> str:
        """The case id that a whole id, an approval's id or a unique beginning means. Raises NotOne."""
        case, _, _ = given.partition("-a") if APPROVAL_ID.fullmatch(given) else (given, "", "")
        if CASE_ID.fullmatch(case):
            return case
        beginning = case if case.startswith("c-") else f"c-{case}"
        fitting = [each["case_id"] for each in self._all_cases() if each["case_id"].startswith(beginning)]
        if len(fitting) == 1:
            return str(fitting[0])
        if not fitting:
            raise NotOne(f"no case begins with {given}")
        raise NotOne(f"{len(fitting)} cases begin with {given}: give more of the id")

    def find_approval(self, given: str) -> str:
        """The approval id that a whole id means, or the latest of the case that is meant. Raises NotOne."""
        if APPROVAL_ID.fullmatch(given):
            return given
        beginning, dash, number = given.rpartition("-a")
        if dash and number.isdecimal():
            return f"{self.find_case(beginning)}-a{number}"
        case_id = self.find_case(given)
        approval_id = self.case(case_id).get("approval_id")
        if not approval_id:
            raise NotOne(f"case {case_id} has not asked for an approval yet")
        return str(approval_id)

    def find_destination(self, given: str) -> str:
        """The id of a destination: a whole one, or a unique beginning of those off. Raises NotOne."""
        if DESTINATION_ID.fullmatch(given):
            return given
        off = self._each("destinations", self.destinations)
        fitting = [each["id"] for each in off if each["id"].startswith(given)]
        if len(fitting) != 1:
            raise NotOne(f"{len(fitting) or 'no'} switched-off destinations begin with {given}")
        return str(fitting[0])

    def _all_cases(self) -> Iterator[Json]:
        return self._each("cases", self.cases)

    def _each(self, name: str, list_page: Callable[..., Json]) -> Iterator[Json]:
        """The rows under a name of every page."""
        for page in pages(list_page):
            yield from page[name]

    def _get(self, path: str, query: Mapping[str, str | None] | None = None) -> Json:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._call("GET", path, headers=self._credentials(), params=given)

    def _post(self, path: str, body: Json) -> Json:
        headers = {**self._credentials(), "Content-Type": "application/json"}
        return self._call("POST", path, headers=headers, data=json.dumps(body).encode())

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Json:
        try:
            answer = self._http.request(
                method,
                self.url + path,
                params=params,
                data=data,
                headers=headers,
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except (UnicodeError, requests.exceptions.InvalidHeader) as error:
            raise NoAnswer("the token or an id holds what no request can carry") from error
        except (
            requests.exceptions.MissingSchema,
            requests.exceptions.InvalidSchema,
            requests.exceptions.InvalidURL,
        ) as error:
            raise NoAnswer(f"{self.url} is no http or https address") from error
        except requests.RequestException as error:
            raise NoAnswer(f"nobody answers at {self.url}") from error
        body = _read(answer.content)
        if not 200 <= answer.status_code < 300:
            raise Refused(answer.status_code, body)
        return body


def _read(content: bytes) -> Json:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
