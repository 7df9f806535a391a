import asyncio
import contextlib
import copy
import dataclasses
import gc
import hashlib
import io
import shutil
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from PIL import Image

from services.retrieval.encoder.openclip import DEFAULT_LIMITS, DEMO_ENCODER, OpenClipEncoder, _prepare
from services.retrieval.encoder.openclip_model import OpenClipModel
from services.retrieval.encoder.protocol import Encoder, PreparedPicture
from services.serving.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from services.serving.images.reading import PictureLimits, decode, read_header
from tests.support.encoders import HashEncoder
from tests.support.pictures import photograph

FOLDER = Path(DEMO_ENCODER.removeprefix("local-dir:"))
SIZES = [(320, 240), (240, 320), (112, 112), (60, 500), (37, 19), (1000, 600)]
TEXTS = ["mountain", "two dogs", "", "🔥", "word " * 500]


@pytest.fixture
async def encoder() -> AsyncIterator[Encoder]:
    encoder: Encoder = OpenClipEncoder(dtype="float32", threads=1)
    await encoder.start()
    yield encoder
    await encoder.close()


@pytest.fixture(scope="module")
def stock() -> Any:
    """Model, transform and tokenizer as any user of open_clip loads them."""
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(DEMO_ENCODER)
    return model.eval(), transform, open_clip.get_tokenizer(DEMO_ENCODER)


async def test_pictures_have_the_vectors_of_a_plain_open_clip_loop(encoder: Encoder, stock: Any) -> None:
    import torch

    model, transform, _ = stock
    files = [photograph(seed, size, form) for seed, size in enumerate(SIZES) for form in ("JPEG", "PNG", "WEBP")]
    prepared = [await encoder.prepare(file) for file in files]
    vectors = await encoder.encode_pictures(prepared)
    with torch.inference_mode():
        expected = [
            model.encode_image(transform(Image.open(io.BytesIO(file)))[None], normalize=True)[0].numpy()
            for file in files
        ]
    np.testing.assert_allclose(vectors, expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(files), encoder.id.dimension)


async def test_texts_have_the_vectors_of_a_plain_open_clip_loop(encoder: Encoder, stock: Any) -> None:
    import torch

    model, _, tokenizer = stock
    vectors = await encoder.encode_texts(TEXTS)
    with torch.inference_mode():
        expected = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    np.testing.assert_allclose(vectors, expected, atol=1e-4)
    np.testing.assert_array_equal(await encoder.encode_texts(TEXTS[::-1]), vectors[::-1])


@pytest.mark.parametrize("text", ["\ud800", "x" * 100_000, "a " * 50_000, " " * 100_000, "الجبل"])
async def test_any_text_has_a_finite_vector(encoder: Encoder, text: str) -> None:
    assert np.isfinite(await encoder.encode_texts([text])).all()


async def test_nothing_has_no_vectors(encoder: Encoder) -> None:
    assert (await encoder.encode_texts([])).shape == (0, 128)
    assert (await encoder.encode_pictures([])).shape == (0, 128)


async def test_the_demo_encoder_is_named_by_its_folder_and_weights(encoder: Encoder) -> None:
    digest = hashlib.sha256((FOLDER / "open_clip_model.safetensors").read_bytes()).hexdigest()
    assert encoder.id.name == "clip"
    assert encoder.id.revision == f"sha256:{digest[:12]}"
    assert encoder.id.dimension == 128


async def test_a_prepared_picture_knows_its_header_and_perceptual_hash(encoder: Encoder) -> None:
    for fake_or_real in (encoder, HashEncoder()):
        for size in SIZES:
            file = photograph(3, size)
            prepared = await fake_or_real.prepare(file)
            assert prepared.header == read_header(file, DEFAULT_LIMITS)
            assert prepared.perceptual_hash == str(imagehash.phash(decode(file, DEFAULT_LIMITS)))
            assert len(bytes.fromhex(prepared.perceptual_hash)) == 8


async def test_what_is_no_picture_is_refused_by_field(encoder: Encoder) -> None:
    with pytest.raises(InvalidArgument, match=r"examples\[2\]: ") as caught:
        await encoder.prepare(photograph()[:1000], "examples[2]")
    assert caught.value.reason == "IMAGE_DAMAGED"


