"""Reads what a call of the HTTP API says: who asks, for which tenant, which page of a list, and its body."""

import re
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from countersign.bodies import event_headers, raw_body, read_json
from countersign.clock import parse
from countersign.errors import InvalidRequest, NotAllowed
from countersign.models import CaseRef
from countersign.settings import Settings

LARGEST_PAGE = 100
NAMES = ("name", "email", "sub")
"""The claims that may say who somebody is, the first that is there does."""
LONGEST_NAME = 200
LONGEST_CURSOR = 1_000

# A tenant is part of keys and paths.
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")


class HasSettings(Protocol):
    """The ports of a function, of which reading a call needs only this."""

    @property
    def settings(self) -> Callable[[], Settings]: ...


class Call[P: HasSettings]:
    """One HTTP call: API Gateway's event (payload 2.0) with what its function needs of the deployment."""

    def __init__(self, event: dict[str, Any], ports: P) -> None:
        self._event = event
        self.ports = ports

    @property
    def tenant(self) -> str:
        """The tenant that the reader's token names. Raises NotAllowed where it names none that can be."""
        tenant = str(self._claims.get(self.ports.settings().tenant_claim) or "default")
        if not _TENANT.fullmatch(tenant):
            raise NotAllowed("your token names a tenant that cannot be")
        return tenant

    @property
    def person(self) -> str:
        """Who asks. Raises NotAllowed where the token names nobody."""
        given = (str(self._claims.get(claim) or "") for claim in NAMES)
        readable = ("".join(c if c.isprintable() else " " for c in name) for name in given)
        name = next((" ".join(name.split()) for name in readable if name.strip()), "")
        if not name:
            raise NotAllowed("your token names nobody: it has no name, email or sub")
        return name[:LONGEST_NAME]

    @property
    def subject(self) -> str | None:
        """The issuer's own id of the person, which nobody can choose for themselves."""
        subject = self._claims.get("sub")
        return str(subject)[:LONGEST_NAME] if subject else None

    @property
    def groups(self) -> set[str]:
        """The words of the claim `groups`. API Gateway passes a list on as `[a b]`, without any quotes."""
        return set(str(self._claims.get("groups") or "").strip("[]").replace(",", " ").split())

    def case(self, case_id: str) -> CaseRef:
        return CaseRef(tenant=self.tenant, case_id=case_id)

    def takes(self, *names: str) -> None:
        """Refuses a query with other names: a mistyped filter would show what was not asked for.

        Raises InvalidRequest.
        """
        if (self._event.get("queryStringParameters") or {}).keys() - set(names):
            taken = f"takes {', '.join(names)} and nothing else" if names else "takes nothing"
            raise InvalidRequest(f"the query {taken}")

    def limit(self) -> int:
        """How long a page may be, 1 to 100. Raises InvalidRequest."""
        text = self._query("limit")
        if text is None:
            return LARGEST_PAGE
        if not _WHOLE_NUMBER.fullmatch(text) or not 1 <= int(text) <= LARGEST_PAGE:
            raise InvalidRequest(f"`limit` is a number from 1 to {LARGEST_PAGE}")
        return int(text)

    def cursor(self) -> str | None:
        """Raises InvalidRequest."""
        cursor = self._query("cursor")
        if cursor and len(cursor) > LONGEST_CURSOR:
            raise InvalidRequest("the cursor is not one this list gave out")
        return cursor or None

    def since(self) -> datetime | None:
        """The moment asked for, None for any. Raises InvalidRequest."""
        text = self._query("since")
        if text is None:
            return None
        try:
            return parse(text)
        except (ValueError, OverflowError):
            raise InvalidRequest("`since` is an instant such as 2026-11-02T09:30:00Z") from None

    def status[S: StrEnum](self, statuses: type[S]) -> S | None:
        """The status asked for, None for any. Raises InvalidRequest."""
        text = self._query("status")
        if text is None:
            return None
        try:
            return statuses(text)
        except ValueError:
            raise InvalidRequest(f"`status` is one of {', '.join(statuses)}") from None

    def body[M: BaseModel](self, model: type[M]) -> M:
        """The JSON body. Raises UnreadableBody, WrongContentType, BodyTooLarge, InvalidRequest."""
        return checked(model, self.json())

    def json(self) -> dict[str, Any]:
        """Raises UnreadableBody, WrongContentType, BodyTooLarge."""
        headers = event_headers(self._event)
        return read_json(
            raw_body(self._event),
            content_type=headers.get("content-type"),
            content_encoding=headers.get("content-encoding"),
        )

    def header(self, name: str) -> str:
        return event_headers(self._event).get(name, "")

    @property
    def _claims(self) -> dict[str, Any]:
        authorizer = self._event.get("requestContext", {}).get("authorizer") or {}
        claims: dict[str, Any] = (authorizer.get("jwt") or {}).get("claims") or {}
        return claims

    def _query(self, name: str) -> str | None:
        value: str | None = (self._event.get("queryStringParameters") or {}).get(name)
        return value


def checked[M: BaseModel](model: type[M], value: dict[str, Any]) -> M:
    """Raises InvalidRequest with every field that is wrong, and nothing of what it held."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = (f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in error.errors(include_input=False))
        raise InvalidRequest("; ".join(faults)[:1_000]) from None
