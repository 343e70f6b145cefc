"""Recognises prompt attacks by what they ask for, not by trigger words alone.

Each sign is a request to a model to drop its instructions, to show them, to take another's role, or text that
imitates the frame around a prompt. "Ignore this warning" has a trigger word and no object that only an
attacker names; it is no sign.
"""

import re
import unicodedata
from typing import Literal

Confidence = Literal["NONE", "LOW", "MEDIUM", "HIGH"]

_RULES = (
    r"(?:instruct\w*|prompts?|guidelines?|polic(?:y|ies)|rules?|guardrails?|safeguards?|restrictions?|"
    r"directives?|directions?|constraints?|orders|programming)"
)
_BEFORE = (
    r"(?:previous(?:ly)?|prior|above|earlier|preceding|foregoing|initial|original|existing|current|"
    r"system|"
    r"developer|your|given|hidden|all|any|these|those|every(?:thing)?)"
)
_DROP = (
    r"(?:ignore|disregard|forget|override|overrule|bypass|drop|discard|neglect|abandon|skip|"
    r"do not follow|"
    r"don't follow|stop following|pay no attention to|forgotten about)"
)
_SHOW = (
    r"(?:reveal|print|show|repeat|output|display|disclose|leak|expose|give me|tell me|write (?:out|"
    r"down)|dump|"
    r"recite|spell out|return|send|post|copy)"
)
_HIDDEN = (
    r"(?:system prompt|(?:hidden|initial|original|secret|internal|developer|your|system) (?:prompt|"
    r"instructions?|"
    r"rules|guidelines|directives)|(?:previous|prior|all|your) instructions|prompt above|"
    r"(?:text|words|instructions|everything) above|"
    r"(?:secret|api|access) keys?|credentials|environment variables|canary)"
)

