"""Documents on their way into the knowledge: over the API, straight into the bucket, and out again."""

import json
from typing import Any

from tests.workflow.conftest import Desk


def post(desk: Desk, path: str, body: Any, token: str | None = None) -> tuple[int, Any]:
    answer = desk.stack.request(
        "POST",
        path,
        headers={"content-type": "application/json"},
        body=json.dumps(body).encode(),
        token=token or desk.token,
    )
    return answer.status, answer.json()


def found(desk: Desk, query: str, token: str | None = None) -> list[str]:
    status, answer = post(desk, "/knowledge/search", {"query": query}, token)
    assert status == 200, answer
    return [result["document"] for result in answer["results"]]


def test_a_document_that_was_posted_is_found_by_its_tenant_alone(desk: Desk) -> None:
    text = "# Badges\n\nA lost badge is replaced at the quagga desk within one day."
    status, answer = post(desk, "/knowledge/documents", {"name": "office/badges.md", "text": text})
    assert status == 202, answer
    assert desk.get(f"/knowledge/jobs/{answer['job_id']}")["status"] == "COMPLETE"
    assert "office/badges.md" in found(desk, "Where is a lost badge replaced?")
    stranger = desk.stack.add_person("stranger", tenant="acme")
    assert found(desk, "Where is a lost badge replaced?", stranger) == []


def test_what_changes_in_the_bucket_is_read_by_itself(desk: Desk) -> None:
    s3, bucket = desk.stack.client("s3"), desk.stack.resource("KnowledgeBucket")
    sidecar = json.dumps({"metadataAttributes": {"tenant": "default"}})

    def put(name: str, text: str) -> None:
        s3.put_object(Bucket=bucket, Key=f"default/{name}.metadata.json", Body=sidecar.encode())
        s3.put_object(Bucket=bucket, Key=f"default/{name}", Body=text.encode())

    put("zebra.md", "# Zebra crossings\n\nZebras cross at noon.")
    desk.until(lambda: "zebra.md" in found(desk, "When do zebras cross?"))
    # moto sends no event of a deletion; the next job forgets what is gone all the same.
    s3.delete_object(Bucket=bucket, Key="default/zebra.md")
    put("toads.md", "# Toad tunnels\n\nToads cross at night.")
    desk.until(lambda: "toads.md" in found(desk, "When do toads cross?"))
    assert "zebra.md" not in found(desk, "When do zebras cross?")
