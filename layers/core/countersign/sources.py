"""Sources as data: who sends what to us, which of it opens a case, and where its parts stand.

A source is one YAML file, `{name}.yaml`, that says everything in JMESPath expressions over the body; a new
sender needs no code. A file is checked when it is loaded, expressions included, and an event is checked when
it is read: nothing that a case needs is guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from countersign.bodies import JsonObject, read_form, read_json
from countersign.destinations import MAX_URL, check_policy, parse_url
from countersign.errors import ConfigurationError, DestinationDenied, InvalidRequest, NotFound
from countersign.excerpts import is_blank
from countersign.expressions import Expression
from countersign.models import Channel, Destination, Request, sha256_hex
from countersign.replies import marker
from countersign.signatures import Scheme

MAX_ID = 1_024
"""Characters of an id, a key or a thread."""
MAX_SUBJECT = 1_024
MAX_TEXT = 65_536
"""Characters of a text: as many as GitHub takes."""
MAX_AUTHOR = 320
"""Characters of an author's name: as many as a mail address has."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ISSUE_COMMENTS = re.compile(
    r"/repos/(?!\.{1,2}/)[A-Za-z0-9_.-]+/(?!\.{1,2}/)[A-Za-z0-9_.-]+/issues/[0-9]{1,18}/comments"
)
_OWN_MARKER = marker("").removesuffix(" -->")
# The id that our own callbacks are signed with: an approval's.
_OWN_ID = re.compile(r"c-[0-9a-f]{32}-a[0-9]{1,4}")
_NODE_ID = re.compile(r"[A-Za-z0-9_=+/-]{1,256}")
_SLACK_THREAD = re.compile(r"[CDG][A-Z0-9]{1,32}/[0-9]{1,12}\.[0-9]{1,6}")
# What is echoed is text of ours then: a token, and nothing that a reader could take for markup.
_CHALLENGE = re.compile(r"[A-Za-z0-9._~+/=-]{1,256}")
# What JMESPath's own `type` says of a value.
_KINDS = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True)
class Ignored:
    """An event that opens no case. `reason` is the source's word or ours, and quotes nothing of the event."""

    reason: str


@dataclass(frozen=True)
class Challenged:
    """A sender's question whether we are who it was told: answered with `echo`, a short printable token."""

    echo: str


type Jmespath = Annotated[Expression, PlainValidator(Expression.compile)]
type Kind = Literal["string", "number", "boolean", "array", "object"]


