"""What a model's processor makes of large pictures: how many pixels it uses, and how many tokens they become."""

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from vllm.config.model import ModelConfig
    from vllm.config.vllm import VllmConfig

logger = logging.getLogger(__name__)

_SIZES = ((2000, 2000), (2000, 1500), (2000, 1000))
"""Width and height of the pictures that are tried. Of square, slightly and very wide ones one takes the most tiles."""
_LARGEST = max(width * height for width, height in _SIZES)
_NEARLY_ALL = 0.8
"""A processor that keeps this share of a picture's pixels may keep as many of a larger one."""
_CHANNELS = 3


class PictureUse(NamedTuple):
    """What becomes of a picture."""

    pixels: int
    """Pixels that the processor makes of a large picture, tiles that overlap and a thumbnail included; 0 if unknown, as
    where it takes pictures as they are."""
    tokens: int
    """Tokens that a large picture becomes at most, of sizes that were tried; 0 if unknown."""


def measure(config: "ModelConfig") -> PictureUse:
    """Has the model's processor process large pictures: 0.2 to 2.1 s on 13 families. It needs no weights."""
    if not config.is_multimodal_model:
        return PictureUse(0, 0)
    from vllm.multimodal import MULTIMODAL_REGISTRY

    try:
        processor = MULTIMODAL_REGISTRY.create_processor(config)
        made = [_processed(processor, config.max_model_len, Image.new("RGB", size, "grey")) for size in _SIZES]
    except Exception:  # code of a hundred families; the server is as good without, but for the bounds
        logger.info("the model's processor can't be tested with large images", exc_info=True)
        return PictureUse(0, 0)
    pixels = max(use.pixels for use in made)
    return PictureUse(pixels if pixels < _NEARLY_ALL * _LARGEST else 0, max(use.tokens for use in made))


def _processed(processor: Any, context: int, picture: Image.Image) -> PictureUse:
    from vllm.multimodal.processing.context import TimingContext

    inputs = processor.get_dummy_inputs(seq_len=context, mm_counts={"image": 1}, mm_options={})
    inputs = dataclasses.replace(inputs, mm_data_items=processor.info.parse_mm_data({"image": [picture]}))
    made = processor.apply(inputs, TimingContext(enabled=False))
    values = sum(_values(data) for item in made["mm_kwargs"]["image"] for data in item.get_data().values())
    return PictureUse(
        values // _CHANNELS, sum(placeholder.get_num_embeds() for placeholder in made["mm_placeholders"]["image"])
    )


def _values(data: Any) -> int:
    """Numbers in the tensors of a field that hold pixels: those are floating-point and have several axes."""
    if isinstance(data, (list, tuple)):
        return sum(map(_values, data))
    is_pixels = hasattr(data, "is_floating_point") and data.is_floating_point() and data.ndim > 1
    return int(data.numel()) if is_pixels else 0


def make_room(config: "VllmConfig", use: PictureUse) -> None:
    """Lets the encoder process, and the scheduler hold, a picture of as many tokens.

    vLLM asks the model's class how many that are, and some say too few: InternVL in the layout of transformers says
    those of one tile and makes up to 13. Pictures that have more than a step's budget are then all refused.
    """
    scheduler = config.scheduler_config
    if use.tokens > min(scheduler.encoder_cache_size, scheduler.max_num_encoder_input_tokens):
        scheduler.encoder_cache_size = max(scheduler.encoder_cache_size, use.tokens)
        scheduler.max_num_encoder_input_tokens = max(scheduler.max_num_encoder_input_tokens, use.tokens)
