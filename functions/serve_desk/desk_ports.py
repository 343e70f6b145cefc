"""What the desk's routes need of the deployment. Nothing is made before a route asks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from countersign import clock, deployment
from countersign.approvals import Arbiter
from countersign.claims import Claims
from countersign.ledger import Ledger
from countersign.reconciling import Reconciler
from countersign.redriving import Redriver
from countersign.settings import Settings, settings
from countersign.spending import Limits
from countersign.switches import Switches


@dataclass(frozen=True)
class DeskPorts:
    settings: Callable[[], Settings] = settings
    ledger: Callable[[], Ledger] = deployment.ledger
    arbiter: Callable[[], Arbiter] = deployment.arbiter
    reconciler: Callable[[], Reconciler] = deployment.reconciler
    redriver: Callable[[], Redriver] = deployment.redriver
    switches: Callable[[], Switches] = deployment.switches
    claims: Callable[[], Claims] = deployment.claims
    limits: Callable[[], Limits] = deployment.limits
    now: Callable[[], datetime] = clock.now