async def test_limits_are_those_that_were_given() -> None:
    encoder = OpenClipEncoder(dtype="float32", threads=1, limits=PictureLimits(10**6, 10**6, 100))
    await encoder.start()
    with pytest.raises(InvalidArgument, match="at most 100 a side"):
        await encoder.prepare(photograph())
    await encoder.close()


class Recorder:
    """Counts what the model computes; may hold it up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pictures: list[int] = []
        self.texts: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()
        self.threads: set[str] = set()
        self.began = threading.Event()
        pictures, texts = OpenClipModel.encode_pictures, OpenClipModel.encode_texts

        def encode_pictures(model: OpenClipModel, batch: Any) -> Any:
            self.began.set()
            self.go.wait(60)
            self.pictures.append(len(batch))
            self.threads.add(threading.current_thread().name)
            return pictures(model, batch)

        def encode_texts(model: OpenClipModel, batch: Any) -> Any:
            self.texts.append(list(batch))
            self.threads.add(threading.current_thread().name)
            return texts(model, batch)

        monkeypatch.setattr(OpenClipModel, "encode_pictures", encode_pictures)
        monkeypatch.setattr(OpenClipModel, "encode_texts", encode_texts)


@pytest.fixture
def recorder(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(monkeypatch)  # after the encoder's own warm-up


async def begun(recorder: Recorder) -> None:
    assert await asyncio.to_thread(recorder.began.wait, 60)


async def test_calls_that_come_together_are_computed_together_in_one_thread(
    encoder: Encoder, recorder: Recorder
) -> None:
    prepared = [await encoder.prepare(photograph(seed)) for seed in range(17)]
    alone = await encoder.encode_pictures(prepared)
    recorder.pictures.clear()
    recorder.began.clear()
    recorder.go.clear()
    calls = [asyncio.create_task(encoder.encode_pictures([picture])) for picture in prepared[:1]]
    await begun(recorder)
    calls += [asyncio.create_task(encoder.encode_pictures([picture])) for picture in prepared[1:]]
    await asyncio.sleep(0)
    recorder.go.set()
    vectors = np.concatenate(await asyncio.gather(*calls))
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert recorder.pictures == [1, 8, 8]
    assert len(recorder.threads) == 1
    assert threading.current_thread().name not in recorder.threads


async def test_texts_seen_before_or_asked_for_right_now_are_not_computed_again(
    encoder: Encoder, recorder: Recorder
) -> None:
    first, second = await asyncio.gather(
        encoder.encode_texts(["mountain", "lake", "mountain"]), encoder.encode_texts(["lake", "tree"])
    )
    np.testing.assert_array_equal(first[1], second[0])
    np.testing.assert_array_equal(first[0], first[2])
    await encoder.encode_texts(["tree", "mountain", "lake"])
    assert sorted(text for batch in recorder.texts for text in batch) == ["lake", "mountain", "tree"]


async def test_a_text_is_computed_for_others_when_its_first_caller_gives_up(
    encoder: Encoder, recorder: Recorder
) -> None:
    first = asyncio.create_task(encoder.encode_texts(["mountain"]))
    await asyncio.sleep(0)
    second = asyncio.create_task(encoder.encode_texts(["mountain"]))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).shape == (1, 128)
    assert recorder.texts == [["mountain"]]


async def test_the_text_cache_is_bounded_and_forgets_what_was_not_used_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = OpenClipEncoder(dtype="float32", threads=1, text_cache=2)
    await encoder.start()
    recorder = Recorder(monkeypatch)
    for text in ("a", "b", "a", "c", "a", "b"):
        await encoder.encode_texts([text])
    assert recorder.texts == [["a"], ["b"], ["c"], ["b"]]
    await encoder.close()


async def test_a_full_queue_is_refused_at_once_and_callers_who_gave_up_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = OpenClipEncoder(dtype="float32", threads=1, max_batch=2, max_queue=4)
    await encoder.start()
    picture = await encoder.prepare(photograph())
    recorder = Recorder(monkeypatch)
    recorder.go.clear()
    running = asyncio.create_task(encoder.encode_pictures([picture] * 2))
    await begun(recorder)
    waiting = [asyncio.create_task(encoder.encode_pictures([picture] * 2)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted, match="already wait for the encoder") as caught:
        await encoder.encode_pictures([picture])
    assert caught.value.retry_after_s
    waiting[0].cancel()
    await asyncio.sleep(0)
    late = asyncio.create_task(encoder.encode_pictures([picture] * 2))
    await asyncio.sleep(0)
    recorder.go.set()
    assert [len(await task) for task in (running, waiting[1], late)] == [2, 2, 2]
    # However large, a call is taken where nothing waits: no retry could make it smaller.
    assert len(await encoder.encode_pictures([picture] * 9)) == 9
    await encoder.close()


async def test_pictures_that_wait_to_be_decoded_are_bounded_too() -> None:
    encoder = OpenClipEncoder(dtype="float32", threads=1, decode_workers=1, max_queue=3)
    await encoder.start()
    calls = [asyncio.create_task(encoder.prepare(photograph(1, (2000, 1500)))) for _ in range(4)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [PreparedPicture] * 3 + [ResourceExhausted]
    await encoder.close()


async def test_close_fails_what_waits_and_ends_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OpenClipEncoder(dtype="float32", threads=1)
    with pytest.raises(Unavailable, match="starting"):
        _ = encoder.id
    await encoder.start()
    picture = await encoder.prepare(photograph())
    recorder = Recorder(monkeypatch)
    recorder.go.clear()
    calls = [asyncio.create_task(encoder.encode_pictures([picture])) for _ in range(3)]
    await begun(recorder)
    closing = asyncio.create_task(encoder.close())
    for call in calls:
        with pytest.raises(Unavailable, match="the encoder is closing"):
            await call
    recorder.go.set()
    await closing
    for late in (encoder.encode_texts(["a"]), encoder.prepare(photograph()), encoder.encode_pictures([picture])):
        with pytest.raises(Unavailable):
            await late
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("encoder", "decode"))]


async def test_a_fault_of_the_model_reaches_its_callers_and_no_others(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = await encoder.prepare(photograph())

    def fail(*_: object) -> None:
        raise RuntimeError("out of order")

    with monkeypatch.context() as patched:
        patched.setattr(OpenClipModel, "encode_pictures", fail)
        with pytest.raises(RuntimeError):
            await encoder.encode_pictures([picture])
    assert (await encoder.encode_pictures([picture])).shape == (1, 128)


@pytest.mark.parametrize("dtype", ["auto", "bfloat16"])
async def test_vectors_in_another_number_format_are_near_those_in_float32(encoder: Encoder, dtype: Any) -> None:
    other = OpenClipEncoder(dtype=dtype, threads=1)
    await other.start()
    files = [photograph(seed) for seed in range(6)]
    for texts_or_pictures in (True, False):
        found = []
        for each in (encoder, other):
            if texts_or_pictures:
                found.append(await each.encode_texts(TEXTS))
            else:
                found.append(await each.encode_pictures([await each.prepare(file) for file in files]))
        assert ((found[0] * found[1]).sum(1) > 0.99).all()
    await other.close()


class NoMemory(RuntimeError):
    """As torch says that a second model doesn't fit, by its own type."""


