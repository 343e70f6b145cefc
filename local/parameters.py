"""What CloudFormation checks of a template's parameters, and moto does not."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any


def refusal(template: Mapping[str, Any], parameters: Mapping[str, str]) -> str | None:
    """Why the template does not take these values, in one sentence; None where it does."""
    declared = template.get("Parameters", {})
    for name, value in parameters.items():
        if name not in declared:
            return f"the template has no parameter {name}; it has {', '.join(sorted(declared))}"
        if wanted := _unmet(declared[name], value):
            return f"{name} is {wanted}, and not {value!r}"
    return None


def _unmet(declared: Mapping[str, Any], value: str) -> str | None:
    """What a value should be and is not."""
    allowed = [str(each) for each in declared.get("AllowedValues", ())]
    if allowed and value not in allowed:
        return f"one of {', '.join(allowed)}"
    if declared["Type"] == "Number":
        return _unmet_number(declared, value)
    if len(value) > int(declared.get("MaxLength", len(value))):
        return f"at most {declared['MaxLength']} characters"
    pattern = declared.get("AllowedPattern")
    return f"what {pattern} matches" if pattern and not re.fullmatch(pattern, value) else None


def _unmet_number(declared: Mapping[str, Any], value: str) -> str | None:
    least, most = declared.get("MinValue"), declared.get("MaxValue")
    try:
        number = Decimal(value)
    except InvalidOperation:
        return "a number"
    if not number.is_finite():
        return "a number"
    if least is not None and number < Decimal(str(least)):
        return f"at least {least}"
    return f"at most {most}" if most is not None and number > Decimal(str(most)) else None
