"""Secrets of sources: what is active, how often the store is asked, and that it fails closed."""

from typing import Any

import pytest
from aws_lambda_powertools.utilities.parameters.secrets import SecretsProvider

from countersign.errors import SecretsUnavailable
from countersign.secrets import REFRESH_S, REFRESHES, SourceSecrets
from tests.unit.senders import SecretStore


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def make(**values: dict[str, Any]) -> tuple[SourceSecrets, SecretStore, Clock]:
    store, clock = SecretStore(), Clock()
    for source, fields in values.items():
        store.put(source, **fields)
    provider = SecretsProvider(boto3_client=store)  # type: ignore[arg-type]
    return SourceSecrets(provider, "test", clock), store, clock


@pytest.mark.parametrize(
    ("fields", "active", "token"),
    [
        ({"current": "a"}, ["a"], None),
        ({"current": "a", "previous": "b", "api_token": "t"}, ["a", "b"], "t"),
        ({"current": "a", "previous": None, "note": 1}, ["a"], None),
        ({"current": "", "previous": ""}, [], None),
    ],
)
def test_the_current_and_the_previous_secret_are_active(
    fields: dict[str, Any], active: list[str], token: str | None
) -> None:
    secrets, store, _ = make(github=fields)
    assert secrets.signing("github") == active
    assert secrets.api_token("github") == token
    assert store.asked == ["test/sources/github"]


def test_a_new_secret_is_found_by_asking_again_but_not_all_the_time() -> None:
    secrets, store, clock = make(github={"current": "old"})
    assert secrets.signing("github") == ["old"]
    store.put("github", current="new", previous="old")
    assert secrets.signing("github") == ["old"]
    assert secrets.refresh("github")
    assert secrets.signing("github") == ["new", "old"]
    clock.now += 1
    for _ in range(REFRESHES - 1):
        assert secrets.refresh("github")
    store.asked.clear()
    assert not secrets.refresh("github")
    clock.now += REFRESH_S - 1.1
    assert not secrets.refresh("github")
    assert store.asked == []
    clock.now += 0.2
    assert secrets.refresh("github")
    assert not secrets.refresh("github")
    assert store.asked == ["test/sources/github"]


def test_asking_again_for_one_source_does_not_hold_up_another() -> None:
    secrets, _, _ = make(github={"current": "a"}, webhook={"current": "b"})
    assert secrets.refresh("github")
    assert secrets.refresh("webhook")


def test_a_source_without_a_secret_has_none_and_is_asked_for_rarely() -> None:
    secrets, store, clock = make()
    for _ in range(5):
        assert secrets.signing("github") == []
        assert secrets.api_token("github") is None
    assert not secrets.refresh("github")
    assert store.asked == ["test/sources/github"] * (1 + REFRESHES)
    store.put("github", current="a")
    clock.now += REFRESH_S
    assert secrets.signing("github") == ["a"]


@pytest.mark.parametrize(
    "code", ["InternalServiceError", "ThrottlingException", "AccessDeniedException", "DecryptionFailure"]
)
def test_a_store_that_does_not_answer_is_no_missing_secret(code: str) -> None:
    secrets, store, _ = make(github={"current": "a"})
    store.error = code
    for call in (secrets.signing, secrets.api_token, secrets.refresh):
        with pytest.raises(SecretsUnavailable, match="github"):
            call("github")
    store.error = None
    assert secrets.signing("github") == ["a"]


@pytest.mark.parametrize(
    "value", ["", "hunter2", '"hunter2"', '["hunter2"]', '{"currant": "hunter2"}', '{"current": ["hunter2"]}']
)
def test_a_malformed_secret_is_told_without_its_value(value: str) -> None:
    secrets, store, _ = make()
    store.values["test/sources/github"] = value
    with pytest.raises(SecretsUnavailable, match="is not as it should be") as raised:
        secrets.signing("github")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__suppress_context__


REPLIES = {"current": "a", "reply_url": "https://desk.example.com/", "reply_secret": "whsec_MDEyMw=="}


@pytest.mark.parametrize(
    ("fields", "url", "key"),
    [
        ({"current": "a"}, None, "a"),
        ({"current": "a", "previous": "b"}, None, "a"),
        ({"current": "a", "reply_secret": "MDEyMw=="}, None, "MDEyMw=="),
        (REPLIES, "https://desk.example.com/", "whsec_MDEyMw=="),
        ({**REPLIES, "reply_url": ""}, None, "whsec_MDEyMw=="),
        ({"current": ""}, None, None),
    ],
)
def test_where_replies_go_and_what_signs_them(
    fields: dict[str, Any], url: str | None, key: str | None
) -> None:
    secrets, store, _ = make(stripe=fields)
    assert (secrets.reply_url("stripe"), secrets.reply_key("stripe")) == (url, key)
    assert store.asked == ["test/sources/stripe"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reply_secret": None}, "reply_url"),
        ({"reply_secret": ""}, "reply_secret"),
        ({"reply_secret": "whsec_not base64"}, "reply_secret"),
    ],
)
def test_an_address_for_replies_needs_a_key_that_can_sign_them(change: dict[str, Any], field: str) -> None:
    secrets, _, _ = make(stripe=REPLIES | change)
    for call in (secrets.signing, secrets.reply_url, secrets.reply_key):
        with pytest.raises(SecretsUnavailable, match=f"source stripe is not as it should be: .*{field}"):
            call("stripe")


def test_a_source_without_a_secret_has_nowhere_to_reply_to() -> None:
    secrets, _, _ = make()
    assert (secrets.reply_url("stripe"), secrets.reply_key("stripe")) == (None, None)


def test_values_are_in_no_repr() -> None:
    hidden = {"reply_secret": "aHVudGVy", "reply_url": "https://hunter4.example/"}
    secrets, _, _ = make(github={"current": "hunter2", "api_token": "hunter3", **hidden})
    secrets.signing("github")
    assert "hunter" not in repr(secrets._get("github"))
    assert "aHVudGVy" not in repr(secrets._get("github"))
