"""Which of Pillow's decoders images can reach that a client opens."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OPENING = [
    path
    for folder in ("axia", "agent", "services", "gateway", "feed", "suite")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "Image.open(" in path.read_text()
]


@pytest.mark.parametrize("path", OPENING, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_opened_in_any_format_that_pillow_knows(path: Path) -> None:
    calls = re.findall(r"Image\.open\(((?:[^()]|\([^()]*\))*)\)", path.read_text())
    assert calls
    assert [call for call in calls if "formats=FORMATS" not in call] == []
