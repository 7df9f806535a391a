"""The gallery: each picture with what every model said of it."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from axia._pictures import FORMATS
from axia.report.collect import Evaluation

_SIDE = 160
_MOST = 200
"""Pictures of one evaluation at most: a page of thousands opens slowly."""


def gallery(evaluations: Sequence[Evaluation]) -> str:
    """Cards in HTML, with the words that the filter looks at."""
    cards = []
    for evaluation in evaluations:
        if evaluation.kind == "role_play_feed":
            continue  # a session has hundreds of pictures, and none of its own
        by_picture: dict[str, list[tuple[str, str, int | None, str]]] = {}
        files: dict[str, tuple[str, str]] = {}
        for run in evaluation.runs:
            for row in run.rows:
                variant = row.metadata.get("variant") or row.metadata.get("persona") or ""
                by_picture.setdefault(row.picture, []).append((run.model, variant, row.score, row.answer))
                truth = row.metadata.get("element") or row.metadata.get("value") or ""
                files[row.picture] = (row.metadata.get("image", ""), truth)
        for picture, answers in list(by_picture.items())[:_MOST]:
            image, truth = files[picture]
            said = "".join(
                f'<li class="s{"u" if score is None else score}"><b>{escape(model)}</b>'
                f"{f' ({escape(variant)})' if variant else ''} "
                f'<span class="mark">{ {1: "✓", 0: "✗", None: "?"}[score] }</span> {escape(answer[:300])}</li>'
                for model, variant, score, answer in answers[:40]
            )
            name = picture.rpartition("/")[2]
            cards.append(
                f'<article class="card"><img src="{thumbnail(Path(image))}" alt="{escape(name)}">'
                f"<h3>{escape(name)}</h3><p>{escape(evaluation.name)}{f': {escape(truth)}' if truth else ''}</p>"
                f"<ul>{said}</ul></article>"
            )
    return "".join(cards)


def thumbnail(path: Path) -> str:
    """A picture as a small data URI; a grey field where the file is gone."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as opened:
            small = opened.convert("RGB")
    except OSError:
        small = Image.new("RGB", (_SIDE, _SIDE), "#bbb")
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=60)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