class _Part(BaseModel):
    """What all parts of a source have in common: immutable, and strict about fields and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Place(_Part):
    """Where something stands: in a header (name in lower case) or in the body."""

    header: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")
    body: Jmespath | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        # A header that is read is also kept, and what authenticates is kept nowhere.
        if self.header in ("authorization", "cookie") or "signature" in (self.header or ""):
            raise ValueError(f"the header {self.header} is a secret")
        if (self.header is None) == (self.body is None):
            raise ValueError("give either header or body")
        return self


class Exclusion(_Part):
    """Events that open no case whatever else holds: those of a type, or for which `when` holds, or both."""

    type: str | None = None
    when: Jmespath | None = None
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.type is None and self.when is None:
            raise ValueError("give type, when or both")
        return self


class Reply(_Part):
    """Where the reply goes. What `address` has to yield depends on the channel:

    `callback` an https URL; `github_issue` the path `/repos/{owner}/{name}/issues/{number}/comments`, to
    which the configured address of GitHub's API is added; `github_discussion` the discussion's node id;
    `slack_thread` `{channel}/{thread_ts}`. A callback without an address goes to the `reply_url` that the
    operator keeps beside the source's secret.
    """

    channel: Channel
    address: Jmespath | None = None

    @model_validator(mode="after")
    def _addressed(self) -> Self:
        if self.address is None and self.channel != "callback":
            raise ValueError("only a callback can do without an address")
        return self


class Challenge(_Part):
    """Events of a type by which the sender tries whether we read it: answered with `{"challenge": echo}`."""

    type: str = Field(min_length=1)
    echo: Jmespath


class Opening(_Part):
    """Which events of a type open a case, and where its parts stand in them.

    `shape` names what every event of this type has, `when` what holds for those that open a case; `mention`
    asks that the text mentions us. `otherwise` is the reason given where they do not. `escaped` says that
    the text has `&`, `<` and `>` written as `&amp;`, `&lt;` and `&gt;`, as Slack does.
    """

    type: str = Field(min_length=1)
    shape: dict[Jmespath, Kind] = {}
    when: Jmespath | None = None
    otherwise: str = Field(default="it does not meet the conditions for opening a case", min_length=1)
    mention: bool = False
    escaped: bool = False
    id: Jmespath
    subject: Jmespath
    text: Jmespath
    author: Jmespath
    thread: Jmespath
    link: Jmespath | None = None
    reply: Reply


class Source(_Part):
    """One kind of sender. `mention` is the name by which its events mention us, without the `@`."""

    name: str = Field(pattern=rf"^{_NAME.pattern}$")
    tenant: str = Field(default="default", pattern=rf"^{_NAME.pattern}$")
    scheme: Scheme
    content: Literal["json", "form"] = "json"
    form_field: str | None = None
    event_key: Place
    event_type: Place
    mention: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    shape: dict[Jmespath, Kind] = {}
    challenges: list[Challenge] = []
    ignored: list[Exclusion] = []
    cases: list[Opening] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.form_field is not None and self.content != "form":
            raise ValueError("form_field needs content: form")
        if self.mention is None and any(opening.mention for opening in self.cases):
            raise ValueError("a case needs a mention, but the source has no name to mention")
        return self

    @property
    def needs_reply_url(self) -> bool:
        """Whether its events do not say themselves where a reply goes."""
        return any(opening.reply.address is None for opening in self.cases)

    @property
    def signs_event_key(self) -> bool:
        """Whether the signature covers the event key. Of headers only Standard Webhooks' id is signed."""
        return self.event_key.body is not None or (
            self.scheme == "standard-webhooks" and self.event_key.header == "webhook-id"
        )

    def kept_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Those that reading the event again needs; never a signature or an authorization."""
        wanted = {"content-type", "content-encoding", self.event_key.header, self.event_type.header}
        return {name: headers[name] for name in sorted(filter(None, wanted)) if name in headers}


@lru_cache
def load_source(name: str, directory: Path) -> Source:
    """Raises NotFound where no file has this name, ConfigurationError naming the file and the field."""
    path = directory / f"{name}.yaml"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFound("there is no such source")
    import yaml  # not needed for a name that does not exist

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # parses in C where it can
    try:
        source = Source.model_validate(yaml.load(path.read_bytes(), Loader=loader))  # noqa: S506
    except OSError as error:
        raise ConfigurationError(f"source {path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"source {path} is no YAML: {error}") from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(_named, e['loc'])) or 'source'}: {e['msg']}" for e in error.errors()
        )
        raise ConfigurationError(f"source {path} is wrong: {faults}") from None
    if source.name != name:
        raise ConfigurationError(
            f"source {path} is wrong: name: the file has another name than {source.name}"
        )
    return source


def _named(part: Any) -> str:
    return part.text if isinstance(part, Expression) else str(part)


def load_sources(directory: Path) -> dict[str, Source]:
    """Every source by its name. Raises ConfigurationError as `load_source` does."""
    return {path.stem: load_source(path.stem, directory) for path in sorted(directory.glob("*.yaml"))}


def event_key(source: Source, headers: Mapping[str, str], body: bytes) -> str:
    """The sender's id of this event, at most 1,024 characters.

    Where it stands in a header nobody signed and is missing, the body's SHA-256 takes its place. Raises
    InvalidRequest, and what reading the body raises.
    """
    place = source.event_key
    if place.body is not None:
        return _id("event key", place.body, _parse(source, headers, body))
    key = headers.get(place.header or "") or sha256_hex(body)
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"the header {place.header} is not text") from None
    if len(key) > MAX_ID:
        raise InvalidRequest(f"the header {place.header} is longer than {MAX_ID} characters")
    return key


def read_event(
    source: Source,
    headers: Mapping[str, str],
    body: bytes,
    received_at: str,
    github_api_url: str,
    *,
    reply_url: str | None = None,
    allow_loopback: bool = False,
) -> Request | Ignored | Challenged:
    """What a verified event asks, or why it opens no case.

    Header names are in lower case. `reply_url` is where the operator wants replies that the events name no
    address for. `allow_loopback` lets a callback address be http to this machine.
    Raises WrongContentType, UnreadableBody, BodyTooLarge, and InvalidRequest naming the field that is
    missing or wrong.
    """
    event = _parse(source, headers, body)
    _check_shape(source.shape, event)
    kind = _event_type(source, headers, event)
    for challenge in source.challenges:
        if challenge.type == kind:
            return _challenged(challenge, event)
    for exclusion in source.ignored:
        if exclusion.type in (None, kind) and (exclusion.when is None or exclusion.when.search(event)):
            return Ignored(exclusion.reason)
    ignored = Ignored("events of this type open no case")
    for opening in source.cases:
        if opening.type == kind:
            _check_shape(opening.shape, event)
            read = _open(
                source, opening, headers, event, received_at, github_api_url, reply_url, allow_loopback
            )
            if isinstance(read, Request):
                return read
            ignored = read
    return ignored


def _parse(source: Source, headers: Mapping[str, str], body: bytes) -> JsonObject:
    kind, encoding = headers.get("content-type"), headers.get("content-encoding")
    if source.content == "json":
        return read_json(body, content_type=kind, content_encoding=encoding)
    return read_form(body, content_type=kind, content_encoding=encoding, field=source.form_field)


def _event_type(source: Source, headers: Mapping[str, str], event: JsonObject) -> str:
    place = source.event_type
    if place.body is not None:
        return _text("event type", place.body, event, MAX_ID)
    found = headers.get(place.header or "")
    if not found:
        raise InvalidRequest(f"the header {place.header} is missing")
    return found


def _check_shape(shape: Mapping[Expression, Kind], event: JsonObject) -> None:
    for expression, kind in shape.items():
        found = expression.search(event)
        if found is None:
            raise InvalidRequest(f"{expression.text} is missing")
        if _KINDS[type(found)] != kind:
            raise InvalidRequest(f"{expression.text} is not of the type {kind}")


def _challenged(challenge: Challenge, event: JsonObject) -> Challenged:
    echo = _text("challenge", challenge.echo, event, MAX_ID)
    if not _CHALLENGE.fullmatch(echo):
        raise InvalidRequest(f"the challenge ({challenge.echo.text}) is not a short token")
    return Challenged(echo)


def _open(
    source: Source,
    opening: Opening,
    headers: Mapping[str, str],
    event: JsonObject,
    received_at: str,
    github_api_url: str,
    reply_url: str | None,
    allow_loopback: bool,
) -> Request | Ignored:
    if opening.when is not None and not opening.when.search(event):
        return Ignored(opening.otherwise)
    subject = _text("subject", opening.subject, event, MAX_SUBJECT, may_be_empty=True)
    text = _text("text", opening.text, event, MAX_TEXT, may_be_empty=True)
    if _OWN_MARKER in subject or _OWN_MARKER in text or _is_own_callback(source, headers):
        return Ignored("it is a reply of Countersign's own")
    if opening.mention and not _mentions(source.mention or "", text):
        return Ignored(f"it does not mention @{source.mention}")
    if is_blank(subject) and is_blank(text):
        raise InvalidRequest(f"the event has neither subject ({opening.subject.text}) nor text")
    return Request(
        source=source.name,
        event_id=_id("id", opening.id, event),
        subject=subject,
        text=_unescape(text) if opening.escaped else text,
        author=_text("author", opening.author, event, MAX_AUTHOR),
        thread=_id("thread", opening.thread, event),
        destination=_destination(
            source, opening.reply, headers, event, github_api_url, reply_url, allow_loopback
        ),
        link=_link(opening.link, event),
        received_at=received_at,
    )


def _is_own_callback(source: Source, headers: Mapping[str, str]) -> bool:
    """Whatever name or proxy it came back through: the id is signed."""
    return source.scheme == "standard-webhooks" and bool(_OWN_ID.fullmatch(headers.get("webhook-id", "")))


def _unescape(text: str) -> str:
    # The ampersand last, so that what was typed as "&lt;" stays that.
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _mentions(name: str, text: str) -> bool:
    """Whether `@name` stands in the text as a word: no part of a mail address, a longer name or a team's."""
    return bool(re.search(rf"(?<![\w@.+/-])@{re.escape(name)}(?![\w/-])", text, re.IGNORECASE))


