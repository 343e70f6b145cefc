"""Sources as data: what the shipped ones make of events, and what a wrong file or event is told."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import ConfigurationError, InvalidRequest, NotFound, RequestRejected
from countersign.models import Request
from countersign.replies import marker
from countersign.sources import (
    MAX_AUTHOR,
    MAX_ID,
    MAX_SUBJECT,
    MAX_TEXT,
    Ignored,
    Source,
    event_key,
    load_source,
    load_sources,
    read_event,
)
from tests.unit.senders import GITHUB_API, SOURCES, changed, sample

AT = "2026-11-02T09:30:02.000Z"
ISSUE = "https://api.github.com/repos/octocat/Hello-World/issues/1347/comments"


def read(event: dict[str, Any], directory: Path = SOURCES, **options: Any) -> Request | Ignored:
    source = load_source(event["pathParameters"]["source"], directory)
    return read_event(source, event["headers"], event["body"].encode(), AT, GITHUB_API, **options)


def github(name: str, change: Any = lambda body: None) -> dict[str, Any]:
    event = sample(name)
    body = json.loads(event["body"])
    change(body)
    return {**event, "body": json.dumps(body)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "webhook_case_opened",
            {
                "event_id": "ticket-4711",
                "subject": "Retries",
                "text": "How often is a delivery retried, and what happens after the last try?",
                "author": "customer@example.com",
                "thread": "ticket-4711",
                "link": None,
                "channel": "callback",
                "address": "https://help.example.com/replies",
            },
        ),
        (
            "github_issue_opened",
            {
                "event_id": "1347",
                "subject": "How often is the delivery of a reply tried?",
                "text": "Our help desk was down for an hour last night.\r\n\r\nHow often is the delivery of a"
                " signed reply tried, and for how long? Which answers count as failures?",
                "author": "octocat",
                "thread": "octocat/Hello-World/issues/1347",
                "link": "https://github.com/octocat/Hello-World/issues/1347",
                "channel": "github_issue",
                "address": ISSUE,
            },
        ),
        (
            "github_comment_mentions_us",
            {
                "event_id": "3471120031",
                "subject": "How often is the delivery of a reply tried?",
                "text": "@countersign and what happens after the last try?",
                "author": "octocat",
                "thread": "octocat/Hello-World/issues/1347",
                "link": "https://github.com/octocat/Hello-World/issues/1347#issuecomment-3471120031",
                "channel": "github_issue",
                "address": ISSUE,
            },
        ),
        (
            "github_discussion_created",
            {
                "event_id": "88",
                "subject": "Can an approval be given from a phone?",
                "text": "I am on call and away from my desk. Can I approve a draft from a phone?",
                "author": "octocat",
                "thread": "octocat/Hello-World/discussions/88",
                "link": "https://github.com/octocat/Hello-World/discussions/88",
                "channel": "github_discussion",
                "address": "D_kwDOABPHjc4AcO5k",
            },
        ),
    ],
)
def test_what_opens_a_case(name: str, expected: dict[str, Any]) -> None:
    request = read(sample(name))
    assert isinstance(request, Request)
    found = request.model_dump()
    destination = found.pop("destination")
    source = name.partition("_")[0]
    assert found | {"channel": destination["channel"], "address": destination["address"]} == {
        **expected,
        "source": source,
        "received_at": AT,
    }
    assert destination["source"] == source


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("github_ping", "ping: the webhook is set up"),
        ("github_issue_labeled", "of issues only new ones open a case"),
        ("github_comment_to_others", "it does not mention @countersign"),
        ("github_own_comment", "it is a reply of Countersign's own"),
        ("github_bot_comment", "it is a bot's comment"),
        ("webhook_case_closed", "events of this type open no case"),
    ],
)
def test_what_opens_none_says_why(name: str, reason: str) -> None:
    assert read(sample(name)) == Ignored(reason)


def test_every_shipped_source_loads() -> None:
    sources = load_sources(SOURCES)
    assert {"github", "webhook"} <= sources.keys()
    assert all(source.tenant == "default" for source in sources.values())
    assert [sources[name].signs_event_key for name in ("webhook", "github")] == [True, False]


@pytest.mark.parametrize("name", ["nobody", "", "../sources/github", "GitHub", "github.yaml", "a" * 64])
def test_an_unknown_source_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        load_source(name, SOURCES)


class TestGithub:
    @pytest.mark.parametrize(
        ("text", "asks_us"),
        [
            ("@countersign", True),
            ("Hello @Countersign, how?", True),
            ("(@countersign)", True),
            ("thanks\n@countersign.", True),
            ("countersign", False),
            ("@countersigner", False),
            ("@countersign-dev", False),
            ("@countersign/reviewers", False),
            ("me@countersign.example", False),
            ("https://example.com/@countersign", False),
            ("", False),
        ],
    )
    def test_a_mention_is_a_word(self, text: str, asks_us: bool) -> None:
        read_comment = read(
            github("github_comment_mentions_us", lambda body: body["comment"].update(body=text))
        )
        assert isinstance(read_comment, Request) == asks_us

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("github_issue_opened", lambda body: body["issue"].update(body=f"x {marker('c-1-a1')}")),
            ("github_issue_opened", lambda body: body["issue"].update(title=f"x {marker('c-1-a1')}")),
            ("github_issue_opened", lambda body: body["sender"].update(login="countersign[bot]")),
            ("github_discussion_created", lambda body: body["sender"].update(login="countersign[bot]")),
            ("github_discussion_created", lambda body: body["discussion"].update(body=marker("c-1-a1"))),
            ("github_comment_mentions_us", lambda body: body["sender"].update(login="countersign[bot]")),
            ("github_comment_mentions_us", lambda body: body["sender"].update(type="Bot")),
            ("github_comment_mentions_us", lambda body: body["comment"]["user"].update(type="Bot")),
        ],
    )
    def test_what_we_or_bots_wrote_opens_nothing(self, name: str, change: Any) -> None:
        assert isinstance(read(github(name)), Request)
        assert isinstance(read(github(name, change)), Ignored)

    def test_an_alert_that_a_bot_opens_as_an_issue_is_a_case(self) -> None:
        def by_bot(body: dict[str, Any]) -> None:
            body["sender"].update(type="Bot", login="sentry[bot]")

        assert isinstance(read(github("github_issue_opened", by_bot)), Request)

    def test_an_issue_without_a_description_or_an_author_is_a_case(self) -> None:
        request = read(github("github_issue_opened", lambda body: body["issue"].update(body=None, user=None)))
        assert isinstance(request, Request)
        assert (request.text, request.author) == ("", "ghost")

    def test_the_reply_goes_to_our_address_of_the_api(self) -> None:
        def lure(body: dict[str, Any]) -> None:
            for part in (body["issue"], body["repository"]):
                part |= {
                    name: "https://evil.example/x"
                    for name in part
                    if name.endswith("url") and name != "html_url"
                }

        request = read(github("github_issue_opened", lure))
        assert isinstance(request, Request)
        assert request.destination.address == ISSUE

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("github_issue_opened", lambda body: body["repository"].update(full_name="../../user")),
            ("github_issue_opened", lambda body: body["repository"].update(full_name="a/..")),
            ("github_issue_opened", lambda body: body["repository"].update(full_name="a/b/c")),
            ("github_issue_opened", lambda body: body["repository"].update(full_name="@evil.example/b")),
            ("github_issue_opened", lambda body: body["repository"].update(full_name="a/b?x=")),
            ("github_issue_opened", lambda body: body["repository"].update(full_name=None)),
            ("github_issue_opened", lambda body: body.pop("repository")),
            ("github_issue_opened", lambda body: body["issue"].update(number="1/../../2")),
            ("github_issue_opened", lambda body: body["issue"].update(number=[1])),
            ("github_discussion_created", lambda body: body["discussion"].update(node_id='D"}){x')),
            ("github_discussion_created", lambda body: body["discussion"].pop("node_id")),
        ],
    )
    def test_a_reply_address_of_another_form_is_refused(self, name: str, change: Any) -> None:
        with pytest.raises(InvalidRequest):
            read(github(name, change))

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda body: body.pop("action"), "action is missing"),
            (lambda body: body.update(action=1), "action is not of the type string"),
            (lambda body: body.pop("issue"), "the subject (issue.title) is missing"),
            (lambda body: body["issue"].pop("title"), "the subject (issue.title) is missing"),
            (lambda body: body["issue"].update(title=["a"]), "the subject (issue.title) is not a text"),
            (
                lambda body: body["issue"].update(title=" ", body="\n"),
                "neither subject (issue.title) nor text",
            ),
            (lambda body: body["issue"].update(html_url="javascript:alert(1)"), "the link (issue.html_url)"),
        ],
    )
    def test_what_is_missing_is_named(self, change: Any, says: str) -> None:
        with pytest.raises(InvalidRequest, match=re.escape(says)):
            read(github("github_issue_opened", change))

    def test_the_kind_of_event_must_be_said(self) -> None:
        event = github("github_issue_opened")
        del event["headers"]["x-github-event"]
        with pytest.raises(InvalidRequest, match="x-github-event is missing"):
            read(event)


class TestWebhook:
    OPENED = sample("webhook_case_opened")

    @given(text=st.text(max_size=200).filter(lambda text: text.isprintable() or not text.isspace()))
    def test_texts_are_kept_as_they_are(self, text: str) -> None:
        request = read(changed(self.OPENED, text=text))
        assert isinstance(request, Request)
        assert request.text == text

    @pytest.mark.parametrize("field", ["id", "subject", "text", "author", "callback_url"])
    @pytest.mark.parametrize(
        ("value", "says"), [(None, "missing"), (["a"], "not a text"), (True, "not a text")]
    )
    def test_every_field_is_needed(self, field: str, value: Any, says: str) -> None:
        with pytest.raises(InvalidRequest, match=rf"\(data\.{field}\) is {says}"):
            read(changed(self.OPENED, **{field: value}))

    def test_an_id_may_be_a_number_and_nothing_else_may(self) -> None:
        request = read(changed(self.OPENED, id=4711))
        assert isinstance(request, Request)
        assert (request.event_id, request.thread) == ("4711", "4711")
        with pytest.raises(InvalidRequest, match=r"the text \(data\.text\) is not a text"):
            read(changed(self.OPENED, text=4711))

    @pytest.mark.parametrize(
        ("field", "longest"),
        [("id", MAX_ID), ("subject", MAX_SUBJECT), ("text", MAX_TEXT), ("author", MAX_AUTHOR)],
    )
    def test_lengths_have_bounds(self, field: str, longest: int) -> None:
        assert isinstance(read(changed(self.OPENED, **{field: "é" * longest})), Request)
        with pytest.raises(InvalidRequest, match=f"{field}.* is longer than {longest} characters"):
            read(changed(self.OPENED, **{field: "é" * (longest + 1)}))

    @pytest.mark.parametrize(
        ("address", "loopback", "allowed"),
        [
            ("https://help.example.com/replies?x=1", False, True),
            ("http://help.example.com/replies", False, False),
            ("https://help.example.com:8443/", False, False),
            ("https://user:pass@help.example.com/", False, False),
            ("https://10.0.0.8/", False, False),
            ("https://[::1]/", False, False),
            ("https://169.254.169.254/latest", False, False),
            ("https://printer.local/", False, False),
            ("file:///etc/passwd", False, False),
            ("help.example.com", False, False),
            (f"https://help.example.com/{'a' * 2_048}", False, False),
            ("", False, False),
            ("http://127.0.0.1:9000/x", False, False),
            ("http://127.0.0.1:9000/x", True, True),
            ("http://localhost:9000/x", True, True),
            ("http://help.example.com/replies", True, False),
        ],
    )
    def test_a_callback_goes_to_a_public_https_address(
        self, address: str, loopback: bool, allowed: bool
    ) -> None:
        event = changed(self.OPENED, callback_url=address)
        if not allowed:
            with pytest.raises(InvalidRequest, match=r"data\.callback_url"):
                read(event, allow_loopback=loopback)
            return
        request = read(event, allow_loopback=loopback)
        assert isinstance(request, Request)
        assert request.destination.address == address

    @pytest.mark.parametrize(
        "address",
        [
            "https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com/webhooks/webhook",
            "https://A1B2C3D4E5.execute-api.eu-west-1.amazonaws.com.:443/other",
        ],
    )
    def test_a_callback_to_where_the_event_was_posted_is_refused(self, address: str) -> None:
        event = changed(self.OPENED, callback_url=address)
        event["headers"]["host"] = "other.execute-api.eu-west-1.amazonaws.com"
        assert isinstance(read(event), Request)
        event["headers"]["host"] = "A1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"
        with pytest.raises(InvalidRequest, match="events are posted to"):
            read(event)

    def test_a_reply_of_ours_that_comes_in_again_opens_nothing(self) -> None:
        event = changed(self.OPENED)
        event["headers"]["webhook-id"] = "c-8f14e45fceea167a5a36dedd4bea2543-a1"
        assert read(event) == Ignored("it is a reply of Countersign's own")

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ({}, "type is missing"),
            ({"type": "case.opened"}, "data is missing"),
            ({"type": {"S": "case.opened"}, "data": {}}, "type is not of the type string"),
            ({"type": "anything", "data": [1]}, "data is not of the type object"),
        ],
    )
    def test_other_shapes_are_refused_also_of_events_that_would_be_ignored(
        self, body: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(InvalidRequest, match=says):
            read({**self.OPENED, "body": json.dumps(body)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PARTS = st.sampled_from(["action", "issue", "comment", "repository", "sender", "discussion", "type", "data"])


@given(
    body=st.dictionaries(PARTS, JSON | st.just("opened") | st.just("created") | st.just("case.opened")),
    kind=st.sampled_from(["issues", "issue_comment", "discussion", "ping", "push", "\ud800"]),
    name=st.sampled_from(["github", "webhook"]),
)
def test_whatever_comes_is_read_ignored_or_refused(body: Any, kind: str, name: str) -> None:
    headers = {"content-type": "application/json", "x-github-event": kind}
    # Anything else that is raised fails the test.
    with suppress(RequestRejected):
        read_event(load_source(name, SOURCES), headers, json.dumps(body).encode(), AT, GITHUB_API)


# A source of somebody's own.

OWN = """
name: desk
tenant: acme
scheme: {scheme}
content: form
form_field: payload
event_key: {{body: event.id}}
event_type: {{body: event.kind}}
cases:
  - type: question
    when: "!(event.internal)"
    otherwise: internal notes open no case
    id: event.ticket
    subject: join(' ', event.tags)
    text: event.words
    author: event.from
    thread: event.ticket
    reply: {{channel: callback, address: event.answer_to}}
