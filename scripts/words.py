"""Finds words that most readers don't know or search for: python -m scripts.words. `make check` runs it.

The documentation is for people whose first language is mostly another one. To add a word, add a row; to use one in a
quotation, write it in quotes in a file of data.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTEAD = {
    r"lies? in": "is stored in, is in",
    r"dear(ly)?": "expensive",
    r"mend(s|ed|ing)?": "fix",
    r"those who": "users who, clients that, people who",
    r"carr(y|ies) on": "continue",
    r"bears? with": "retries, waits for",
    r"patient(ly)?|patience": "retry policy, time limit",
    r"HTTP face": "HTTP API",
    r"whence|whither|whereof|thereof|wherein|therein|whereupon|thereby|hence": "a usual word",
    r"lest|ere|albeit|amongst|whilst": "a usual word",
    r"one and one": "alternating",
    r"worth while": "useful",
    r"to the eye": "visibly",
    r"and the like": "and similar ones",
    r"what is where": "project layout",
    r"laws?": "rules",
    r"asks? the same": "repeats the request",
    r"nucleus": "top_p",
    r"by and by": "later",
    r"many a": "many",
    r"nought|naught": "zero",
    r"(?:is|are|was|were) there already": "already exists, is already stored",
    r"go(?:es)? on (?:with|behind|where)": "continues",
    r"broken?[ -]off|breaks? off": "was interrupted",
    r"least severe": "minimum",
    r"once for each(?=\.)": "repeatable",
    r"(?:takes?|took|taken|taking) (?:images|pictures) in": "indexes images",
    r"(?<!there )(?:is|are) no (?:JSON|UTF-8|port|folder|checkout|keyword|judge card|such thing)": "is not a",
    r"allow the call more time": "give the call a longer timeout",
    r"(?:is|are) told (?:as such|on standard error)": "is reported",
    r"nothing that counts": "nothing relevant",
    r"forthwith|henceforth|hitherto|heretofore": "from now on, until now",
}  # fmt: skip
FILES = ("*.md", "*.py", "*.proto", "*.yaml", "Makefile")
LEFT_OUT = (
    "axia/v1/", "tests/", "training/reading/data/", "training/reading/GUIDE.md", "training/reading/LABELLING.md",
    "training/vlm/", "demo/world/", "demo/study/", "services/scoring/reading/", "scripts/words.py", "docs/rpc.md",
)  # fmt: skip
"""Generated files, whose sources are checked, and texts that imitate models' and people's words."""
EXCEPT = re.compile(r"mend\.io|import (?:law|rule)|whence: int|\[whence\]|Top[- ]p|nucleus sampling", re.IGNORECASE)
_WORDS = re.compile("|".join(rf"\b(?P<w{number}>{words})\b" for number, words in enumerate(INSTEAD)), re.IGNORECASE)


def found(line: str) -> list[tuple[str, str]]:
    """The words of a line that should be others, each with what to write instead."""
    instead = list(INSTEAD.values())
    return [(match.group(), instead[int(str(match.lastgroup)[1:])]) for match in _WORDS.finditer(EXCEPT.sub("", line))]


def main() -> int:
    """Prints every place and returns 1 if there is any."""
    listed = subprocess.run(["git", "ls-files", *FILES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    places = [
        f"{name}:{number}: {word!r}: write {instead}"
        for name in listed.splitlines()
        if not name.startswith(LEFT_OUT)
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
        for word, instead in found(line)
    ]
    print("\n".join(places) or "no such words")
    return bool(places)


if __name__ == "__main__":
    sys.exit(main())
