"""Detects values in the twelve study scenes and compares with their truth."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import axia
from demo.world.catalogue import Situation, situation
from demo.world.manifest import Record, read_manifest
from demo.world.truth import aligned

GALLERY = Path(__file__).parents[1] / "gallery"
SEED = 2025
"""Of every request, so that the same model on the same engine says the same again."""


def detect_study_scenes(client: axia.Client, out: Console) -> list[int]:
    """Samples three completions for each study scene, prints them, and returns each one's alignment, 0 or 1."""
    table = Table("scene, agreement, values", "first sentence of each completion", box=box.SIMPLE_HEAD)
    scores: list[int] = []
    for record in _study_records():
        detection = client.detect(GALLERY / record["file"], n=3, temperature=1.0, seed=SEED)
        hits = _hits(detection.completions, situation(record["situation"]))
        scores += hits
        sentences = Table.grid(padding=(0, 1))
        for hit, completion in zip(hits, detection.completions, strict=True):
            sentences.add_row("[green]✓[/green]" if hit else "[red]✗[/red]", escape(completion.first_sentence))
        about = f"{detection.agreement:.2f} in {detection.timings_ms['total']:.0f} ms"
        table.add_row("\n".join((f"[bold]{record['situation']}[/bold]", about, _heaviest(detection.values))), sentences)
        table.add_section()
    out.print(table)
    out.print("✓ names what the scene shows, or says that nothing needs attention if that is true.")
    return scores


def _heaviest(values: dict[str, float]) -> str:
    """The two values that weigh most, if any does."""
    heaviest = sorted(values.items(), key=lambda pair: -pair[1])[:2]
    return ", ".join(name for name, weight in heaviest if weight > 0)


def _study_records() -> Iterator[Record]:
    """The lines of the gallery's manifest that are study scenes, in the order of the study."""
    records = (record for record in read_manifest(GALLERY) if record["kind"] == "scene" and record["study"])
    return iter(sorted(records, key=lambda record: int(record["study"])))


def _hits(completions: Sequence[axia.Completion], shown: Situation) -> list[int]:
    return [int(aligned(completion.first_sentence, shown)) for completion in completions]