@pytest.mark.parametrize(
    ("failing", "error"),
    [("deepcopy", NoMemory), ("encode_texts", RuntimeError), ("_gain", RuntimeError), ("_gain", ValueError)],
)
def test_a_trial_that_fails_leaves_the_model_in_float32(
    monkeypatch: pytest.MonkeyPatch, failing: str, error: type[Exception]
) -> None:
    model = OpenClipModel(DEMO_ENCODER, "cpu", 1)
    pictures = [model.prepare(Image.open(io.BytesIO(photograph(seed)))) for seed in range(2)]
    before = model.encode_pictures(pictures), model.encode_texts(TEXTS)

    def fail(*calls: Any) -> Any:
        if failing == "_gain":
            calls[1]()  # it was the turn of bfloat16
        raise error("not in this format")

    encode_texts = model.encode_texts

    def fail_in_half(texts: Sequence[str]) -> Any:
        return encode_texts(texts) if model.dtype == "float32" else fail()

    if failing == "encode_texts":
        monkeypatch.setattr(model, failing, fail_in_half)
    else:
        monkeypatch.setattr(f"services.retrieval.encoder.openclip_model.{failing}", fail)
    with contextlib.suppress(ValueError):
        model.choose_dtype("auto", pictures, TEXTS)
    assert model.dtype == "float32"
    np.testing.assert_array_equal(model.encode_pictures(pictures), before[0])
    np.testing.assert_array_equal(model.encode_texts(TEXTS), before[1])


