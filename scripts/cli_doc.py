"""Writes docs/cli.md, the commands with their options, by typer's own generator. A test compares."""

import html
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cli.md"
HEAD = """# Command line

Every command ends with 0, with 1 after a failure, with 2 for wrong usage, and with 130 after Ctrl-C. This page is
written by `python -m scripts.cli_doc`.

"""


def page() -> str:
    """The whole page in Markdown."""
    command = [sys.executable, "-m", "typer", "axia.cli", "utils", "docs", "--name", "axia"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # Angle brackets stay escaped: in Markdown they would begin an HTML element.
    text = html.unescape(text.replace("&lt;", "&amp;lt;").replace("&gt;", "&amp;gt;"))
    return HEAD + text.removeprefix("# `axia`\n\n").rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
