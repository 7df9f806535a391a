"""The prompts that models are asked with, read from axia's own files, so that training can't drift from use."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "axia" / "data" / "prompts"
DETECTORS = ("detect/baseline", "detect/health", "detect/safety", "detect/social", "detect/values", "detect/reason")
SYSTEM = "detect/system"


@cache
def prompts() -> dict[str, str]:
    """Prompt id → text with its braces."""
    return {
        prompt["id"]: prompt["text"]
        for path in sorted(FOLDER.glob("*.toml"))
        for prompt in tomllib.loads(path.read_text(encoding="utf-8"))["prompt"]
    }
