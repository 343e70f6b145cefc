"""Rules for every state machine that no linter checks: targets, timeouts, error names, substitutions, words."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonata
import pytest
from countersign import errors

from local.template import ROOT as _  # noqa: F401
