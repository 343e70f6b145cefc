"""The secrets of sources: what their events are signed with, and what their APIs take from us.

One secret in Secrets Manager for each source, `{prefix}/sources/{source}`, holding JSON:
`{"current": ..., "previous"?: ..., "api_token"?: ..., "reply_url"?: ..., "reply_secret"?: ...}`. Both
`current` and `previous` are active, so that a secret is changed without losing an event. `reply_url` is where
replies go whose events name no address, `reply_secret` what callbacks are signed with (`whsec_` and base64).
Values are kept for five minutes; an event that the current one did not sign asks the store again, so a new
secret works at once, and one that was removed does not.
"""

import time
from collections import deque
from collections.abc import Callable

from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from aws_lambda_powertools.utilities.parameters.secrets import SecretsProvider
from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from countersign.errors import SecretsUnavailable
from countersign.signatures import is_signing_key

KEPT_S = 300
REFRESHES = 3
REFRESH_S = 90
"""Within so many seconds no more than `REFRESHES` questions that only a mismatch, or a secret that is not
there, gave rise to.

Anybody can send a wrong signature, and each question to the store costs money and time; more than one, so
that a stranger's request does not hold up a secret that is changed just after it.
"""


class SourceSecret(BaseModel):
    """What the store holds for one source."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    current: str = Field(repr=False)
    previous: str | None = Field(default=None, repr=False)
    api_token: str | None = Field(default=None, repr=False)
    reply_secret: str | None = Field(default=None, repr=False)
    reply_url: str | None = Field(default=None, repr=False)

    @field_validator("reply_secret")
    @classmethod
    def _key(cls, value: str | None) -> str | None:
        if value is not None and not is_signing_key(value):
            raise ValueError("it is not base64")
        return value

    @field_validator("reply_url")
    @classmethod
    def _signed(cls, value: str | None, info: ValidationInfo) -> str | None:
        # Better no event than one whose reply nobody could verify after a person has signed it.
        if value and not info.data.get("reply_secret"):
            raise ValueError("it needs a reply_secret")
        return value


class SourceSecrets:
    """Give it Powertools' provider, the prefix of the secrets' names, and a clock in seconds."""

    def __init__(
        self, provider: SecretsProvider, prefix: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._prefix = prefix
        self._clock = clock
        self._asked: dict[str, deque[float]] = {}
        self._missing: set[str] = set()

    def signing(self, source: str) -> list[str]:
        """The active secrets, the current one first; none where the source has no secret.

        Raises SecretsUnavailable.
        """
        secret = self._get(source)
        return [value for value in (secret.current, secret.previous) if value] if secret else []

    def api_token(self, source: str) -> str | None:
        """What the source's API takes from us. Raises SecretsUnavailable."""
        secret = self._get(source)
        return secret.api_token if secret else None

    def reply_url(self, source: str) -> str | None:
        """Where the source's replies go whose events name no address. Raises SecretsUnavailable."""
        secret = self._get(source)
        return (secret.reply_url or None) if secret else None

    def reply_key(self, source: str) -> str | None:
        """What the source's callbacks are signed with, by Standard Webhooks: without one of their own, the
        current secret. Raises SecretsUnavailable.
        """
        secret = self._get(source)
        return (secret.reply_secret or secret.current or None) if secret else None

    def refresh(self, source: str) -> bool:
        """Asks the store again, so often and no more; False where it was too early for that.

        Raises SecretsUnavailable.
        """
        if not self._may_ask(source):
            return False
        self._get(source, force=True)
        return True

    def _may_ask(self, source: str) -> bool:
        asked, now = self._asked.setdefault(source, deque(maxlen=REFRESHES)), self._clock()
        if len(asked) == REFRESHES and now - asked[0] < REFRESH_S:
            return False
        asked.append(now)
        return True

    def _get(self, source: str, *, force: bool = False) -> SourceSecret | None:
        if source in self._missing and not force and not self._may_ask(source):
            return None
        try:
            value = self._provider.get(f"{self._prefix}/sources/{source}", max_age=KEPT_S, force_fetch=force)
        except GetParameterError as error:
            if not _is_missing(error):
                raise SecretsUnavailable(f"the secret of source {source} cannot be read now") from error
            self._missing.add(source)
            return None
        self._missing.discard(source)
        try:
            return SourceSecret.model_validate_json(value)  # type: ignore[arg-type]  # text or bytes
        except ValidationError as error:
            fields = sorted({".".join(map(str, e["loc"])) or "JSON" for e in error.errors()})
            raise SecretsUnavailable(
                f"the secret of source {source} is not as it should be: {', '.join(fields)}"
            ) from None


def _is_missing(error: GetParameterError) -> bool:
    # Powertools wraps every error in its own; the store's is what it came from.
    cause = error.__context__
    return isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "ResourceNotFoundException"
