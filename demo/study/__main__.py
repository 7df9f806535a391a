"""Write the demo study's annotations and the demo feed's truth: python -m demo.study

Both are made up here and say so: no person was asked. `annotations.jsonl` has fourteen annotators in three groups who
each name the element of each of the twelve scenes; `feed.jsonl` has what each persona does with frames of each
platform, by the documented truth of the demo world (demo/world/truth.py).

    python -m demo.world --out scenes --kind scenes --count 400 --split held-out
    python -m demo.study --scenes scenes            # scenes/annotations.jsonl, the authored truth of each scene

Scenes have one annotator for each authored phrasing, so that all of them count.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from demo.world.catalogue import situations
from demo.world.personas import personas
from demo.world.truth import questionnaire

FOLDER = Path(__file__).parent
GALLERY = FOLDER.parent / "gallery"
GROUPS = {"group A": 5, "group B": 5, "group C": 4}
"""Annotators of each made-up group: fourteen, as in the study (arXiv 2501.03957)."""
USUAL = {"group A": 0.92, "group B": 0.86, "group C": 0.78}
"""How likely a member of a group names what most do."""
FRAMES = 8
"""Frames of each platform that every persona sees."""
SOURCE = "made up for axia's demo; no person was asked"


def _draw(*parts: object) -> float:
    """A number in [0, 1) that follows from the parts."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def study_rows(manifest: list[dict[str, Any]]) -> list[dict[str, object]]:
    """The rows of the study, scene by scene."""
    said = tomllib.loads((FOLDER / "phrasings.toml").read_text(encoding="utf-8"))
    people = [
        (f"annotator-{group[-1].lower()}{i}", group) for group, count in GROUPS.items() for i in range(1, count + 1)
    ]
    rows: list[dict[str, object]] = []
    for scene in (row for row in manifest if row["kind"] == "scene"):
        for person, group in people:
            usual = _draw("usual", scene["situation"], person) < USUAL[group]
            texts = said[scene["situation"]]["usual" if usual else "others"]
            element, response_type = texts[int(_draw("text", scene["situation"], person) * len(texts))]
            rows.append(
                {
                    "image": f"../gallery/{scene['file']}", "annotator": person, "group": group, "element": element,
                    "response_type": response_type, "domain": "domestic", "synthetic": True, "source": SOURCE,
                }
            )  # fmt: skip
    return rows


def scene_rows(manifest: list[dict[str, Any]]) -> list[dict[str, object]]:
    """The authored truth of scenes that were painted anew; of pictures that are the same by chance the first."""
    by_id = {situation.id: situation for situation in situations()}
    first = {row["sha256"]: row for row in reversed(manifest) if row["kind"] == "scene"}
    rows: list[dict[str, object]] = []
    for scene in (row for row in manifest if first.get(row["sha256"]) is row):
        situation = by_id[scene["situation"]]
        phrasings = ("none",) if situation.control else (scene["element"], *situation.says)
        for number, phrasing in enumerate(phrasings, start=1):
            rows.append(
                {
                    "image": scene["file"], "annotator": f"author-{number}", "element": phrasing,
                    "response_type": scene["response"], "domain": "domestic", "synthetic": True,
                    "source": "demo/world/data/situations.toml",
                }
            )  # fmt: skip
    return rows


def feed(manifest: list[dict[str, Any]]) -> list[dict[str, object]]:
    """What each persona does with each frame of the feed."""
    frames: list[dict[str, Any]] = []
    for platform in ("tiktok", "instagram", "youtube"):
        of_platform = [row for row in manifest if row["kind"] == "frame" and row["platform"] == platform]
        of_platform.sort(key=lambda row: _draw("feed", row["file"]))
        frames += of_platform[:FRAMES]
    rows: list[dict[str, object]] = []
    for persona in personas():
        for frame in frames:
            truth = questionnaire(persona, frame["values"])
            rows.append(
                {
                    "image": f"../gallery/{frame['file']}", "platform": frame["platform"], "persona": persona.id,
                    "traits": list(persona.traits), "stays": truth.match, "percent": round(truth.percent, 2),
                    "source": "demo/world/truth.py",
                }
            )  # fmt: skip
    return rows


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """Writes JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows")


def main() -> None:
    """Draws and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=Path, help="folder of scenes with their manifest, to write annotations for")
    folder: Path | None = parser.parse_args().scenes
    if folder:
        write(folder / "annotations.jsonl", scene_rows(_manifest(folder)))
        return
    manifest = _manifest(GALLERY)
    write(FOLDER / "annotations.jsonl", study_rows(manifest))
    write(FOLDER / "feed.jsonl", feed(manifest))


def _manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
