"""Saves the state of a training so that an interruption never leaves half a file."""

from pathlib import Path
from typing import Any

import torch


def save_state(state: dict[str, Any], path: Path) -> None:
    """Replaces the file at once by the state as torch saves it; makes its folder where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    torch.save(state, new)
    new.replace(path)
