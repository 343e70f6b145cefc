"""Prompts as data: versioned Markdown files with a front matter, a system part and a user part.

    ---
    name: plan_work
    version: 1
    role: planner
    technique: zero-shot
    variables: [subject, text]
    purpose: What it is for, in one sentence.
    ---
    # System
    The stable part, the same for every case, so that a provider can cache it.
    # User
    <request><subject>{{subject}}</subject><text>{{text}}</text></request>

Everything that fills a variable comes from outside, so it is escaped for XML: no text can close the tag it
stands in.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from xml.sax.saxutils import escape, quoteattr

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from countersign.errors import ConfigurationError

PROMPTS_DIR = Path(__file__).parent / "prompts"

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_FILE = re.compile(
    r"\A---\n(?P<head>.*?)\n---\n\s*# System\n(?P<system>.*?)\n# User\n(?P<user>.*)\Z", re.DOTALL
)
_TAG_CHARACTERS = range(0xE0000, 0xE0080)
"""Unicode's invisible copies of ASCII: a reader sees nothing, a model may obey them."""


class Header(BaseModel):
    """The front matter. `technique` is the one the prompt really uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z]+(_[a-z]+)*$")]
    version: Annotated[int, Field(ge=1)]
    role: Literal["planner", "writer", "reviewer"]
    technique: Literal["zero-shot", "few-shot", "chain-of-thought"]
    variables: tuple[str, ...]
    purpose: Annotated[str, Field(min_length=1)]


class Markup(str):
    """Text that is XML already, made by `element`. Everything else is escaped when it is rendered."""

    __slots__ = ()


def element(tag: str, content: str, **attributes: object) -> Markup:
    """One element; content and attributes are escaped, except content that is Markup."""
    named = "".join(f" {name}={quoteattr(_visible(str(value)))}" for name, value in attributes.items())
    return Markup(f"<{tag}{named}>{_escaped(content)}</{tag}>")


def lines(elements: Iterable[Markup]) -> Markup:
    """Elements below each other."""
    return Markup("\n".join(elements))


@dataclass(frozen=True)
class Prompt:
    """A prompt that was checked when it was read."""

    header: Header
    system: str
    user: str

    @property
    def label(self) -> str:
        """Name and version, as a model call records it."""
        return f"{self.header.name}@{self.header.version}"

    def render(self, values: Mapping[str, str]) -> str:
        """The user part, filled. Raises ConfigurationError naming variables that are missing or unknown."""
        declared = set(self.header.variables)
        faults = _faults({"missing": declared - values.keys(), "unknown": values.keys() - declared})
        if faults:
            raise ConfigurationError(f"prompt {self.label}: {faults}")
        return _VARIABLE.sub(lambda match: _escaped(values[match[1]]), self.user)


@lru_cache(maxsize=16)
def load_prompt(name: str, folder: Path = PROMPTS_DIR) -> Prompt:
    """The prompt of this name. Raises ConfigurationError naming the file and what is wrong with it."""
    path = folder / f"{name}.md"
    try:
        return parse_prompt(path.read_text(encoding="utf-8"), name)
    except OSError:
        raise ConfigurationError(f"prompt {name}: there is no file {path}") from None


def parse_prompt(text: str, name: str) -> Prompt:
    """A prompt file's content. Raises ConfigurationError."""
    parts = _FILE.match(text)
    if parts is None:
        raise ConfigurationError(f"prompt {name}: needs a front matter, then `# System`, then `# User`")
    try:
        header = Header.model_validate(yaml.safe_load(parts["head"]))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"prompt {name}: the front matter is no YAML: {error}") from None
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, e['loc'])) or 'header'}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"prompt {name}: {wrong}") from None
    system, user = parts["system"].strip(), parts["user"].strip()
    declared, used = set(header.variables), set(_VARIABLE.findall(user))
    faults = _faults(
        {
            "undeclared": used - declared,
            "unused": declared - used,
            # A system part that changes with the case could not be cached, and would give data authority.
            "in the system part": set(_VARIABLE.findall(system)),
        }
    )
    if header.name != name:
        faults = f"the front matter calls it {header.name}" + (f"; {faults}" if faults else "")
    if faults:
        raise ConfigurationError(f"prompt {name}: {faults}")
    return Prompt(header, system, user)


def _faults(variables: Mapping[str, Iterable[str]]) -> str:
    return "; ".join(f"{kind} {', '.join(sorted(names))}" for kind, names in variables.items() if names)


def _escaped(value: str) -> str:
    return value if isinstance(value, Markup) else escape(_visible(value))


def _visible(text: str) -> str:
    """Without lone surrogates, control characters and invisible tag characters."""
    return "".join(
        char
        for char in text
        if char in "\n\t"
        or (unicodedata.category(char) not in ("Cc", "Cs") and ord(char) not in _TAG_CHARACTERS)
    )