_SIGNS: tuple[tuple[int, str], ...] = (
    # Dropping instructions: needs the instructions as the object.
    (3, rf"\b{_DROP}\b[\s\w,'’]{{0,24}}?\b{_BEFORE}\b[\s\w]{{0,20}}?\b{_RULES}\b"),
    (3, rf"\b{_DROP}\s+(?:all\s+)?(?:of\s+)?(?:that|it|this|everything|what)\b[^.]{{0,24}}\b(?:above|"
        rf"before|earlier|told|said)\b"),
    (3, rf"\b(?:your|the|all|previous)\s+(?:\w+\s+)?{_RULES}\s+(?:are|is|have been|"
        rf"were)\s+(?:now\s+)?(?:disabled|void|revoked|"
        r"suspended|cancel+ed|lifted|removed|obsolete|superseded|off)\b"),
    (2, r"\bnew (?:system )?(?:instructions?|prompt|directives?|rules)\s*(?::|from|are|follow)"),
    # Showing what is hidden.
    (3, rf"\b{_SHOW}\b[\s\w,'’]{{0,30}}?\b{_HIDDEN}\b"),
    (2, rf"\bwhat (?:is|are|was|were) (?:your|the) (?:exact )?{_HIDDEN}"),
    # Another role without limits.
    (3, r"\b(?:you are|you're|enter|enable|activate|switch (?:in)?to|go into|"
        r"act as)\b[^.?\n]{0,24}\b(?:DAN\b|(?:developer|"
        r"maintenance|god|debug|jailbr(?:eak|oken)|unrestricted|unfiltered) mode)"),
    (3, r"\bdo anything now\b|\bDAN can do anything\b"),
    (2, r"\b(?:you are|you're|act as|pretend (?:to be|you are|that you)|behave as|roleplay as|"
        r"simulate)\b[^.\n]{0,60}\b(?:"
        r"no (?:longer )?(?:bound|rules|restrictions|limits|filters?|moral|ethic\w*)|"
        r"unrestricted (?:ai|assistant|model|bot)|"
        r"unfiltered (?:ai|assistant|model|bot|chatbot)|without (?:any )?(?:rules|restrictions|limits|"
        r"filters?|censorship|"
        r"moral\w*|ethic\w*)|amoral)\b"),
    (2, r"\b(?:without|no|ignoring|bypass(?:ing)?) (?:any |all )?(?:ethical|moral|safety|"
        r"content) (?:\w+ )?(?:guidelines?|restrictions?|"
        r"limits?|constraints?|filters?|polic(?:y|ies)|considerations)"),
    (2, r"\b(?:stay in|never break|do not break|don't break) character\b"),
    # Text that imitates the frame of a prompt.
    (3, r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\|>|<<SYS>>|"
        r"\[/?INST\]"),
    (2, r"(?m)^\s*(?:#{1,4}\s*|\[|<|\*\*)?(?:system|developer|assistant) (?:message|prompt|override|"
        r"note|notice)"
        r"(?:\]|>|\*\*)?\s*:\s*\S"),
    (2, r"(?m)^\s*Human:[^\n]*\n+\s*Assistant:|<!--\s*(?:system|assistant|agent|ai|bot)\s*:"),
    (2, r"</?(?:system|untrusted|user_input)>"),
    (1, r"</(?:instructions?|request|passages?|ticket|context|subject|draft)>"),
    (3, r"[\"']role[\"']\s*:\s*[\"'](?:system|developer|assistant)[\"']"),
    (2, r"\{\{\s*[/#]?(?:system|untrusted|user|assistant)\s*\}\}"),
    # Orders to whoever processes the text, not to a reader.
    (2, r"\b(?:ai|assistant|llm|language model|chatbot|bot|agent|"
        r"reviewer model)s?\b[^.\n]{0,40}\b(?:must|should|shall|has to|"
        r"needs to|are (?:required|instructed|ordered) to|is (?:required|instructed|"
        r"ordered) to)\b[^.\n]{0,60}\b(?:approve|"
        r"send|forward|delete|call|execute|reply|respond|answer|output|grant|transfer|refund|ignore)"),
    (2, r"\b(?:approve|auto-?approve|execute|run|call|invoke|transfer|refund|"
        r"delete)\b[^.\n]{0,50}\bwithout (?:any )?(?:human |manual )?"
        r"(?:approval|review|confirmation|asking|sign-?off|human)\b"),
    (2, r"\b(?:respond|reply|answer|output|say)\b[^.\n]{0,30}\bonly with\b[^.\n]{0,40}"),
    (2, r"(?:ignorier\w*|vergiss|missachte)\b.{0,20}\b(?:vorherigen|bisherigen|"
        r"obigen)\b.{0,20}\b(?:anweisungen|regeln)"),
    (2, r"(?:ignor\w+|olvid\w+|oubli\w+|esque\w+)\b.{0,24}\b(?:instruc|"
        r"instruç)\w+\b.{0,12}\b(?:anterior|previ|précéd)\w*"),
    (2, r"(?:игнорируй|забудь)\w*.{0,24}(?:инструкци|указани)|(?:忽略|无视).{0,8}(?:指令|指示|提示)"),
    (1, r"(?i)\b(?:override|bypass|disable|circumvent)\b[^.\n]{0,30}\b(?:safety|security|guardrails?|"
        r"filters?|restrictions?|"
        r"moderation|approval)\b"),
    (1, r"\bfrom now on\b[^.\n]{0,40}\b(?:you|your|respond|answer|reply)\b"),
    (1, r"(?i)\b(?:this is|from:?) (?:the |your )?(?:developer|administrator|admin|openai|anthropic|"
        r"creator|system)\b"),
    (1, r"\bhypothetical(?:ly)?\b[^.\n]{0,60}\b(?:no (?:rules|restrictions|laws|ethics)|anything)\b"),
)  # fmt: skip
_COMPILED = tuple((weight, re.compile(pattern, re.IGNORECASE)) for weight, pattern in _SIGNS)
_TAGS = range(0xE0000, 0xE0080)
_SELECTORS = re.compile("[\U000e0100-\U000e01ef]{4,}")
_SPACED = re.compile(r"\b(?:\w ){5,}\w\b")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\u00ad]")


def attack_confidence(text: str) -> Confidence:
    """How sure it is that a text attacks the model that reads it."""
    score = 0
    shown = _visible(text)
    if any(ord(sign) in _TAGS for sign in text) or _SELECTORS.search(text):
        score += 3  # letters that no screen shows have no honest use here
    for weight, pattern in _COMPILED:
        if pattern.search(shown):
            score += weight
    if score >= 3:
        return "HIGH"
    return ("NONE", "LOW", "MEDIUM")[score]


def _visible(text: str) -> str:
    """The text as a model reads it: forms folded, invisible signs gone, hidden tags as letters."""
    letters = "".join(chr(ord(sign) - 0xE0000) if ord(sign) in _TAGS else sign for sign in text)
    folded = _INVISIBLE.sub("", unicodedata.normalize("NFKC", letters))
    # "I g n o r e   a l l": letters one space apart, words further.
    return _SPACED.sub(lambda match: match[0].replace(" ", ""), folded)
