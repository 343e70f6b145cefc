"""The deployment's settings: read from the environment once, validated, frozen.

The names are those of `Globals.Function.Environment` in template.yaml; a wrong deployment fails here, on the
first line of the first call, with the name of what is missing.
"""

import os
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from countersign.errors import ConfigurationError


class Settings(BaseModel):
    """Field names are the environment's in lower case. Money in US dollars."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    cases_table: str
    claims_table: str
    case_files_bucket: str
    knowledge_bucket: str
    intake_queue_url: str
    intake_dead_letters_url: str
    delivery_queue_url: str
    delivery_dead_letters_url: str
    handle_case_arn: str
    knowledge_base_id: str
    data_source_id: str
    guardrail_id: str = ""
    guardrail_version: str = "DRAFT"
    model_id: str
    engine: Literal["roles", "bedrock-agent"] = "roles"
    agent_id: str = ""
    agent_alias_id: str = ""
    secrets_prefix: str
    sources_dir: Path
    policies_dir: Path
    web_dir: Path
    tenant_claim: str = "tenant"
    operator_group: str = "operators"
    daily_budget_usd: Decimal = Field(default=Decimal(10), gt=0)
    case_reserve_usd: Decimal = Field(default=Decimal("0.05"), gt=0)
    max_cases_at_once: int = Field(default=50, ge=1, le=1_000)
    case_file_days: int = Field(default=365, ge=1)
    github_api_url: str = "https://api.github.com"
    slack_api_url: str = "https://slack.com/api"
    allow_loopback_callbacks: bool = False

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises ConfigurationError naming every variable that is missing or wrong."""
        given = {name: environment[name.upper()] for name in cls.model_fields if name.upper() in environment}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            faults = ", ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
            raise ConfigurationError(f"the function's environment is wrong: {faults}") from None


@lru_cache(maxsize=1)
def settings() -> "Settings":
    """The settings of this process, read on the first call."""
    return Settings.read(os.environ)
