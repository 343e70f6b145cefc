"""The knowledge of this deployment: its documents and its index, from the settings and the core's clients."""

from countersign import deployment
from countersign.models import Passage
from countersign.settings import settings
from countersign_knowledge.documents import Documents
from countersign_knowledge.retrieval import PASSAGES, retrieve


def documents() -> Documents:
    return Documents(
        deployment.client("s3"),
        settings().knowledge_bucket,
        deployment.client("bedrock-agent"),
        knowledge_base_id=settings().knowledge_base_id,
        data_source_id=settings().data_source_id,
    )


def search(query: str, tenant: str, limit: int = PASSAGES) -> list[Passage]:
    """What `retrieve` finds. Tried once: the state machine, or whoever searches, tries again."""
    client = deployment.client("bedrock-agent-runtime", retries=False)
    return retrieve(client, settings().knowledge_base_id, query, tenant, limit)
