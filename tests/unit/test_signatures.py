"""The six signature schemes: what each accepts, and that anything else is refused and does nothing worse."""

import base64
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256, sha512
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import ConfigurationError, SignatureRejected
from countersign.signatures import MAX_DIGESTS, SCHEMES, is_signing_key, sign_standard_webhook, verify

NOW = 1_790_000_000
BODY = '{"subject": "Größe?",\r\n "id": 7}'.encode()
KEY = b"0123456789abcdef01234567"
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
TEXT_SECRET = "a literal secret"


def mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, sha256).digest()


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def standard(
    body: bytes = BODY, key: bytes = KEY, at: object = NOW, message_id: str = "msg_1"
) -> dict[str, str]:
    digest = mac(key, f"{message_id}.{at}.".encode() + body)
    return {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": f"v1,{b64(digest)}"}


def github(body: bytes = BODY, key: bytes = TEXT_SECRET.encode()) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={mac(key, body).hex()}"}


def stripe(body: bytes = BODY, key: bytes = TEXT_SECRET.encode(), at: object = NOW) -> dict[str, str]:
    return {"Stripe-Signature": f"t={at},v1={mac(key, f'{at}.'.encode() + body).hex()}"}


def slack(body: bytes = BODY, key: bytes = TEXT_SECRET.encode(), at: object = NOW) -> dict[str, str]:
    digest = mac(key, f"v0:{at}:".encode() + body)
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={digest.hex()}"}


def zendesk(body: bytes = BODY, key: bytes = TEXT_SECRET.encode(), at: object = NOW) -> dict[str, str]:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(at, int) else str(at)
    return {
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        "X-Zendesk-Webhook-Signature": b64(mac(key, stamp.encode() + body)),
    }


def shopify(body: bytes = BODY, key: bytes = TEXT_SECRET.encode()) -> dict[str, str]:
    return {"X-Shopify-Hmac-SHA256": b64(mac(key, body))}


SIGNERS: dict[str, Callable[..., dict[str, str]]] = {
    "standard-webhooks": standard,
    "github": github,
    "stripe": stripe,
    "slack": slack,
    "zendesk": zendesk,
    "shopify": shopify,
}
TIMED = ["standard-webhooks", "stripe", "slack", "zendesk"]


def secret_of(scheme: str) -> str:
    return WHSEC if scheme == "standard-webhooks" else TEXT_SECRET


def refused(scheme: str, headers: dict[str, str], why: str, **changes: object) -> None:
    arguments: dict[str, object] = {"body": BODY, "secrets": [secret_of(scheme)], "now": NOW} | changes
    with pytest.raises(SignatureRejected, match=re.escape(why)):
        verify(scheme, headers, **arguments)  # type: ignore[arg-type]


def test_every_scheme_is_tried_here() -> None:
    assert set(SIGNERS) == set(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
class TestEveryScheme:
    def test_accepts_what_the_secret_signed(self, scheme: str) -> None:
        verify(scheme, SIGNERS[scheme](), BODY, [secret_of(scheme)], NOW)

    @pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
    def test_header_names_match_in_any_case(self, scheme: str, change: Callable[[str], str]) -> None:
        headers = {change(name): value for name, value in SIGNERS[scheme]().items()}
        verify(scheme, headers, BODY, [secret_of(scheme)], NOW)

    @pytest.mark.parametrize(
        "body", [BODY[:-1], BODY + b"\n", b"\xef\xbb\xbf" + BODY, BODY.replace(b"\r", b"")]
    )
    def test_refuses_another_body(self, scheme: str, body: bytes) -> None:
        refused(scheme, SIGNERS[scheme](), "does not match", body=body)

    def test_refuses_another_secret(self, scheme: str) -> None:
        refused(scheme, SIGNERS[scheme](key=b"another"), "does not match")

    def test_accepts_any_active_secret(self, scheme: str) -> None:
        for secrets in (["b3RoZXI=", secret_of(scheme)], [secret_of(scheme), "b3RoZXI="]):
            verify(scheme, SIGNERS[scheme](), BODY, secrets, NOW)

    def test_refuses_a_retired_secret(self, scheme: str) -> None:
        refused(scheme, SIGNERS[scheme](), "does not match", secrets=["b3RoZXI="])

    @pytest.mark.parametrize("secrets", [[], [""], ["", ""], [" "], ["\n"], ["\ud800"]])
    def test_fails_closed_without_a_secret(self, scheme: str, secrets: list[str]) -> None:
        refused(scheme, SIGNERS[scheme](key=b""), "no usable secret", secrets=secrets)

    def test_an_empty_secret_beside_a_real_one_counts_for_nothing(self, scheme: str) -> None:
        refused(scheme, SIGNERS[scheme](key=b""), "does not match", secrets=["", secret_of(scheme)])
        verify(scheme, SIGNERS[scheme](), BODY, ["", secret_of(scheme)], NOW)

    def test_needs_each_header_once_and_filled(self, scheme: str) -> None:
        headers = SIGNERS[scheme]()
        for name in headers:
            refused(scheme, {k: v for k, v in headers.items() if k != name}, f"{name.lower()} is missing")
            refused(scheme, headers | {name: ""}, f"{name.lower()} is missing")
            refused(
                scheme, headers | {name.swapcase(): headers[name]}, f"{name.lower()} was sent more than once"
            )

    def test_spaces_around_a_value_are_no_part_of_it(self, scheme: str) -> None:
        headers = {name: f" \t{value}\t " for name, value in SIGNERS[scheme]().items()}
        verify(scheme, headers, BODY, (secret_of(scheme),), NOW)
        for name in headers:
            refused(scheme, headers | {name: " \t"}, f"{name.lower()} is missing")

    @pytest.mark.parametrize("value", [None, 7, ["v1,AAAA"], b"v1,AAAA"])
    def test_a_value_that_is_no_text_is_none(self, scheme: str, value: object) -> None:
        for name in SIGNERS[scheme]():
            headers: dict[str, Any] = SIGNERS[scheme]() | {name: value}
            refused(scheme, headers, f"{name.lower()} is missing")

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_takes_a_body_in_any_buffer(self, scheme: str, kind: Callable[[bytes], Any]) -> None:
        verify(scheme, SIGNERS[scheme](), kind(BODY), (secret_of(scheme),), NOW + 0.5)

    def test_underscores_are_no_hyphens(self, scheme: str) -> None:
        headers = {name.replace("-", "_"): value for name, value in SIGNERS[scheme]().items()}
        refused(scheme, headers, "is missing")

    def test_accepts_only_its_own_headers(self, scheme: str) -> None:
        for other in set(SCHEMES) - {scheme}:
            refused(scheme, SIGNERS[other](), "is missing")

    @pytest.mark.parametrize("cut", [1, 4, 20])
    def test_refuses_a_truncated_digest(self, scheme: str, cut: int) -> None:
        headers = SIGNERS[scheme]()
        name = next(name for name in headers if re.search("signature$|hmac|256$", name, re.IGNORECASE))
        refused(scheme, headers | {name: headers[name][:-cut]}, "does not match")

    @pytest.mark.parametrize("junk", ["é", "\ud800", "\x00", "*"])
    def test_refuses_junk_in_a_digest(self, scheme: str, junk: str) -> None:
        headers = SIGNERS[scheme]()
        name = next(name for name in headers if re.search("signature$|hmac|256$", name, re.IGNORECASE))
        refused(scheme, headers | {name: headers[name][:-1] + junk}, "does not match")

    @given(data=st.data())
    def test_answers_anything_with_a_refusal(self, scheme: str, data: st.DataObject) -> None:
        values = st.one_of(st.text(), st.sampled_from([str(NOW), "v1,", "v0=", "t=1,t=2", "sha256=", ","]))
        headers = {name: data.draw(values) for name in SIGNERS[scheme]()}
        with pytest.raises(SignatureRejected):
            verify(scheme, headers, data.draw(st.binary()), [data.draw(st.text()), secret_of(scheme)], NOW)


@pytest.mark.parametrize("scheme", TIMED)
class TestTime:
    @pytest.mark.parametrize("age", [-300, -299, 0, 299, 300])
    def test_accepts_within_the_tolerance(self, scheme: str, age: int) -> None:
        verify(scheme, SIGNERS[scheme](at=NOW - age), BODY, [secret_of(scheme)], NOW)

    @pytest.mark.parametrize("age", [-86_400, -301, 301, 86_400])
    def test_refuses_beyond_it_both_ways(self, scheme: str, age: int) -> None:
        refused(scheme, SIGNERS[scheme](at=NOW - age), "outside the tolerance")

    def test_the_tolerance_is_the_callers(self, scheme: str) -> None:
        verify(scheme, SIGNERS[scheme](at=NOW - 900), BODY, [secret_of(scheme)], NOW, tolerance_s=900)
        refused(scheme, SIGNERS[scheme](at=NOW - 11), "outside the tolerance", tolerance_s=10)

    def test_a_clock_that_is_no_number_refuses(self, scheme: str) -> None:
        refused(scheme, SIGNERS[scheme](), "outside the tolerance", now=float("nan"))

    def test_the_time_is_signed(self, scheme: str) -> None:
        fresh, old = SIGNERS[scheme](), SIGNERS[scheme](at=NOW - 4000)
        for name in fresh:
            if name.lower().endswith("timestamp"):
                refused(scheme, old | {name: fresh[name]}, "does not match")

    @pytest.mark.parametrize(
        "at", ["hello", "nan", "-1", "+1790000000", "1e9", "1790000000.0", "17900 00000", "1790000000\n",
               "01790000000", "1790000000000", "١٧٩٠٠٠٠٠٠٠", "1_790_000_000", "0x1", "9" * 13, "9" * 5000],
    )  # fmt: skip
    def test_refuses_what_is_no_time_though_signed(self, scheme: str, at: str) -> None:
        refused(scheme, SIGNERS[scheme](at=at), "timestamp")


@pytest.mark.parametrize("scheme", ["standard-webhooks", "slack"])
def test_two_header_lines_of_a_time_are_none(scheme: str) -> None:
    # API Gateway joins them with a comma: one could be signed and the other fresh.
    refused(scheme, SIGNERS[scheme](at=f"{NOW},{NOW}"), "not in Unix seconds")


@pytest.mark.parametrize("scheme", ["github", "shopify"])
def test_without_a_time_an_old_request_is_still_signed(scheme: str) -> None:
    verify(scheme, SIGNERS[scheme](), BODY, [TEXT_SECRET], NOW + 10**9)


class TestStandardWebhooks:
    @pytest.mark.parametrize(
        "secret", [WHSEC, WHSEC.removeprefix("whsec_"), base64.b64encode(KEY[:23]).decode()]
    )
    def test_the_prefix_and_the_padding_of_the_secret_are_optional(self, secret: str) -> None:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        for form in (secret, secret.rstrip("=")):
            verify("standard-webhooks", standard(key=key), BODY, [form], NOW)

    def test_thirty_two_letters_and_digits_are_a_key(self) -> None:
        secret = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1BCdEf"
        verify("standard-webhooks", standard(key=base64.b64decode(secret)), BODY, [secret], NOW)

    @pytest.mark.parametrize(
        "secret", ["whsec_", "whsec_a", "not base64!", WHSEC + "\n", WHSEC[:-2] + "-_", "é"]
    )
    def test_a_secret_that_is_no_base64_matches_nothing(self, secret: str) -> None:
        refused("standard-webhooks", standard(key=b""), "no usable secret", secrets=[secret])
        refused("standard-webhooks", standard(key=secret.encode()), "no usable secret", secrets=[secret])

    def test_the_id_is_signed(self) -> None:
        refused("standard-webhooks", standard() | {"webhook-id": "msg_2"}, "does not match")

    def test_nothing_moves_between_the_body_and_the_id(self) -> None:
        headers = standard(body=f"{NOW}.".encode() + BODY)
        refused("standard-webhooks", headers | {"webhook-id": f"msg_1.{NOW}"}, "full stop")

    @pytest.mark.parametrize(
        "form", ["v1a,{0} {1}", "v2,{0} {1}", "{1} v1,{0}", "v1,{0}  {1}", " {1} ", "v1 {1}"]
    )
    def test_finds_its_version_among_others(self, form: str) -> None:
        headers = standard()
        value = form.format("AAAA", headers["webhook-signature"])
        verify("standard-webhooks", headers | {"webhook-signature": value}, BODY, [WHSEC], NOW)

    @pytest.mark.parametrize(
        "form",
        ["{0}", "v1={0}", "v1", "v1,", "V1,{0}", "v2,{0}", "v1a,{0}", "v1,AAAA,v1,{0}", "v1, {0}", ","],
    )
    def test_refuses_another_form(self, form: str) -> None:
        headers = standard()
        value = form.format(headers["webhook-signature"].removeprefix("v1,"))
        refused("standard-webhooks", headers | {"webhook-signature": value}, "does not match")

    def test_refuses_another_algorithm(self) -> None:
        content = f"msg_1.{NOW}.".encode() + BODY
        for digest in (sha256(KEY + content).digest(), hmac.digest(KEY, content, sha512)):
            headers = standard() | {"webhook-signature": f"v1,{b64(digest)}"}
            refused("standard-webhooks", headers, "does not match")

    def test_a_request_offers_a_bounded_number_of_digests(self) -> None:
        headers = standard()
        right = headers["webhook-signature"]
        most = " ".join(["v1,AAAA"] * (MAX_DIGESTS - 1) + [right])
        verify("standard-webhooks", headers | {"webhook-signature": most}, BODY, [WHSEC], NOW)
        refused("standard-webhooks", headers | {"webhook-signature": f"v1,AAAA {most}"}, "too many")


class TestSigning:
    def test_what_we_sign_verifies_and_names_its_id(self) -> None:
        headers = sign_standard_webhook(WHSEC, "c-1-a1", NOW, BODY)
        assert headers == standard(message_id="c-1-a1")
        verify("standard-webhooks", headers, BODY, [WHSEC.removeprefix("whsec_")], NOW)

    @pytest.mark.parametrize("secret", ["", "whsec_", "not base64!"])
    def test_does_not_sign_with_no_key(self, secret: str) -> None:
        with pytest.raises(ConfigurationError, match="not base64"):
            sign_standard_webhook(secret, "c-1-a1", NOW, BODY)
        assert not is_signing_key(secret)

    @pytest.mark.parametrize("secret", [WHSEC, WHSEC.removeprefix("whsec_"), "MDEyMw"])
    def test_says_which_secret_it_could_sign_with(self, secret: str) -> None:
        assert is_signing_key(secret)
        assert sign_standard_webhook(secret, "c-1-a1", NOW, BODY)


class TestTextSchemes:
    def test_a_text_secret_is_taken_literally(self) -> None:
        for secret in ("dGV4dA==", "whsec_dGV4dA==", " spaced ", "Größe"):
            for scheme in ("github", "stripe", "slack", "zendesk", "shopify"):
                verify(scheme, SIGNERS[scheme](key=secret.encode()), BODY, [secret], NOW)

    @pytest.mark.parametrize("prefix", ["", "sha1=", "SHA256=", "sha512=", "sha256:", "sha256 ="])
    def test_github_takes_sha256_alone(self, prefix: str) -> None:
        value = prefix + github()["X-Hub-Signature-256"].removeprefix("sha256=")
        refused("github", {"X-Hub-Signature-256": value}, "does not start with sha256=")

    def test_github_does_not_fall_back_to_the_older_header(self) -> None:
        old = {"X-Hub-Signature": "sha1=" + hmac.digest(TEXT_SECRET.encode(), BODY, "sha1").hex()}
        refused("github", old, "is missing")
        refused("github", old | {"X-Hub-Signature-256": "sha256=" + "0" * 64}, "does not match")

    @pytest.mark.parametrize("scheme", ["github", "stripe", "slack"])
    def test_hex_is_in_lower_case(self, scheme: str) -> None:
        headers = {
            name: re.sub("[0-9a-f]{64}", lambda found: found[0].upper(), value)
            for name, value in SIGNERS[scheme]().items()
        }
        refused(scheme, headers, "does not match")

    @pytest.mark.parametrize("form", ["{t},v1=00,{v1}", "{v1},{t}", "v0=00,{t},{v1},v9", "{t},{v1},"])
    def test_stripe_finds_its_parts_in_any_order(self, form: str) -> None:
        t, v1 = stripe()["Stripe-Signature"].split(",")
        verify("stripe", {"Stripe-Signature": form.format(t=t, v1=v1)}, BODY, [TEXT_SECRET], NOW)

    @pytest.mark.parametrize(
        ("form", "why"),
        [
            ("{v1}", "exactly one timestamp"),
            ("{t},{t},{v1}", "exactly one timestamp"),
            ("t=1,{t},{v1}", "exactly one timestamp"),
            ("{t};{v1}", "Unix seconds"),
            ("{t}", "does not match"),
            ("{t},v1", "does not match"),
            ("{t}, {v1}", "does not match"),
            ("{t},V{v1}", "does not match"),
            ("{t},v0={digest}", "does not match"),
        ],
    )
    def test_stripe_refuses_other_forms(self, form: str, why: str) -> None:
        t, v1 = stripe()["Stripe-Signature"].split(",")
        refused("stripe", {"Stripe-Signature": form.format(t=t, v1=v1, digest=v1.removeprefix("v1="))}, why)

    @pytest.mark.parametrize("prefix", ["", "v1=", "V0=", "v0:"])
    def test_slack_takes_version_0_alone(self, prefix: str) -> None:
        headers = slack()
        value = prefix + headers["X-Slack-Signature"].removeprefix("v0=")
        refused("slack", headers | {"X-Slack-Signature": value}, "does not start with v0=")

    @pytest.mark.parametrize(
        "stamp", ["2026-09-21T13:33:20+00:00", "2026-09-21T15:33:20+02:00", "2026-09-21T13:33:20.5Z"]
    )
    def test_zendesk_takes_any_zone(self, stamp: str) -> None:
        at = int(datetime(2026, 9, 21, 13, 33, 20, tzinfo=UTC).timestamp())
        verify("zendesk", zendesk(at=stamp), BODY, [TEXT_SECRET], at)
        refused("zendesk", zendesk(at=stamp), "outside the tolerance", now=at + 302)

    @pytest.mark.parametrize(
        "stamp",
        [
            "2026-09-21T13:33:20",
            "2026-09-21 13:33:20Z",
            "2026-09-21",
            "20260921T133320Z",
            "2026-13-45T99:99:99Z",
            "2026-09-21T13:33:20Z{",
            "2026-09-21T13:33:20z",
            "0001-01-01T00:00:00+99:99",
            "2026-W39-1T00:00:00Z",
        ],
    )
    def test_zendesk_refuses_a_loose_time(self, stamp: str) -> None:
        refused("zendesk", zendesk(at=stamp), "the timestamp is no")

    @pytest.mark.parametrize("scheme", ["zendesk", "shopify"])
    def test_base64_is_no_hex(self, scheme: str) -> None:
        headers = SIGNERS[scheme]()
        name = list(headers)[-1]
        refused(scheme, headers | {name: base64.b64decode(headers[name]).hex()}, "does not match")


def test_an_unknown_scheme_is_refused() -> None:
    refused("hmac", github(), "no such signature scheme")
