"""Write a folder of pictures of the demo world, with a manifest.

    python -m demo.world --out pictures --kind scenes --count 100 --seed 1
    python -m demo.world --out demo/gallery --kind gallery         # the committed gallery, scenes and contact sheet

Kinds: scenes (home scenes), feed (feed frames), study (the twelve study scenes), gallery (feed frames that cover every
keyword, in a folder for each platform, the twelve study scenes, and a contact sheet). The same seed gives the same
pictures.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

from demo.world.families import Split
from demo.world.frames import Frame, draw_frame
from demo.world.gallery import contact_sheet, gallery_frames
from demo.world.manifest import describe, write_manifest
from demo.world.paint import paint
from demo.world.scenes import Scene, draw_scene, study_scenes

FORMATS = {"webp": {"quality": 72, "method": 6}, "jpeg": {"quality": 85}, "png": {}}


def draw(kind: str, count: int, seed: int, split: Split | None) -> list[tuple[str, Scene | Frame]]:
    """What to paint, each with the stem of its file."""
    if kind == "scenes":
        return [(f"scene-{i:05}", draw_scene(f"{seed}:{i}", split)) for i in range(count)]
    if kind == "feed":
        return [(f"frame-{i:05}", draw_frame(f"{seed}:{i}", split)) for i in range(count)]
    study: list[tuple[str, Scene | Frame]] = [
        (f"study-{i:02}-{s.situation.id}", s) for i, s in enumerate(study_scenes(seed), 1)
    ]
    if kind == "study":
        return study
    frames = [
        (f"{frame.platform}/frame-{i:04}-{frame.keywords[0].replace(' ', '-')}", frame)
        for i, frame in enumerate(gallery_frames(seed))
    ]
    return [*frames, *study]


def encode(image: Image.Image, file_format: str) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **FORMATS[file_format])
    return buffer.getvalue()


def main() -> None:
    """Draw, paint, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="output folder; existing files are overwritten")
    parser.add_argument("--kind", choices=("scenes", "feed", "study", "gallery"), required=True)
    parser.add_argument("--count", type=int, default=100, help="number of images (scenes and feed)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--split", choices=[split.value for split in Split], help="use only this split (scenes and feed)"
    )
    parser.add_argument("--size", type=int, default=448, help="side length in pixels")
    parser.add_argument("--format", choices=FORMATS, default="webp")
    args = parser.parse_args()
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    records, total = [], 0
    things = draw(args.kind, args.count, args.seed, Split(args.split) if args.split else None)
    for stem, thing in things:
        name = f"{stem}.{args.format}"
        data = encode(paint(thing.picture, args.size), args.format)
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(data)
        records.append(describe(thing, name, data, args.size))
        if args.kind == "gallery" and isinstance(thing, Scene):
            records[-1]["index"] = False  # `axia index` takes the feed frames in; the scenes are for `axia detect`
        total += len(data)
    write_manifest(out, records)
    if args.kind == "gallery":
        chosen = [thing.picture for _, thing in things[-12:]] + [thing.picture for _, thing in things[:36]]
        (out / "contact-sheet.jpg").write_bytes(encode(contact_sheet(chosen, 12, 144), "jpeg"))
    print(f"{len(records)} images, {total / 1e6:.1f} MB, and {out / 'manifest.jsonl'}")


if __name__ == "__main__":
    main()
