"""What the routes need of the deployment. Nothing is made before a route asks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from countersign import clock, deployment
from countersign.approvals import Arbiter
from countersign.models import Passage
from countersign.settings import Settings, settings
from countersign_knowledge.documents import Documents
from countersign_knowledge.retrieval import retrieve


def documents() -> Documents:
    return Documents(
        deployment.client("s3"),
        settings().knowledge_bucket,
        deployment.client("bedrock-agent"),
        knowledge_base_id=settings().knowledge_base_id,
        data_source_id=settings().data_source_id,
    )


def search(query: str, tenant: str, limit: int) -> list[Passage]:
    client = deployment.client("bedrock-agent-runtime", retries=False)
    return retrieve(client, settings().knowledge_base_id, query, tenant, limit)


@dataclass(frozen=True)
class Ports:
    settings: Callable[[], Settings] = settings
    arbiter: Callable[[], Arbiter] = deployment.arbiter
    documents: Callable[[], Documents] = documents
    search: Callable[[str, str, int], list[Passage]] = search
    now: Callable[[], datetime] = clock.now
