"""GitHub as a sender: an issue that was opened, signed as GitHub signs."""

import hmac
import json
import uuid
from dataclasses import dataclass, field
from hashlib import sha256

from local.gateway import Response
from tests.workflow.conftest import Desk
from tests.workflow.test_handle_case import GITHUB_ISSUE


@dataclass(frozen=True)
class GitHubSender:
    """One event about the issue `number`, sent as often as one likes."""

    desk: Desk
    number: int
    delivery: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def comments(self) -> str:
        """The path of the issue's comments."""
        return f"/repos/acme/shop/issues/{self.number}/comments"

    def deliver(self) -> Response:
        event = json.loads(GITHUB_ISSUE.replace("issues/7", f"issues/{self.number}"))
        event["issue"]["number"] = self.number
        body = json.dumps(event).encode()
        digest = hmac.new(self.desk.app.secret("github").encode(), body, sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-github-event": "issues",
            "x-github-delivery": self.delivery,
            "x-hub-signature-256": f"sha256={digest}",
        }
        return self.desk.stack.request("POST", "/webhooks/github", headers=headers, body=body)
