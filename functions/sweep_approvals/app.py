"""By the clock: finishes what a crash left, and tells decisions again that nobody was told of."""

from dataclasses import asdict
from typing import Any

from countersign import clock, deployment
from countersign.observability import LambdaContext, note, observed
from countersign.settings import settings
from countersign.sources import load_sources
from countersign.sweeping import Sweep


@observed
def handler(event: dict[str, Any], context: LambdaContext, sweep: Sweep | None = None) -> dict[str, Any]:
    """Takes EventBridge's scheduled event; returns how much was looked at, and what was mended."""
    swept = asdict((sweep or make_sweep()).run(clock.now()))
    note(**swept)
    return swept


def make_sweep() -> Sweep:
    """Over every tenant that a source opens cases for."""
    here = settings()
    tenants = {source.tenant for source in load_sources(here.sources_dir).values()}
    return Sweep(
        deployment.arbiter(), deployment.holds(), deployment.executions(), tenants, here.case_file_days
    )
