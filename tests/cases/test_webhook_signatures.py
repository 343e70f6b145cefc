"""`webhook_signatures.jsonl`: what the verifier accepts and what it refuses, at a given time."""

import base64
from typing import Any

import pytest

from countersign.bodies import event_headers
from countersign.errors import SignatureRejected
from countersign.signatures import verify


@pytest.mark.cases("webhook_signatures")
def test_the_verifier_decides_as_the_case_says(case: dict[str, Any], judge: Any) -> None:
    # Anything but SignatureRejected is a failure of any case, whatever its level.
    try:
        verify(
            case["provider"],
            headers_of(case),
            base64.b64decode(case["body_b64"]),
            case["secrets"],
            case["now"],
            case["tolerance_s"],
        )
        decided, why = "accept", "it was accepted"
    except SignatureRejected as error:
        decided, why = "reject", str(error)
    judge(decided == case["expect"], f"expected {case['expect']}, but {why}")


def headers_of(case: dict[str, Any]) -> dict[str, str]:
    """As API Gateway hands them over: header lines that come twice are joined with a comma."""
    if "raw_headers" not in case:
        headers: dict[str, str] = case["headers"]
        return headers
    joined: dict[str, str] = {}
    for name, value in case["raw_headers"]:
        key = name.lower()
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return event_headers({"headers": joined})
