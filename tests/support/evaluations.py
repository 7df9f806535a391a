"""A gateway with two scripted models and the real scoring service, and a small study, for tests of evaluations."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from tests.support import processes

ELEMENT = "the child near the hot stove"
PHRASINGS = (ELEMENT, "the child is too close to the stove", "a child reaching for the hot stove")
_ISQ = """visual attractiveness: {0}
curiosity stimulation: {0}
emotional engagement: {0}
value expectation: {0}
preference alignment: {1}
action desire: {1}"""

STRONG = {
    "model": "strong",
    "answers": [
        {"when": "needs attention", "say": [
            {"text": "The child is too close to the hot stove.", "weight": 9}, "A vase of flowers.",
        ]},
        {"when": "Rate this image", "say": [_ISQ.format(9, 0.9), _ISQ.format(2, 0.1)]},
        {"when": "interesting to you", "say": ["Yes.", "No."]},
        {"when": "Why do you", "say": ["Because it is bright."]},
        {"when": "Describe", "say": ["A child in a kitchen."]},
        {"when": "like|enjoy|appeal", "say": [{"text": "Yes, I like it.", "weight": 3}, "No, I don't like it."]},
    ],
}  # fmt: skip
WEAK = {
    "model": "weak",
    "answers": [
        {"when": "needs attention", "say": ["A vase of flowers.", "None.", "The green curtain.", "The lamp."]},
        {"when": "Rate this image", "say": ["I would rather not fill in forms."]},
        {"when": "like|enjoy|appeal", "say": ["Ich mag dieses Bild sehr gern.", "No, I don't like it."]},
    ],
}
"""Names nothing that matters, answers in another language, and says nothing to some questions."""


@contextmanager
def scripted_gateway(folder: Path) -> Iterator[str]:
    """The address of a gateway with the models ``strong`` and ``weak``."""
    with ExitStack() as stack:
        servers = []
        for model in (STRONG, WEAK):
            answers = folder / f"{model['model']}.yaml"
            answers.write_text(json.dumps(model | {"token_ms": 1}), encoding="utf-8")  # JSON is YAML
            log = folder / f"{model['model']}.log"
            servers.append(stack.enter_context(processes.inference(log, engine="scripted", answers=answers)))
        scoring = stack.enter_context(processes.scoring(folder / "scoring.log", reader="packaged"))
        addresses = ",".join(server.address for server in servers)
        gateway = stack.enter_context(
            processes.gateway(folder / "gateway.log", addresses, scoring=scoring.address, refresh_s=0.2)
        )
        for server in (*servers, scoring, gateway):
            server.wait_for("SERVING")
        yield gateway.address


def write_study(folder: Path, pictures: int = 12) -> Path:
    """A study whose pictures all have the same element, so that a model without eyes can name it."""
    rows = []
    for number in range(pictures):
        name = f"scene-{number:02}.png"
        Image.new("RGB", (32, 24), (number * 10, 200 - number * 5, 90)).save(folder / name)
        for person, said in enumerate((*PHRASINGS, "the curtain", ELEMENT, ELEMENT)):
            rows.append(
                {"image": name, "annotator": f"a{person}", "element": said, "response_type": 2, "domain": "domestic",
                 "group": "north" if person < len(PHRASINGS) else "south"}
            )  # fmt: skip
    path = folder / "annotations.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def command(address: str, *arguments: object) -> list[str]:
    """The command line of axia against a gateway."""
    return [sys.executable, "-m", "axia", *map(str, arguments), *(["--address", address] if address else [])]


def environment() -> dict[str, str]:
    """The environment of such a command: this checkout, and a plain console."""
    return os.environ | {"PYTHONPATH": str(processes.ROOT), "COLUMNS": "200", "NO_COLOR": "1"}


def axia(address: str, *arguments: object, code: int = 0) -> str:
    """What a command prints, both streams; it must end with `code`."""
    done = subprocess.run(
        command(address, *arguments), check=False, cwd=processes.ROOT, env=environment(), capture_output=True,
        text=True, timeout=900,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{said[-4000:]}"
    return said
