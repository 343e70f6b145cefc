"""Approval policies: data that says what must happen to a draft, matched from the first rule to the last."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from countersign.decisions import PolicyRef, Terms
from countersign.errors import ConfigurationError
from countersign.models import Risk


class Match(BaseModel):
    """Every condition given must hold; one that is not given always does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: list[str] | None = None
    risk: list[Risk] | None = None

    def holds(self, source: str, risk: Risk) -> bool:
        return (self.source is None or source in self.source) and (self.risk is None or risk in self.risk)


class Rule(BaseModel):
    """Times in seconds: after `deadline_s` the approval escalates, after `escalation_s` more it expires."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: Match
    needed: bool
    deadline_s: int = Field(gt=0)
    escalation_s: int = Field(gt=0)


class Policy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int = Field(ge=1)
    rules: list[Rule] = Field(min_length=1)

    def terms(self, source: str, risk: Risk) -> Terms:
        """What the first rule that matches asks for. Without one a person must sign, within a day."""
        rule = next(
            (rule for rule in self.rules if rule.match.holds(source, risk)),
            Rule(match=Match(), needed=True, deadline_s=86_400, escalation_s=86_400),
        )
        return Terms(
            needed=rule.needed,
            deadline_s=rule.deadline_s,
            escalation_s=rule.escalation_s,
            policy=PolicyRef(name=self.name, version=self.version),
        )


def load_policy(directory: Path, name: str = "default") -> Policy:
    """Raises ConfigurationError naming the file and the field that is wrong."""
    path = directory / f"{name}.yaml"
    try:
        return Policy.model_validate(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"policy {path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"policy {path} is no YAML: {error}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"policy {path} is wrong: {faults}") from None
