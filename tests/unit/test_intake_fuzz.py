"""Whatever a stranger sends, intake answers with its own refusals, and reads twice alike what it takes."""

import base64
import copy
import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.bodies import event_headers, raw_body, read_form, read_json
from countersign.errors import RequestRejected, SignatureRejected, UnreadableBody, WrongContentType
from countersign.models import Request
from countersign.signatures import SCHEMES, verify
from countersign.sources import Challenged, Ignored, event_key, load_source, load_sources, read_event
from tests.unit.senders import GITHUB_API, KEY, NOW, REPLY_URL, SAMPLES, SOURCES, sample, signed

AT = "2026-11-02T09:30:02.000Z"
# Surrogates too: a header of API Gateway's JSON may hold half a pair.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)
SIGNED = {
    scheme: signed(sample(name))
    for scheme, name in {
        "standard-webhooks": "webhook_case_opened",
        "github": "github_issue_opened",
        "stripe": "stripe_dispute_created",
        "slack": "slack_app_mention",
        "zendesk": "zendesk_ticket_created",
        "shopify": "shopify_data_request",
    }.items()
}
READ_BY_SCHEMES = {
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-hub-signature-256",
    "stripe-signature",
    "x-slack-request-timestamp",
    "x-slack-signature",
    "x-zendesk-webhook-signature",
    "x-zendesk-webhook-signature-timestamp",
    "x-shopify-hmac-sha256",
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


def test_every_scheme_has_a_signed_event_here() -> None:
    assert set(SIGNED) == set(SCHEMES)


@st.composite
def bent(draw: st.DrawFn, value: str) -> str:
    """A header's value with something cut out, put in or changed; often none of the three."""
    start = draw(st.integers(0, len(value)))
    end = draw(st.integers(start, min(len(value), start + 6)))
    return (
        value[:start]
        + draw(st.sampled_from(["", "", ",", "=", " ", "v1=", "\x00", "é", "\ud800"]))
        + value[end:]
    )


@given(data=st.data(), scheme=st.sampled_from(SCHEMES))
@settings(max_examples=200, deadline=None)
def test_the_verifier_accepts_or_raises_signature_rejected(data: st.DataObject, scheme: str) -> None:
    event = SIGNED[scheme]
    genuine = {name: value for name, value in event["headers"].items() if name in READ_BY_SCHEMES}
    headers = dict(genuine)
    for name in data.draw(st.lists(st.sampled_from(sorted(genuine)), min_size=1, max_size=2)):
        headers[name] = data.draw(st.one_of(ANY_TEXT, bent(genuine[name])))
    for name in data.draw(st.lists(st.sampled_from(sorted(READ_BY_SCHEMES)), max_size=2)):
        headers[data.draw(st.sampled_from([name, name.upper(), name.title()]))] = data.draw(ANY_TEXT)
    body, secrets, now = event["body"].encode(), [KEY], NOW.timestamp()
    match data.draw(st.sampled_from(["headers", "body", "secrets", "now"])):
        case "body":
            body = data.draw(st.binary(max_size=64))
        case "secrets":
            secrets = data.draw(st.lists(st.sampled_from([KEY]) | ANY_TEXT, max_size=3))
        case "now":
            now = data.draw(st.sampled_from([0.0, math.inf, -math.inf, math.nan]) | st.integers())
    try:
        verify(scheme, headers, body, secrets, now)
    except SignatureRejected:
        return
    # A header of another scheme changes nothing; of its own, only forms that say the same are taken.
    assert body == event["body"].encode()
    assert KEY in secrets


@given(st.dictionaries(ANY_TEXT, ANY_TEXT), st.binary(max_size=64), st.lists(ANY_TEXT, max_size=2), ANY_TEXT)
def test_any_headers_under_any_scheme_are_refused(
    headers: dict[str, str], body: bytes, secrets: list[str], scheme: str
) -> None:
    for each in (*SCHEMES, scheme):
        with pytest.raises(SignatureRejected):
            verify(each, headers, body, secrets, NOW.timestamp())


@given(st.dictionaries(st.sampled_from(["body", "isBase64Encoded", "headers"]), JSON_VALUES))
def test_any_event_of_api_gateway_gives_bytes_or_a_refusal(event: dict[str, Any]) -> None:
    assert all(name == name.lower() for name in event_headers(event))
    with suppress(RequestRejected):
        assert isinstance(raw_body(event), bytes)


@given(st.binary(max_size=200), st.booleans())
def test_bytes_come_back_as_they_were_sent(body: bytes, urlsafe: bool) -> None:
    encoded = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(body).decode()
    event = {"body": encoded, "isBase64Encoded": True}
    if urlsafe and set(encoded) & set("-_"):
        with pytest.raises(UnreadableBody):
            raw_body(event)
    else:
        assert raw_body(event) == body


@given(st.binary() | JSON_VALUES.map(lambda v: json.dumps(v).encode("utf-8", "surrogatepass")), ANY_TEXT)
def test_the_readers_of_bodies_give_an_object_or_a_refusal(body: bytes, parameter: str) -> None:
    for read, kind in ((read_json, "application/json"), (read_form, "application/x-www-form-urlencoded")):
        try:
            value = read(body, content_type=f"{kind};{parameter}")
        except (UnreadableBody, WrongContentType):
            continue
        # What was read can be stored and sent on.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document, by the keys and indexes that lead there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in places(each, (*path, key)))]


SAMPLED = sorted(path.stem for path in SAMPLES.glob("*.json"))


@given(data=st.data(), name=st.sampled_from(SAMPLED))
@settings(max_examples=200, deadline=None)
def test_a_changed_event_is_read_ignored_or_refused_and_read_the_same_again(
    data: st.DataObject, name: str
) -> None:
    event = sample(name)
    source = load_source(event["pathParameters"]["source"], SOURCES)
    body = copy.deepcopy(json.loads(event["body"]))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from([each for each in places(body) if each] or [("type",)]))
        parent = body
        for key in path:
            parent = parent[key]
        if data.draw(st.booleans()) and isinstance(parent, dict):
            parent.pop(last, None)
        else:
            parent[last] = data.draw(JSON_VALUES)
    raw = json.dumps(body).encode()
    try:
        read = read_event(source, event["headers"], raw, AT, GITHUB_API, reply_url=REPLY_URL)
        if isinstance(read, Ignored | Challenged):
            return
        assert 1 <= len(event_key(source, event["headers"], raw)) <= 1_024
    except RequestRejected:
        return
    assert isinstance(read, Request)
    kept = source.kept_headers(event["headers"])
    assert read_event(source, kept, raw, AT, GITHUB_API, reply_url=REPLY_URL) == read


def test_every_source_has_a_sample() -> None:
    assert {sample(name)["pathParameters"]["source"] for name in SAMPLED} == set(load_sources(SOURCES))