"""
FORM = {"content-type": "application/x-www-form-urlencoded"}


def own(tmp_path: Path, text: str = "", name: str = "desk") -> Source:
    (tmp_path / f"{name}.yaml").write_text(text or OWN.format(scheme="slack"))
    return load_source(name, tmp_path)


def form(**event: Any) -> bytes:
    defaults = {
        "id": "e-1",
        "kind": "question",
        "ticket": 7,
        "tags": ["a", "b"],
        "words": "Wie geht's? 🖋",
        "from": "x",
        "answer_to": "https://desk.example.com/in",
    }
    return urlencode({"payload": json.dumps({"event": {**defaults, **event}}), "token": "t"}).encode()


def test_a_sender_of_ones_own_needs_no_code(tmp_path: Path) -> None:
    source = own(tmp_path)
    request = read_event(source, FORM, form(), AT, GITHUB_API)
    assert isinstance(request, Request)
    assert (request.source, request.event_id, request.subject) == ("desk", "7", "a b")
    assert request.text == "Wie geht's? 🖋"
    assert event_key(source, FORM, form()) == "e-1"
    assert source.signs_event_key
    assert read_event(source, FORM, form(internal=True), AT, GITHUB_API) == Ignored(
        "internal notes open no case"
    )
    with pytest.raises(InvalidRequest, match=re.escape("wrong types for join(' ', event.tags)")):
        read_event(source, FORM, form(tags="a"), AT, GITHUB_API)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("name: desk", "name: other"), "name: the file has another name than other"),
        (("tenant: acme", "tenant: a/b"), "tenant: "),
        (("scheme: slack", "scheme: md5"), "scheme: "),
        (("form_field: payload", "form_field: 7"), "form_field: "),
        (("content: form", "content: json"), "form_field needs content: form"),
        (("{body: event.id}", "{}"), "event_key: Value error, give either header or body"),
        (("{body: event.id}", "{header: Authorization}"), "event_key.header: "),
        (("{body: event.id}", "{header: authorization}"), "the header authorization is a secret"),
        (("{body: event.id}", "{header: x-slack-signature}"), "the header x-slack-signature is a secret"),
        (("{body: event.kind}", "{body: 'event.['}"), "event_type.body: Value error, 'event.['"),
        (("text: event.words", "text: ''"), "cases.0.text: "),
        (("text: event.words", "text: 5"), "cases.0.text: "),
        (("text: event.words", ""), "cases.0.text: Field required"),
        (
            ("text: event.words", "text: lower(event.words)"),
            "cases.0.text: Value error, JMESPath has no function",
        ),
        (("join(' ', event.tags)", "join(event.tags)"), "JMESPath's join takes 2 arguments, not 1"),
        (("channel: callback", "channel: mail"), "cases.0.reply.channel: "),
        (("    author:", "    mention: true\n    author:"), "no name to mention"),
        (("    author:", "    auther: x\n    author:"), "cases.0.auther: "),
        (("    author:", "    shape: {event: thing}\n    author:"), "cases.0.shape.event: "),
        (("cases:", "ignored: [{reason: x}]\ncases:"), "ignored.0: Value error, give type, when or both"),
        (("name: desk", "name: [desk"), "is no YAML"),
        ((OWN.format(scheme="slack"), "- a\n- b\n"), "source: "),
    ],
)
def test_a_wrong_file_names_the_file_and_the_field(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    text = OWN.format(scheme="slack")
    assert change[0] in text
    with pytest.raises(ConfigurationError, match=re.escape(says)) as raised:
        own(tmp_path, text.replace(*change))
    assert "desk.yaml" in str(raised.value)


class TestEventKey:
    def test_a_missing_unsigned_header_is_replaced_by_the_body(self) -> None:
        github = load_source("github", SOURCES)
        assert event_key(github, {"x-github-delivery": "d-1"}, b"{}") == "d-1"
        without = {event_key(github, {}, body) for body in (b"{}", b"{} ", b"{}")}
        assert len(without) == 2
        assert all(len(key) == 64 for key in without)

    @pytest.mark.parametrize("key", ["x" * (MAX_ID + 1), "\ud800"])
    def test_an_impossible_one_is_refused(self, key: str) -> None:
        with pytest.raises(InvalidRequest, match="x-github-delivery"):
            event_key(load_source("github", SOURCES), {"x-github-delivery": key}, b"{}")

    def test_headers_that_authenticate_are_not_kept(self) -> None:
        headers = sample("github_issue_opened")["headers"] | {"authorization": "Bearer x", "cookie": "y"}
        assert load_source("github", SOURCES).kept_headers(headers) == {
            "content-type": "application/json",
            "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "x-github-event": "issues",
        }
