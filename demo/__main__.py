"""The demo: starts the suite, shows what it does on the demo world, stops it.

    make demo

It detects values in the twelve study scenes, indexes the gallery and finds pictures by value, measures what the demo
model likes, and lets it judge as a persona. A suite that runs already is used and left running.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

import axia
from demo.tour.pictures import index_gallery, search_values
from demo.tour.preference import judge_as_persona, measure_preference
from demo.tour.scenes import detect_study_scenes
from suite.services import find_checkout
from suite.supervisor import Supervisor

STATE = find_checkout() / ".axia" / "demo"
"""Where the demo keeps its index and writes its contact sheet."""

PUBLISHED = {"LLaVA 34B (the best model)": 0.42, "LLaVA Mistral 7B (the lowest)": 0.14, "people": 0.78}
"""Mean alignment in the values-detector study (arXiv 2501.03957)."""


def main() -> None:
    """Runs the demo."""
    out = Console(highlight=False)
    began = time.monotonic()
    with _suite(out), axia.Client() as client:
        ready = time.monotonic()
        scores = detect_study_scenes(client, out)
        published = ", ".join(f"{who} {score:.2f}" for who, score in PUBLISHED.items())
        mean = statistics.mean(scores)
        out.print(f"Mean alignment (share of ✓) of the demo model on these demo images: {mean:.2f}.")
        out.print(f"Published results of real models and people on other images: {published} (arXiv 2501.03957).")
        out.print("The demo model was trained on similar images, so its result only shows that the services work.\n")
        index_gallery(client, out)
        search_values(client, out, STATE)
        measure_preference(client, out)
        judge_as_persona(client, out)
        ended = time.monotonic()
    out.print(f"The services were ready after {ready - began:.0f} s; the demo then took {ended - ready:.0f} s.")


@contextmanager
def _suite(out: Console) -> Iterator[None]:
    """The suite, started and stopped here unless it runs already."""
    if Supervisor(find_checkout()).running:
        out.print(
            "The demo uses the running services and doesn't stop them. It adds the gallery's images to their index."
        )
        yield
        return
    command = [sys.executable, "-m", "axia"]
    # An index of its own, so that the gallery never mixes with a user's pictures.
    environment = {"AXIA_RETRIEVAL_DATA": str(STATE / "retrieval"), **os.environ}
    subprocess.run([*command, "up", "--detach"], check=True, env=environment)  # noqa: S603 - our own command line
    try:
        yield
    finally:
        subprocess.run([*command, "down"], check=True)  # noqa: S603 - our own command line


if __name__ == "__main__":
    main()
