"""Requests that the OpenAPI page shows, by path."""

import base64
import io
from functools import cache
from typing import Any

from PIL import Image


@cache
def _picture() -> str:
    """A picture of 64 × 64 pixels in base64, small enough for a page."""
    data = io.BytesIO()
    Image.new("RGB", (64, 64), (222, 184, 135)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


EXAMPLES: dict[str, Any] = {
    "/v1/detect": {"image": {"data": _picture()}, "n": 3, "temperature": 1.0, "seed": 7},
    "/v1/detect/stream": {"image": {"data": _picture()}, "n": 3},
    "/v1/preference": {"values": ["hedonism", "security"], "k": 5},
    "/v1/interest": {
        "pictures": [{"image": {"data": _picture()}}],
        "traits": ["I love the sea.", "I work too much."],
        "strategy": "INTEREST_STRATEGY_ISQ",
    },
    "/v1/judge": {
        "items": [{"answer": "The child near the stove.", "element": "child", "accept": ["kid"]}],
        "samples": 3,
    },
    "/v1/search/text": {"query": "a hug", "k": 5},
    "/v1/search/image": {"image": {"data": _picture()}, "k": 5},
    "/v1/search/value": {"value": "benevolence", "k": 5},
    "/v1/images/delete": {"ids": ["0" * 64]},
    "/v1/reindex": {"encoder": "ViT-B-32/laion2b_s34b_b79k"},
    "/v1/score/response-types": {"sentences": ["The child is writing on the wall.", "None."]},
    "/v1/score/values": {"sentences": ["The baby is near a hot stove."]},
    "/v1/score/summary": {"sentences": ["A hot stove.", "The stove is hot.", "A knife."]},
    "/v1/score/alignment": {"items": [{"answer": "The child near the stove.", "element": "child", "accept": ["kid"]}]},
    "/v1/score/preference": {"answers": [{"value": "power", "answer": "Yes, I do.", "keyword": "crown"}]},
    "/v1/chat/completions": {
        "model": "llava",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What needs attention here?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_picture()}"}},
                ],
            }
        ],
        "max_tokens": 60,
    },
}
