"""What a processor makes of large pictures, with processors that make tiles as models' own do."""

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from services.inference.engines.vllm.images import make_room, measure

TILE, TOKENS_OF_TILE = 448, 256


@dataclass
class Inputs:
    """As vLLM's ProcessorInputs."""

    prompt: list[int]
    mm_data_items: Any = None


@dataclass
class Item:
    """One processed picture, by field."""

    data: dict[str, Any] = field(default_factory=dict)

    def get_data(self) -> dict[str, Any]:
        return self.data


class Processor:
    """Makes as many tiles as the sides' ratio asks for, and a thumbnail."""

    def __init__(self, *, tiles: bool) -> None:
        self._tiles = tiles
        self.info = SimpleNamespace(parse_mm_data=lambda data: data)

    def get_dummy_inputs(self, seq_len: int, mm_counts: dict[str, int], mm_options: dict[str, object]) -> Inputs:
        return Inputs([seq_len, *mm_counts.values()])

    def apply(self, inputs: Inputs, timing: object) -> dict[str, Any]:
        # Not above: every process of the tests would wait for it.
        torch = pytest.importorskip("torch", reason="needs torch, which a set-up without an engine leaves out")
        picture: Image.Image = inputs.mm_data_items["image"][0]
        count = {1.0: 9, 4 / 3: 12, 2.0: 8}[picture.width / picture.height] + 1
        if self._tiles:
            tiles = [torch.zeros(3, TILE, TILE) for _ in range(count)]
            item = Item({"pixel_values": tiles, "num_patches": torch.tensor([[count]]), "scale": torch.ones(1)})
        else:
            item = Item({"pixel_values": torch.zeros(3, picture.height, picture.width)})
        place = SimpleNamespace(get_num_embeds=lambda: count * TOKENS_OF_TILE)
        return {"mm_kwargs": {"image": [item]}, "mm_placeholders": {"image": [place]}}


def config(*, takes_pictures: bool = True) -> Any:
    return SimpleNamespace(is_multimodal_model=takes_pictures, max_model_len=4096)


def with_processor(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    """Puts a processor in the place of vLLM's."""
    registry, context = ModuleType("vllm.multimodal"), ModuleType("vllm.multimodal.processing.context")
    registry.MULTIMODAL_REGISTRY = SimpleNamespace(create_processor=make)  # type: ignore[attr-defined]  # made here
    context.TimingContext = SimpleNamespace  # type: ignore[attr-defined]  # made here
    for module in (ModuleType("vllm"), registry, ModuleType("vllm.multimodal.processing"), context):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_pixels_and_tokens_are_those_of_the_size_that_takes_the_most_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    with_processor(monkeypatch, lambda _: Processor(tiles=True))
    assert measure(config()) == (13 * TILE * TILE, 13 * TOKENS_OF_TILE)


def test_pixels_are_unknown_of_a_processor_that_takes_pictures_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with_processor(monkeypatch, lambda _: Processor(tiles=False))
    assert measure(config()) == (0, 13 * TOKENS_OF_TILE)


def test_nothing_is_known_of_a_model_without_pictures_or_whose_processor_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: object) -> None:
        raise KeyError("pixel_values")

    with_processor(monkeypatch, fail)
    assert measure(config(takes_pictures=False)) == (0, 0)
    assert measure(config()) == (0, 0)


@pytest.mark.parametrize(
    ("tokens", "room"), [(0, 2048), (2048, 2048), (3328, 3328)], ids=["unknown", "fits", "more than a step's budget"]
)
def test_there_is_room_for_the_tokens_of_a_picture(tokens: int, room: int) -> None:
    engine: Any = SimpleNamespace(
        scheduler_config=SimpleNamespace(encoder_cache_size=2048, max_num_encoder_input_tokens=2048)
    )
    make_room(engine, SimpleNamespace(pixels=0, tokens=tokens))  # type: ignore[arg-type]  # only this is read
    assert vars(engine.scheduler_config) == {"encoder_cache_size": room, "max_num_encoder_input_tokens": room}
