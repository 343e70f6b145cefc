"""Has the knowledge base read its bucket again where a document came, changed or went.

Many changes make one ingestion job. A change is dealt with once a job has begun after it, and while an
earlier job still runs its message comes again, so that no change is lost.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from countersign import clock
from countersign.observability import LambdaContext, observed
from countersign_knowledge import deployed
from countersign_knowledge.documents import Documents

CLOCKS_DIFFER = timedelta(seconds=2)
"""S3's events say the second at which a document changed; its clock is not the one of Bedrock."""


@observed
def handler(
    event: dict[str, Any], context: LambdaContext, documents: Documents | None = None
) -> dict[str, Any]:
    """Takes messages of the knowledge queue, each an event of S3; returns those that have to come again."""
    documents = documents or deployed.documents()
    records = event["Records"]
    latest = max(changed_at(record) for record in records)
    job = documents.latest_job()
    is_read = job is not None and job.status != "FAILED" and job.started_at > latest + CLOCKS_DIFFER
    if is_read or documents.start_job() is not None:
        return {"batchItemFailures": []}
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in records]}


def changed_at(record: dict[str, Any]) -> datetime:
    return clock.parse(json.loads(record["body"])["time"])