def test_a_text_has_the_same_vector_however_long_the_texts_beside_it_are() -> None:
    model = OpenClipModel(DEMO_ENCODER, "cpu", 1)
    together = model.encode_texts(TEXTS)
    alone = np.concatenate([model.encode_texts([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_only_the_part_of_the_context_that_a_text_needs_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = OpenClipModel(DEMO_ENCODER, "cpu", 1)
    encode, computed = model._model.encode_text, []

    def noted(tokens: Any) -> Any:
        computed.append(tokens.shape[1])
        return encode(tokens)

    whole = model._model.context_length
    monkeypatch.setattr(model._model, "encode_text", noted)
    model.encode_texts(["dog"])
    model.encode_texts(["dog", "word " * 500])
    assert computed == [8, whole]
    assert model.encode_texts([]).shape == (0, 128)
    assert model._model.positional_embedding.shape[0] == model._model.attn_mask.shape[0] == whole


@pytest.mark.parametrize(("attribute", "value"), [("text_pool_type", "last"), ("attn_mask", None)])
def test_a_model_that_may_read_the_whole_context_gets_it(attribute: str, value: object) -> None:
    model = OpenClipModel(DEMO_ENCODER, "cpu", 1)
    setattr(model._model, attribute, value)
    tokens = model._tokenizer(["dog"])
    assert model._context_needed(tokens) == tokens.shape[1]


@pytest.mark.parametrize(("pictures_gain", "texts_gain"), [(2.0, 0.5), (0.5, 2.0)])
def test_pictures_and_texts_may_have_different_formats(
    monkeypatch: pytest.MonkeyPatch, pictures_gain: float, texts_gain: float
) -> None:
    model = OpenClipModel(DEMO_ENCODER, "cpu", 1)
    pictures = [model.prepare(Image.open(io.BytesIO(photograph())))]
    before = model.encode_pictures(pictures), model.encode_texts(TEXTS)
    gains = iter([pictures_gain, texts_gain])
    monkeypatch.setattr("services.retrieval.encoder.openclip_model._gain", lambda *_: next(gains))
    monkeypatch.setattr("services.retrieval.encoder.openclip_model._LEAST_COSINE", 0.9)
    model.choose_dtype("auto", pictures, TEXTS)
    formats = ("float32", "bfloat16")
    assert (model.dtype, model.text_dtype) == (formats[pictures_gain > 1], formats[texts_gain > 1])
    after = model.encode_pictures(pictures), model.encode_texts(TEXTS)
    for gain, one, other in zip((pictures_gain, texts_gain), before, after, strict=True):
        assert np.array_equal(one, other) == (gain < 1)
        np.testing.assert_allclose((one * other).sum(1), 1.0, atol=0.01)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_the_model_in_the_other_format_is_freed_at_once(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    import torch

    model = OpenClipModel(DEMO_ENCODER, "cpu", 1)
    pictures = [model.prepare(Image.open(io.BytesIO(photograph())))]
    monkeypatch.setattr("services.retrieval.encoder.openclip_model._gain", lambda *_: gain)
    monkeypatch.setattr("services.retrieval.encoder.openclip_model._LEAST_COSINE", 0.9)
    models = [weakref.ref(model._model)]
    deepcopy = copy.deepcopy

    def noted(original: Any) -> Any:
        copied = deepcopy(original)
        models.append(weakref.ref(copied))
        return copied

    monkeypatch.setattr("services.retrieval.encoder.openclip_model.deepcopy", noted)
    gc.disable()
    try:
        model.choose_dtype("auto", pictures, TEXTS)
        assert [model() is None for model in models] == ([True, False] if gain > 1 else [False, True])
    finally:
        gc.enable()
    kept = next(model._model.parameters()).dtype
    assert (model.dtype, kept) == (("bfloat16", torch.bfloat16) if gain > 1 else ("float32", torch.float32))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", r"encoder \(unset\) is not known to open_clip; write architecture/pretrained tag"),
        ("ViT-B-32", "write architecture/pretrained tag"),
        ("nonsense/laion2b", "is not known to open_clip"),
        ("ViT-B-32/nonsense", "no pretrained weights nonsense; use one of: .*laion2b_s34b_b79k"),
        ("ViT-B-32/openai", "set ViT-B-32-quickgelu/openai"),
        ("local-dir:/no/such/folder", "/no/such/folder is missing"),
        ("local-dir:", "is missing or has no open_clip_config.json"),
    ],
)
async def test_an_encoder_that_there_is_not_is_refused_with_advice(spec: str, message: str) -> None:
    encoder = OpenClipEncoder(spec)
    with pytest.raises(FailedPrecondition, match=message) as caught:
        await encoder.start()
    assert caught.value.reason == "ENCODER_MISSING"
    assert "AXIA_RETRIEVAL_ENCODER" in caught.value.message
    await encoder.close()


@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "pytorch_model.bin", "model.pth"])
async def test_a_folder_with_pickled_weights_is_refused_before_they_are_read(tmp_path: Path, name: str) -> None:
    shutil.copy(FOLDER / "open_clip_config.json", tmp_path)
    (tmp_path / name).write_bytes(b"cos\nabort\n(tR.")  # ends this process if it is unpickled
    with pytest.raises(FailedPrecondition, match=f"{name} are a pickle.*convert them with safetensors") as caught:
        await OpenClipEncoder(f"local-dir:{tmp_path}").start()
    assert caught.value.reason == "ENCODER_MISSING"


async def test_a_folder_with_damaged_or_missing_weights_is_refused_with_advice(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "open_clip_config.json", tmp_path)
    for weights, message in ((None, "has no weights"), (b"damaged", "are complete")):
        if weights:
            (tmp_path / "open_clip_model.safetensors").write_bytes(weights)
        encoder = OpenClipEncoder(f"local-dir:{tmp_path}")
        with pytest.raises(FailedPrecondition, match=message):
            await encoder.start()
        await encoder.close()


async def test_weights_that_no_hub_gives_are_told_with_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    encoder = OpenClipEncoder("ViT-B-32/laion2b_s34b_b79k")
    with pytest.raises(FailedPrecondition, match="let this machine reach the model hub once"):
        await encoder.start()
    await encoder.close()


async def test_a_device_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    encoder = OpenClipEncoder(device="cuda")
    with pytest.raises(FailedPrecondition, match="set AXIA_RETRIEVAL_DEVICE to cpu or auto"):
        await encoder.start()
    await encoder.close()


@pytest.mark.parametrize("size", [(1, 101), (2_000, 19)])
def test_a_very_narrow_picture_is_refused_before_it_is_enlarged(size: tuple[int, int]) -> None:
    file = io.BytesIO()
    Image.new("L", size).save(file, "PNG")
    with pytest.raises(InvalidArgument) as caught:
        _prepare(None, file.getvalue(), DEFAULT_LIMITS, "image.data")  # type: ignore[arg-type]
    assert caught.value.reason == "IMAGE_TOO_NARROW"


async def test_tiles_have_the_mean_of_their_vectors_and_find_what_the_middle_does_not_show(encoder: Encoder) -> None:
    left, middle, right = (Image.open(io.BytesIO(photograph(seed, (112, 112), "PNG"))) for seed in (1, 2, 3))
    wide = Image.new("RGB", (336, 112))
    for place, part in enumerate((left, middle, right)):
        wide.paste(part, (112 * place, 0))
    files = []
    for image in (wide, left, middle, right):
        file = io.BytesIO()
        image.save(file, "PNG")
        files.append(file.getvalue())
    parts = await encoder.encode_pictures([await encoder.prepare(file) for file in files[1:]])
    tiled = OpenClipEncoder(f"{DEMO_ENCODER}?fit=tiles", dtype="float32", threads=1)
    await tiled.start()
    try:
        vectors = await tiled.encode_pictures([await tiled.prepare(file) for file in files])
        assert tiled.id == dataclasses.replace(encoder.id, revision=f"{encoder.id.revision}?fit=tiles")
    finally:
        await tiled.close()
    mean = parts.mean(0)
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(vectors[1:], parts, atol=1e-5)
    (cropped,) = await encoder.encode_pictures([await encoder.prepare(files[0])])
    np.testing.assert_allclose(cropped, parts[1], atol=1e-5)


async def test_padding_sees_the_whole_picture() -> None:
    padded = OpenClipEncoder(f"{DEMO_ENCODER}?fit=pad", dtype="float32", threads=1)
    await padded.start()
    try:
        prepared = await padded.prepare(photograph(1, (300, 100), "PNG"))
        (view,) = prepared.pixels
        bar = view[0, 0]
        assert (view[: len(view) // 4] == bar).all()
        assert not (view[len(view) // 2] == bar).all()
    finally:
        await padded.close()
