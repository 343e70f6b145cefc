"""ApplyGuardrail: a deterministic stand-in for Bedrock Guardrails.

It has the policies that the template's guardrail configures: prompt attacks, denied words, sensitive
information and contextual grounding. Topics and the other content filters need a model and are not played.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.bedrock.attacks import Confidence, attack_confidence
from local.bedrock.prose import split
from local.bedrock.ranking import support
from local.bedrock.sensitive import Finding, find_sensitive
from local.bedrock.words import all_words, stems

_CHARACTERS_PER_UNIT = 1000
_LEVELS: tuple[Confidence, ...] = ("NONE", "LOW", "MEDIUM", "HIGH")
_ACTIONS = {"BLOCK": "BLOCKED", "ANONYMIZE": "ANONYMIZED", "NONE": "NONE"}
_ASSESSMENT = "assessments"


@dataclass(frozen=True)
class Guardrail:
    """What a guardrail looks for.

    `attack_strength` is the filter's strength for inputs: HIGH blocks from LOW confidence on, MEDIUM from
    MEDIUM on, LOW only HIGH. `sensitive` maps a type of Bedrock's to BLOCK, ANONYMIZE or NONE (detect only).
    `grounding` and `relevance` are thresholds; None leaves the policy out.
    """

    attack_strength: Confidence = "MEDIUM"
    words: tuple[str, ...] = ()
    sensitive: Mapping[str, str] = field(
        default_factory=lambda: {
            "EMAIL": "NONE",
            "PHONE": "NONE",
            "CREDIT_DEBIT_CARD_NUMBER": "ANONYMIZE",
            "AWS_ACCESS_KEY": "ANONYMIZE",
            "AWS_SECRET_KEY": "ANONYMIZE",
        }
    )
    grounding: float | None = 0.5
    relevance: float | None = None
    blocked_input: str = "Sorry, this request cannot be processed."
    blocked_output: str = "Sorry, this answer cannot be given."

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> "Guardrail":
        """The guardrail that an `AWS::Bedrock::Guardrail` describes."""
        content = properties.get("ContentPolicyConfig", {}).get("FiltersConfig", ())
        attack: Confidence = next(
            (each["InputStrength"] for each in content if each["Type"] == "PROMPT_ATTACK"), "NONE"
        )
        words = properties.get("WordPolicyConfig", {}).get("WordsConfig", ())
        entities = properties.get("SensitiveInformationPolicyConfig", {}).get("PiiEntitiesConfig", ())
        grounding = {
            each["Type"]: float(each["Threshold"])
            for each in properties.get("ContextualGroundingPolicyConfig", {}).get("FiltersConfig", ())
        }
        return cls(
            attack_strength=attack,
            words=tuple(each["Text"] for each in words),
            sensitive={each["Type"]: each["Action"] for each in entities},
            grounding=grounding.get("GROUNDING"),
            relevance=grounding.get("RELEVANCE"),
            blocked_input=properties.get("BlockedInputMessaging", cls.blocked_input),
            blocked_output=properties.get("BlockedOutputsMessaging", cls.blocked_output),
        )

    def apply(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """ApplyGuardrail's answer."""
        is_input = params["source"] == "INPUT"
        full = params.get("outputScope") == "FULL"
        parts = [part["text"] for part in params["content"] if "text" in part]
        guarded = _guarded(parts)
        text = "\n".join(guarded)
        attack = attack_confidence(text) if is_input else "NONE"
        findings = [finding for part in guarded for finding in find_sensitive(part, self.sensitive)]
        assessment: dict[str, Any] = {}
        filters = list(self._attack_filters(attack, full=full))
        if filters:
            assessment["contentPolicy"] = {"filters": filters}
        denied = list(self._denied(text))
        if denied:
            assessment["wordPolicy"] = {"customWords": denied, "managedWordLists": []}
        if findings:
            entities = [_entity(finding, self.sensitive[finding.kind]) for finding in findings]
            assessment["sensitiveInformationPolicy"] = {"piiEntities": entities, "regexes": []}
        grounded = list(self._grounding(parts, text, full=full)) if not is_input else []
        if grounded:
            assessment["contextualGroundingPolicy"] = {"filters": grounded}
        actions = {
            each["action"] for policy in assessment.values() for found in policy.values() for each in found
        }
        blocked = "BLOCKED" in actions
        outputs: list[dict[str, str]] = []
        if blocked:
            outputs = [{"text": self.blocked_input if is_input else self.blocked_output}]
        elif "ANONYMIZED" in actions:
            outputs = [{"text": self._masked(part)} for part in guarded]
        answer = {
            "usage": self._usage(text, grounded=bool(grounded)),
            "action": "GUARDRAIL_INTERVENED" if blocked or outputs else "NONE",
            "outputs": outputs,
            _ASSESSMENT: [assessment],
        }
        if blocked or outputs:
            answer["actionReason"] = "Guardrail blocked." if blocked else "Guardrail masked."
        return answer

    def _attack_filters(self, confidence: Confidence, *, full: bool) -> Iterator[dict[str, Any]]:
        if self.attack_strength == "NONE" or (confidence == "NONE" and not full):
            return
        least = len(_LEVELS) - _LEVELS.index(self.attack_strength)
        blocked = _LEVELS.index(confidence) >= least
        yield {
            "type": "PROMPT_ATTACK",
            "confidence": confidence,
            "filterStrength": self.attack_strength,
            "action": "BLOCKED" if blocked else "NONE",
            "detected": confidence != "NONE",
        }

    def _denied(self, text: str) -> Iterator[dict[str, Any]]:
        said = f" {' '.join(all_words(text))} "
        for word in self.words:
            if f" {' '.join(all_words(word))} " in said:
                yield {"match": word, "action": "BLOCKED", "detected": True}

    def _masked(self, text: str) -> str:
        for finding in sorted(find_sensitive(text, self.sensitive), key=lambda each: -each.start):
            if self.sensitive[finding.kind] == "ANONYMIZE":
                text = f"{text[: finding.start]}{{{finding.kind}}}{text[finding.end :]}"
        return text

    def _grounding(
        self, parts: Sequence[Mapping[str, Any]], answer: str, *, full: bool
    ) -> Iterator[dict[str, Any]]:
        """The contextual grounding filters; they need a source, and relevance a query as well."""
        source = "\n".join(_qualified(parts, "grounding_source"))
        query = "\n".join(_qualified(parts, "query"))
        scores = {
            "GROUNDING": (self.grounding, _groundedness(answer, source) if source else None),
            "RELEVANCE": (self.relevance, _relatedness(answer, query) if source and query else None),
        }
        for kind, (threshold, score) in scores.items():
            if threshold is None or score is None or (score >= threshold and not full):
                continue
            yield {
                "type": kind,
                "threshold": threshold,
                "score": score,
                "action": "BLOCKED" if score < threshold else "NONE",
                "detected": score < threshold,
            }

    def _usage(self, text: str, *, grounded: bool) -> dict[str, int]:
        units = -(-len(text) // _CHARACTERS_PER_UNIT)
        return {
            "topicPolicyUnits": 0,
            "contentPolicyUnits": units if self.attack_strength != "NONE" else 0,
            "wordPolicyUnits": units if self.words else 0,
            "sensitiveInformationPolicyUnits": units if self.sensitive else 0,
            "sensitiveInformationPolicyFreeUnits": 0,
            "contextualGroundingPolicyUnits": units if grounded else 0,
        }


def _guarded(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts to judge: those marked so, or else all that are neither source nor query."""
    marked = _qualified(parts, "guard_content")
    if marked:
        return marked
    return [
        part["text"] for part in parts if not {"grounding_source", "query"} & set(part.get("qualifiers", ()))
    ]


def _qualified(parts: Sequence[Mapping[str, Any]], qualifier: str) -> list[str]:
    return [part["text"] for part in parts if qualifier in part.get("qualifiers", ())]


def _groundedness(answer: str, source: str) -> float:
    """The support of the least supported sentence."""
    claims = [sentence for line in answer.splitlines() for sentence in split(line) if stems(sentence)]
    return round(min((support(claim, source) for claim in claims), default=1.0), 3)


def _relatedness(answer: str, query: str) -> float:
    return round(support(query, answer), 3)


def _entity(finding: Finding, action: str) -> dict[str, Any]:
    return {
        "match": finding.match,
        "type": finding.kind,
        "action": _ACTIONS[action],
        "detected": True,
    }
