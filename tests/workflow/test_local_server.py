"""The stack over HTTP."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests

from local import server
from local.gateway import BODY_LIMIT
from local.server import PortTaken, Server, aws_app, gateway_app
from local.stack import Stack

TEMPLATE = Path(__file__).parent / "fixtures" / "app" / "template.yaml"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(TEMPLATE) as stack:
        yield stack


@pytest.fixture
def api(stack: Stack) -> Iterator[Server]:
    with Server(gateway_app(lambda: stack.gateway)) as server:
        yield server


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /hooks/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"POST /hooks/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n0\r\n\r\n",
        b"POST /hooks/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
        b"POST /hooks/x HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"POST /hooks/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        b"POST /hooks/x HTTP/1.1\r\nContent-Length: abc\r\n\r\n{}",
        b"POST /hooks/x HTTP/1.1\r\nContent-Length: -2\r\n\r\n{}",
        b"POST /hooks/x HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        b"POST /hooks/x HTTP/1.1\r\nContent-Length: \xd9\xa5\r\n\r\nhello",
        b"POST http://[bad/hooks/x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(api: Server, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
        assert json.loads(answer.read()).keys() == {"message"}
    assert capfd.readouterr() == ("", "")


def test_a_body_that_stops_coming_is_refused(api: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._QuietHandler, "timeout", 0.2)
    for framing in (b"Content-Length: 9\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n9\r\n"):
        with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
            connection.sendall(b"POST /hooks/x HTTP/1.1\r\n" + framing + b"{}")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, answer.read()) == (400, b'{"message":"Bad Request"}')


def test_a_request_arrives_as_it_was_sent(stack: Stack, api: Server) -> None:
    with requests.Session() as session:
        answer = session.post(
            f"{api.url}/hooks/a%20b?x=1&x=%C3%BC",
            data=b"{}",
            headers={"Content-Type": "application/json", "Cookie": "a=1; b=2"},
        )
    event = answer.json()["event"]
    assert event["pathParameters"] == {"source": "a b"}
    assert event["rawQueryString"] == "x=1&x=%C3%BC"
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["body"] == "{}"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


def test_statuses_headers_and_cookies_come_back(stack: Stack, api: Server) -> None:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {stack.token}"
        page = session.get(f"{api.url}/x?shape=html")
        assert (page.status_code, page.text) == (201, "<p>hi</p>")
        assert dict(page.cookies) == {"a": "1", "b": "2"}
        assert session.get(f"{api.url}/x?shape=bytes").content == b"\x00\xff"
        assert requests.get(f"{api.url}/x", timeout=5).json() == {"message": "Unauthorized"}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(api: Server, chunked: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    piece = b"x" * (1024 * 1024)
    pieces = (piece for _ in range(BODY_LIMIT // len(piece) + 1))
    if chunked:
        connection.request(
            "POST", "/hooks/x", body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
    else:
        connection.request("POST", "/hooks/x", body=piece * (BODY_LIMIT // len(piece) + 1))
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (413, b'{"message":"Request Entity Too Large"}')
    connection.close()


def test_a_taken_port_is_said(api: Server) -> None:
    with pytest.raises(PortTaken, match=f"port {api.port} is taken"):
        Server(gateway_app(lambda: None), port=api.port)  # type: ignore[arg-type,return-value]


def test_a_port_is_free_after_stop(stack: Stack) -> None:
    with Server(gateway_app(lambda: stack.gateway)) as server:
        port = server.port
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))
    with Server(gateway_app(lambda: stack.gateway), port=port):
        pass


def test_aws_apis_share_the_stack_s_state_and_bedrock_goes_to_its_own_app(stack: Stack) -> None:
    seen = []

    def bedrock(environ, start_response):
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"inputTokens": 3}']

    stack.client("dynamodb").put_item(TableName=stack.resource("NotesTable"), Item={"pk": {"S": "shared"}})
    with Server(aws_app(bedrock)) as server:
        rows = boto3.client("dynamodb", endpoint_url=server.url).scan(TableName=stack.resource("NotesTable"))
        assert {"pk": {"S": "shared"}} in rows["Items"]
        steps = boto3.client("stepfunctions", endpoint_url=server.url)
        assert stack.resource("Flow") in [
            m["stateMachineArn"] for m in steps.list_state_machines()["stateMachines"]
        ]
        queue = boto3.client("sqs", endpoint_url=server.url)
        assert any("WorkQueue" in url for url in queue.list_queues()["QueueUrls"])
        s3 = boto3.client("s3", endpoint_url=server.url)
        s3.put_object(Bucket=stack.resource("FilesBucket"), Key="over-http", Body=b"x")
        assert (
            stack.client("s3")
            .get_object(Bucket=stack.resource("FilesBucket"), Key="over-http")["Body"]
            .read()
            == b"x"
        )
        lambda_ = boto3.client("lambda", endpoint_url=server.url)
        name = next(f.name for f in stack.functions if f.label == "step")
        assert b'"count": 2' in lambda_.invoke(FunctionName=name, Payload=b'{"count": 1}')["Payload"].read()
        model = boto3.client("bedrock-runtime", endpoint_url=server.url)
        answer = model.count_tokens(
            modelId="m", input={"converse": {"messages": [{"role": "user", "content": [{"text": "x"}]}]}}
        )
    assert answer["inputTokens"] == 3
    assert seen == ["/model/m/count-tokens"]
