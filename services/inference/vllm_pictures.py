"""How many pixels of a picture a model sees, told by what its processor makes of a large one."""

from typing import Any

from PIL import Image

_SIDE = 2000
_NEARLY_ALL = 0.8
"""A processor that keeps this share of a picture's pixels may keep as many of a larger one."""
_CHANNELS = 3


def large_picture() -> Image.Image:
    """The picture to show to a processor."""
    return Image.new("RGB", (_SIDE, _SIDE), "grey")


def useful_pixels(rendered: Any) -> int:
    """Pixels that a processor made of the large picture, parts that overlap and a thumbnail included.

    Args:
        rendered: What vLLM's renderer gave for it.

    Returns:
        The number, which holds for larger pictures as well; 0 if it is unknown, as where the processor takes pictures
        as they are.
    """
    items = rendered.get("mm_kwargs", {}).get("image", [])
    pixels = sum(_values(own) for item in items if item is not None for own in item.get_data().values()) // _CHANNELS
    return pixels if pixels < _NEARLY_ALL * _SIDE**2 else 0


def _values(data: Any) -> int:
    """Numbers in the tensors of a field that hold pixels: those are floating-point and have several axes."""
    if isinstance(data, (list, tuple)):
        return sum(map(_values, data))
    is_pixels = hasattr(data, "is_floating_point") and data.is_floating_point() and data.ndim > 1
    return int(data.numel()) if is_pixels else 0