def _id(role: str, expression: Expression, event: JsonObject) -> str:
    """An id, which may be a whole number as well as a text."""
    found = expression.search(event)
    return str(found) if type(found) is int else _text(role, expression, event, MAX_ID)


def _text(
    role: str, expression: Expression, event: JsonObject, longest: int, *, may_be_empty: bool = False
) -> str:
    """The text that stands there, unchanged."""
    found = expression.search(event)
    if found is None:
        raise InvalidRequest(f"the {role} ({expression.text}) is missing")
    if not isinstance(found, str):
        raise InvalidRequest(f"the {role} ({expression.text}) is not a text")
    if not found and not may_be_empty:
        raise InvalidRequest(f"the {role} ({expression.text}) is empty")
    if len(found) > longest:
        raise InvalidRequest(f"the {role} ({expression.text}) is longer than {longest} characters")
    return found


def _link(expression: Expression | None, event: JsonObject) -> str | None:
    if expression is None or expression.search(event) is None:
        return None
    link = _text("link", expression, event, MAX_URL)
    try:
        parse_url(link)
    except DestinationDenied as denied:
        raise InvalidRequest(f"the link ({expression.text}) cannot be used: {denied}") from None
    return link


def _destination(
    source: Source,
    reply: Reply,
    headers: Mapping[str, str],
    event: JsonObject,
    github_api_url: str,
    reply_url: str | None,
    allow_loopback: bool,
) -> Destination:
    role = "reply address"
    if reply.address is None and not reply_url:
        raise InvalidRequest(
            f"there is nowhere to reply to: the secret of source {source.name} has no reply_url"
        )
    named = reply.address.text if reply.address else "reply_url"
    address = _text(role, reply.address, event, MAX_URL) if reply.address else str(reply_url)
    if reply.channel == "github_issue":
        # The API's own address comes from us: a URL of the payload could send the token anywhere.
        _require(_ISSUE_COMMENTS, address, named)
        address = github_api_url.rstrip("/") + address
    elif reply.channel == "github_discussion":
        _require(_NODE_ID, address, named)
    elif reply.channel == "slack_thread":
        _require(_SLACK_THREAD, address, named)
    else:
        try:
            url = parse_url(address)
            if not (allow_loopback and url.scheme == "http" and url.names_loopback):
                check_policy(url)
            if url.authority == headers.get("host", "").lower():
                # What we sent would come in again, as an event.
                raise DestinationDenied("the address is the one that events are posted to")
        except DestinationDenied as denied:
            raise InvalidRequest(f"the {role} ({named}) cannot be used: {denied}") from None
    return Destination(channel=reply.channel, address=address, source=source.name)


def _require(form: re.Pattern[str], address: str, named: str) -> None:
    if not form.fullmatch(address):
        raise InvalidRequest(f"the reply address ({named}) is not what its channel needs")
