"""The calls about knowledge: adding documents, following the job that reads them, searching."""

import base64
import binascii
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from countersign.api import (
    JobAnswer,
    NewDocument,
    NewDocuments,
    SearchAnswer,
    SearchBody,
    SearchResult,
    StoredDocuments,
)
from countersign.calls import Call, checked
from countersign.clock import instant
from countersign.errors import InvalidRequest
from countersign_knowledge.documents import document_name
from ports import Ports

router = APIGatewayHttpRouter()  # type: ignore[no-untyped-call]


@router.post("/knowledge/documents")
def add_documents() -> tuple[dict[str, Any], int]:
    call: Call[Ports] = router.context["call"]
    given = call.json()
    new = checked(NewDocuments, given if "documents" in given else {"documents": [given]})
    # All are read before the first is stored, so that a bad one does not leave half of them behind.
    tenant = call.tenant
    stored = {
        document_name(tenant, document.name): (document, _content(document)) for document in new.documents
    }
    if len(stored) < len(new.documents):
        raise InvalidRequest("two documents have the same `name`")
    documents = call.ports.documents()
    for name, (document, content) in stored.items():
        documents.store(tenant, name, content, document.content_type)
    job = documents.start_job()
    answer = StoredDocuments(
        documents=list(stored),
        job_id=job.job_id if job else None,
        status="started" if job else "waiting",
    )
    return answer.model_dump(mode="json"), 202


@router.get("/knowledge/jobs/<job_id>")
def show_job(job_id: str) -> dict[str, Any]:
    call: Call[Ports] = router.context["call"]
    job = call.ports.documents().job(job_id)
    # Nothing of its statistics: a job reads the documents of every tenant.
    answer = JobAnswer(
        job_id=job.job_id,
        status=job.status,
        started_at=instant(job.started_at),
        updated_at=instant(job.updated_at),
    )
    return answer.model_dump(mode="json")


@router.post("/knowledge/search")
def search() -> dict[str, Any]:
    call: Call[Ports] = router.context["call"]
    body = call.body(SearchBody)
    found = call.ports.search(body.query, call.tenant, body.limit)
    results = [
        SearchResult(
            document=passage.document,
            chunk_id=passage.passage_id,
            text=passage.text,
            score=passage.score,
            source_uri=passage.source_uri,
        )
        for passage in found
    ]
    return SearchAnswer(results=results).model_dump(mode="json")


def _content(document: NewDocument) -> bytes:
    if (document.text is None) == (document.content_base64 is None):
        raise InvalidRequest("a document has either `text` or `content_base64`")
    if document.text is not None:
        content = document.text.encode()
    else:
        try:
            content = base64.b64decode(document.content_base64 or "", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest("`content_base64` is not base64") from None
    if not content:
        raise InvalidRequest("a document is empty")
    return content
