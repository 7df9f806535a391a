"""Draws what a command prints as an SVG: python -m scripts.terminal_picture docs/detection.svg axia detect …

Needs what the command needs, such as a running suite. The picture names fonts of the reader's machine, so that showing
it asks no other host.
"""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

COLUMNS = 88
WHITE, INK = (255, 255, 255), (36, 50, 61)
COLOURS = [
    INK,
    (176, 45, 45),
    (30, 110, 60),
    (150, 100, 10),
    (30, 80, 150),
    (120, 50, 130),
    (20, 110, 120),
    (90, 100, 110),
]
THEME = TerminalTheme(WHITE, INK, COLOURS)
FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n?", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def draw(command: list[str]) -> str:
    """Runs a command and returns what it prints, its command line first, as an SVG."""
    environment = os.environ | {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {' '.join(command)}", style="bold"))
    console.print(Text.from_ansi(ran.stdout))
    return console.export_svg(title="axia", theme=THEME, code_format=FORMAT, unique_id="axia")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.argv[2:]), encoding="utf-8")
