"""Manifests: one JSON line a picture, beside the pictures.

A scene's line:  {"kind": "scene", "file", "sha256", "width", "height", "seed", "split", "family", "room", "situation",
                  "value_laden", "element", "accept", "response", "concern", "values", "shows", "study"}
A frame's line:  {"kind": "frame", "file", "sha256", "width", "height", "seed", "split", "family", "platform",
                  "concepts", "keywords", "values", "caption", "description", "liked"}

`axia index` reads `file`, `platform` and, where a picture is to be left out of an index, `"index": false`.
`sha256` is that of the file's bytes. `response` is the type of answer that people would give (1 descriptive,
2 value-aware, 3 none, 4 picture quality). The first concept, keyword and value of a frame are the main ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from demo.world.frames import Frame
from demo.world.scenes import Scene
from demo.world.truth import liked

Record = dict[str, Any]
NAME = "manifest.jsonl"
NOTHING = "none"
"""The element of a scene in which nothing needs attention, as `axia detect --truths` takes it."""


def describe(thing: Scene | Frame, file: str, data: bytes, side: int) -> Record:
    """The line of one picture.

    Args:
        thing: what the picture shows.
        file: its name, relative to the manifest.
        data: its bytes as written.
        side: its width and height, pixels.
    """
    record: Record = {
        "kind": "scene" if isinstance(thing, Scene) else "frame",
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
        "width": side,
        "height": side,
        "seed": thing.seed,
        "split": thing.split.value,
        "family": thing.picture.family.name,
    }
    if isinstance(thing, Scene):
        situation = thing.situation
        return record | {
            "room": thing.room,
            "situation": situation.id,
            "value_laden": not situation.control,
            "element": situation.element or NOTHING,
            "accept": list(situation.accept),
            "response": situation.response,
            "concern": situation.concern,
            "values": list(situation.values),
            "shows": situation.shows,
            "study": situation.study,
        }
    return record | {
        "platform": thing.platform,
        "concepts": [concept.name for concept in thing.concepts],
        "keywords": list(thing.keywords),
        "values": list(thing.values),
        "caption": thing.caption,
        "description": " and ".join(concept.phrase for concept in thing.concepts),
        "liked": liked(thing.concepts),
    }


def write_manifest(folder: Path, records: Iterable[Record]) -> Path:
    """Write `manifest.jsonl` in a folder, one record a line in the order given."""
    path = folder / NAME
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_manifest(folder: Path) -> Iterator[Record]:
    """The records of a folder's manifest.

    Raises:
        FileNotFoundError: the folder has none.
    """
    with (folder / NAME).open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                record: Record = json.loads(line)
                yield record
