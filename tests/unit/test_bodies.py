"""The strict reader: what it takes, what it refuses, and that no bytes get anything else out of it."""

import base64
import gzip
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.bodies import (
    FORM,
    LIMIT,
    MAX_DEPTH,
    MAX_FORM_FIELDS,
    event_headers,
    media_type,
    path_parameter,
    raw_body,
    read_form,
    read_json,
)
from countersign.errors import BodyTooLarge, RequestRejected, UnreadableBody, WrongContentType

JSON_TYPE = "application/json"


def parse(body: bytes, content_type: str | None = JSON_TYPE, **options: Any) -> Any:
    return read_json(body, content_type=content_type, **options)


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """An object that is `depth` levels deep, itself counted."""
    return b'{"a":%s1%s}' % ((opening * (depth - 1)).encode(), (closing * (depth - 1)).encode())


class TestJson:
    @pytest.mark.parametrize(
        "value",
        [
            {},
            {"id": "a", "ID": "b", "": 1, "a.b": None, "#n": [True, False, {}, []]},
            {"text": 'NUL \0, controls \x1b[2J\r\n, U+FFFF \uffff, "quotes", \\ and 🖋 and [[[{{{'},
            {"n": 10**38 - 1, "m": -(10**37), "f": -1.5e300, "zero": -0.0},
            {"{": "[" * 100, "}": '"' * 100, "\\": "\\" * 101},
        ],
    )
    def test_reads_an_object_whole(self, value: object) -> None:
        for ascii_only in (True, False):
            assert parse(json.dumps(value, ensure_ascii=ascii_only, indent=1).encode()) == value

    @given(st.dictionaries(st.text(), st.lists(st.text() | st.integers(-(2**63), 2**63) | st.floats(0, 1))))
    def test_reads_whatever_json_can_say(self, value: object) -> None:
        assert parse(json.dumps(value).encode()) == value

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", "not JSON"),
            (b" ", "not JSON"),
            (b"hello", "not JSON"),
            (b"<html></html>", "not JSON"),
            (b'{"a":1,}', "not JSON"),
            (b'{"a":1} x', "not JSON"),
            (b'{"a":01}', "not JSON"),
            (b'{"a":0x10}', "not JSON"),
            (b'{"a":"x\ny"}', "not JSON"),
            (b"{'a':1}", "not JSON"),
            (b'{"a":1}{"a":1}', "not JSON"),
            (b"true", "not a JSON object"),
            (b"null", "not a JSON object"),
            (b"[{}]", "not a JSON object"),
            (b'"text"', "not a JSON object"),
            (b"7", "not a JSON object"),
            (b'{"a":NaN}', "NaN is not JSON"),
            (b'{"a":Infinity}', "Infinity is not JSON"),
            (b'{"a":-Infinity}', "-Infinity is not JSON"),
            (b'{"a":1e999}', "too large"),
            (b'{"a":-1e999}', "too large"),
            (b'{"a":0.%s}' % (b"1" * 400), "too long"),
            (b'{"a":1%s}' % (b"0" * 38), "more than 38 digits"),
            (b'{"a":-1%s}' % (b"0" * 38), "more than 38 digits"),
            (b'{"a":%s}' % (b"9" * 5000), "more than 38 digits"),
            (b'{"a":1,"a":1}', "twice"),
            (b'{"id":"a","\\u0069d":"b"}', "twice"),
            (b'{"a":[{"b":{"c":1,"c":2}}]}', "twice"),
            (b'{"a":"\\ud800"}', "surrogate"),
            (b'{"a":"x\\uDC00y"}', "surrogate"),
            (b'{"a":["\\udfff\\ud800"]}', "surrogate"),
            (b'{"\\uDaFF":1}', "surrogate"),
            (b'\xef\xbb\xbf{"a":1}', "not JSON"),
            ('{"a":1}'.encode("utf-16"), "not UTF-8"),
            ('{"a":1}'.encode("utf-16-le"), "not JSON"),
            (b'{"a":"\xc0\x80"}', "not UTF-8"),
            (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
            (b'{"a":"\xff"}', "not UTF-8"),
            (gzip.compress(b'{"a":1}', mtime=0), "not UTF-8"),
        ],
    )
    def test_refuses(self, body: bytes, why: str) -> None:
        with pytest.raises(UnreadableBody, match=why):
            parse(body)

    def test_says_where_it_stopped_and_nothing_of_the_text(self) -> None:
        with pytest.raises(UnreadableBody) as caught:
            parse(b'{"card": "4111 1111 1111 1111" "cvc"}')
        assert "line 1 column 32" in str(caught.value)
        assert "4111" not in str(caught.value)

    def test_a_surrogate_pair_is_a_character(self) -> None:
        assert parse(b'{"a":"\\ud83d\\ude00"}') == {"a": "😀"}

    def test_an_escaped_backslash_before_a_u_is_no_escape(self) -> None:
        assert parse(b'{"a":"\\\\ud800"}') == {"a": "\\ud800"}

    @pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
    def test_the_depth_is_bounded(self, opening: str, closing: str) -> None:
        levels = opening.count("[") + opening.count("{")
        deepest = (MAX_DEPTH - 1) // levels * levels + 1
        times = (deepest - 1) // levels
        parse(b'{"a":%s1%s}' % ((opening * times).encode(), (closing * times).encode()))
        for more in (times + 1, 1_000, 100_000):
            with pytest.raises(UnreadableBody, match="levels deep"):
                parse(b'{"a":%s1%s}' % ((opening * more).encode(), (closing * more).encode()))

    def test_exactly_the_depth_is_read(self) -> None:
        parse(nested(MAX_DEPTH))
        with pytest.raises(UnreadableBody, match="levels deep"):
            parse(nested(MAX_DEPTH + 1))

    def test_brackets_side_by_side_or_in_texts_are_not_deep(self) -> None:
        wide = {"a": [[] for _ in range(1000)], "b": '\\"[{' * 1000, "[" * 1000: 1}
        assert parse(json.dumps(wide).encode()) == wide

    @pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b'{"a":"' + b"[" * 100_000])
    def test_what_never_ends_is_refused(self, body: bytes) -> None:
        with pytest.raises(UnreadableBody):
            parse(body)

    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 65 + b'"\\"' * 200_000,
            b"[" * 65 + b'"' + b'\\"' * 400_000 + b"\\",
            b'{"a":' + b"1" * 1_000_000 + b"}",
            b'{"a":0.' + b"1" * 1_000_000 + b"}",
            b'{"a":[' + b"0," * 500_000 + b"0]}",
            b'{"a":"' + b"\\u0301" * 170_000 + b'"}',
        ],
    )
    def test_no_document_takes_long(self, body: bytes) -> None:
        began = time.process_time()
        with suppress(UnreadableBody):
            parse(body)
        assert time.process_time() - began < 1

    @given(st.binary() | st.text(alphabet='{}[]",:\\u0d8 eE+-.1').map(str.encode))
    def test_any_bytes_give_an_object_or_a_refusal(self, body: bytes) -> None:
        try:
            value = parse(body)
        except UnreadableBody:
            return
        assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("read", "content_type", "prefix"), [(read_json, JSON_TYPE, b'{"a":"'), (read_form, FORM, b"a=")]
)
class TestEveryType:
    def body(self, prefix: bytes) -> bytes:
        return prefix + (b'b"}' if prefix.startswith(b"{") else b"b")

    def test_reads_its_type(self, read: Callable[..., Any], content_type: str, prefix: bytes) -> None:
        for form in ("{}", "{};charset=utf-8", '{} ; foo=bar; Charset="UTF-8"', " {} ", "{};charset=utf8"):
            for case in (str.upper, str.lower):
                value = read(self.body(prefix), content_type=case(form.format(content_type)))
                assert value == {"a": "b"}

    @pytest.mark.parametrize(
        "form",
        [None, "", ";", "text/plain", "application/xml", "multipart/form-data", "application/jsonp", "{},{}",
         "{};charset=utf-16", "{}; charset=no-such-charset", "{}; charset=", '{};charset="latin1"'],
    )  # fmt: skip
    def test_refuses_others(
        self, read: Callable[..., Any], content_type: str, prefix: bytes, form: str | None
    ) -> None:
        given_type = form and form.format(content_type, content_type)
        with pytest.raises(WrongContentType):
            read(self.body(prefix), content_type=given_type)

    def test_the_types_are_apart(self, read: Callable[..., Any], content_type: str, prefix: bytes) -> None:
        other = FORM if content_type == JSON_TYPE else JSON_TYPE
        with pytest.raises(WrongContentType, match=content_type):
            read(self.body(prefix), content_type=other)

    @pytest.mark.parametrize(
        "encoding", ["gzip", "deflate", "br", "zstd", "x-gzip", "identity,gzip", "chunked"]
    )
    def test_inflates_nothing(
        self, read: Callable[..., Any], content_type: str, prefix: bytes, encoding: str
    ) -> None:
        with pytest.raises(WrongContentType, match="compressed"):
            read(self.body(prefix), content_type=content_type, content_encoding=encoding)

    @pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
    def test_reads_what_is_not_compressed(
        self, read: Callable[..., Any], content_type: str, prefix: bytes, encoding: str | None
    ) -> None:
        value = read(self.body(prefix), content_type=content_type, content_encoding=encoding)
        assert value == {"a": "b"}

    def test_the_size_is_bounded_in_bytes(
        self, read: Callable[..., Any], content_type: str, prefix: bytes
    ) -> None:
        filler = LIMIT - len(self.body(prefix))
        for text in (b"x" * filler, "é".encode() * (filler // 2) + b"x" * (filler % 2)):
            body = self.body(prefix + text)
            assert len(body) == LIMIT
            assert len(read(body, content_type=content_type)["a"]) == len(text.decode()) + 1
            with pytest.raises(BodyTooLarge, match=str(LIMIT)):
                read(self.body(prefix + text + b"x"), content_type=content_type)

    def test_the_limit_is_the_callers(
        self, read: Callable[..., Any], content_type: str, prefix: bytes
    ) -> None:
        body = self.body(prefix)
        read(body, content_type=content_type, limit=len(body))
        with pytest.raises(BodyTooLarge):
            read(body, content_type=content_type, limit=len(body) - 1)


class TestForm:
    def read(self, body: bytes, **options: Any) -> Any:
        return read_form(body, content_type=FORM, **options)

    def test_reads_fields_as_texts(self) -> None:
        assert self.read(b"command=%2Fask&text=a+b%20%C3%A9&empty=") == {
            "command": "/ask",
            "text": "a b é",
            "empty": "",
        }

    def test_reads_the_json_of_a_field(self) -> None:
        assert self.read(b"payload=%7B%22a%22%3A%5B1%5D%7D&x=1", field="payload") == {"a": [1]}

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"payload=%7B%22a%22%3A1%2C%22a%22%3A1%7D", "twice"),
            (b"payload=%5B%5D", "not a JSON object"),
            (b"payload=", "not JSON"),
            (b"other=1", "no field payload"),
        ],
    )
    def test_the_json_of_a_field_is_read_as_strictly(self, body: bytes, why: str) -> None:
        with pytest.raises(UnreadableBody, match=why):
            self.read(body, field="payload")

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"a=1&a=2", "twice"),
            (b"a=1&%61=2", "twice"),
            (b"", "URL-encoded"),
            (b"a", "URL-encoded"),
            (b"a=1&&b=2", "URL-encoded"),
            (b"a=%ff", "URL-encoded"),
            (b"text=\xff\xfe", "not UTF-8"),
        ],
    )
    def test_refuses(self, body: bytes, why: str) -> None:
        with pytest.raises(UnreadableBody, match=why):
            self.read(body)

    def test_the_number_of_fields_is_bounded(self) -> None:
        assert len(self.read(b"&".join(b"f%d=" % n for n in range(MAX_FORM_FIELDS)))) == MAX_FORM_FIELDS
        with pytest.raises(UnreadableBody):
            self.read(b"&".join(b"f%d=" % n for n in range(MAX_FORM_FIELDS + 1)))


