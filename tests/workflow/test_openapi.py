"""The running API against its own document: whatever is sent, what comes back is what the document says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from local.offline import OfflineApp
from local.server import Server, gateway_app

ROOT = Path(__file__).parents[2]
KNOWLEDGE = Path(__file__).parent / "fixtures" / "knowledge"

# Their schemas do not say all that these calls ask: which cursors a list gave out, which fields exclude each
# other, which suffixes a document may have.
ANSWERED_422 = [
    "/cases",
    "/approvals",
    "/failures",
    "/failures/redrive",
    "/reconciliation",
    "/destinations",
    "/knowledge/documents",
]
CONFIGURATION = schemathesis.Config.from_dict(
    {
        # API Gateway's HTTP APIs answer 404 to a method that a path does not have.
        "checks": {"unsupported_method": {"enabled": False}},
        "operations": [
            {
                "include-path": path,
                "checks": {
                    "positive_data_acceptance": {"expected-statuses": ["2xx", "403", "404", "409", "422"]}
                },
            }
            for path in ANSWERED_422
        ],
    }
)
schema = schemathesis.openapi.from_path(str(ROOT / "docs/openapi.json"), config=CONFIGURATION)


@pytest.fixture(scope="module")
def api() -> Iterator[tuple[str, str]]:
    """Address and token of a running stack."""
    with OfflineApp(knowledge=KNOWLEDGE) as app, Server(gateway_app(lambda: app.stack.gateway)) as server:
        yield server.url, app.token


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_the_document_knows(case: schemathesis.Case, api: tuple[str, str]) -> None:
    url, token = api
    case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {token}"})
