"""What the routes need of the deployment. Nothing is made before a route asks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from countersign import clock, deployment
from countersign.approvals import Arbiter
from countersign.models import Passage
from countersign.settings import Settings, settings
from countersign.switches import Switches
from countersign_knowledge import deployed
from countersign_knowledge.documents import Documents


@dataclass(frozen=True)
class Ports:
    settings: Callable[[], Settings] = settings
    arbiter: Callable[[], Arbiter] = deployment.arbiter
    switches: Callable[[], Switches] = deployment.switches
    documents: Callable[[], Documents] = deployed.documents
    search: Callable[[str, str, int], list[Passage]] = deployed.search
    now: Callable[[], datetime] = clock.now