class TestEvent:
    @pytest.mark.parametrize("body", [b"", b'{"a":"\xc3\xa9"}', b"\xff\xfe\x00", bytes(range(256))])
    def test_base64_gives_the_bytes_sent(self, body: bytes) -> None:
        event = {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        assert raw_body(event) == body

    def test_text_gives_its_utf8(self) -> None:
        assert raw_body({"body": "e30= é", "isBase64Encoded": False}) == "e30= é".encode()
        assert raw_body({"body": "e30="}) == b"e30="

    @pytest.mark.parametrize("event", [{}, {"body": None}, {"body": None, "isBase64Encoded": True}])
    def test_no_body_is_empty(self, event: dict[str, Any]) -> None:
        assert raw_body(event) == b""

    @pytest.mark.parametrize("text", ["e30", "e30=\n", "e3 0=", "e30-", "e30=x", "====", "é", "e30=e30="])
    def test_base64_is_strict(self, text: str) -> None:
        with pytest.raises(UnreadableBody, match="base64"):
            raw_body({"body": text, "isBase64Encoded": True})

    @pytest.mark.parametrize("body", [{}, [], 7, b"{}", True])
    def test_a_body_is_text(self, body: object) -> None:
        with pytest.raises(UnreadableBody, match="not text"):
            raw_body({"body": body})

    def test_half_a_character_is_no_text(self) -> None:
        with pytest.raises(UnreadableBody):
            raw_body({"body": "\ud800"})

    @pytest.mark.parametrize("size", [LIMIT, LIMIT - 1, LIMIT - 2])
    def test_up_to_the_limit(self, size: int) -> None:
        body = b"x" * size
        assert raw_body({"body": body.decode()}) == body
        assert raw_body({"body": base64.b64encode(body).decode(), "isBase64Encoded": True}) == body

    @pytest.mark.parametrize("size", [LIMIT + 1, LIMIT + 3, 2 * LIMIT])
    def test_over_the_limit(self, size: int) -> None:
        encoded = base64.b64encode(b"x" * size).decode()
        for event in ({"body": "x" * size}, {"body": encoded, "isBase64Encoded": True}):
            with pytest.raises(BodyTooLarge, match=str(LIMIT)):
                raw_body(event)
        with pytest.raises(BodyTooLarge):
            raw_body({"body": "é" * (size // 2 + 1)})

    def test_what_is_far_too_long_is_not_even_decoded(self) -> None:
        with pytest.raises(BodyTooLarge):
            raw_body({"body": "*" * 2 * LIMIT, "isBase64Encoded": True})

    def test_headers_have_names_in_lower_case_no_spaces_around_and_one_line(self) -> None:
        headers = {"Content-Type": " a\t", "X-ID": " 1", "x-id": "2 ", "n": 7, 8: "x", "none": None}
        assert event_headers({"headers": headers}) == {"content-type": "a", "x-id": "1,2"}

    @pytest.mark.parametrize("headers", [None, [], "x", 7])
    def test_without_headers_there_are_none(self, headers: object) -> None:
        assert event_headers({"headers": headers}) == {}
        assert event_headers({}) == {}

    @pytest.mark.parametrize(
        "parameters", [None, [], "webhook", {}, {"source": None}, {"source": 7}, {"source": ["webhook"]}]
    )
    def test_without_a_text_in_the_path_there_is_none(self, parameters: object) -> None:
        assert path_parameter({"pathParameters": {"source": "webhook"}}, "source") == "webhook"
        assert path_parameter({"pathParameters": parameters}, "source") == ""
        assert path_parameter({}, "source") == ""

    def test_media_types_are_bare(self) -> None:
        assert media_type(" Text/HTML ; charset=x") == "text/html"
        assert media_type(None) == ""


@given(st.text() | st.none(), st.text() | st.none(), st.binary())
def test_no_header_gets_more_than_a_refusal(
    content_type: str | None, content_encoding: str | None, body: bytes
) -> None:
    for read in (read_json, read_form):
        with pytest.raises(RequestRejected):
            read(body, content_type=content_type, content_encoding=content_encoding)
