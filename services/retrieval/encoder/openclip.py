"""Encodes pictures and texts with an open_clip model, in batches across callers.

Pictures are decoded in a few threads; the model runs in one thread of its own. Neither holds up the event loop.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from services.retrieval.encoder.micro_batches import MicroBatcher, queue_full
from services.retrieval.encoder.openclip_model import Device, Dtype, OpenClipModel, Pixels
from services.retrieval.encoder.protocol import DEMO_ENCODER, PreparedPicture
from services.retrieval.index import EncoderId, Vector, Vectors
from services.serving.errors import Unavailable
from services.serving.images.reading import PictureLimits, decode, read_header

if TYPE_CHECKING:
    from PIL import Image

DEFAULT_LIMITS = PictureLimits(max_bytes=20 * 2**20, max_pixels=64_000_000, max_side=16_384)

_MAX_BATCH = {"cpu": 8, "cuda": 32}
"""Pictures in a batch by default. On a CPU 8 come to 0.93 of the speed of 32, and a text waits a quarter as long."""
_MAX_WAIT_S = 0.004
"""How long a batch waits for pictures that are being decoded: little beside what a batch takes."""
_WARM_UP_TEXTS = ("a person at a table", "two dogs on a beach", "a street at night", "words on a white page")


class OpenClipEncoder:
    """An open_clip model as an `Encoder`.

    Args:
        spec: "architecture/pretrained tag" such as ``ViT-B-32/laion2b_s34b_b79k``, which open_clip fetches from a hub;
            "local-dir:" and a folder; or "architecture/" for random weights of a fixed seed, for benchmarks. With
            "?fit=pad" or "?fit=tiles" after it, more than the middle of a wide or tall picture is encoded; see `views`.
        device: Where it is computed; auto uses CUDA if there is a GPU.
        dtype: Number format; auto takes bfloat16, for pictures and for texts, where it is faster on this machine and
            the vectors stay the same (a cosine to float32's of 0.999 at least).
        threads: For the model on a CPU; 0 takes one a core.
        decode_workers: Threads that decode pictures.
        max_batch: Pictures or texts computed together at most; 0 takes 8 on a CPU and 32 on CUDA.
        max_queue: Pictures that may wait to be decoded, pictures that may wait for the model, and texts.
        text_cache: Texts whose vectors are kept.
        limits: Bounds on pictures.
    """

    def __init__(
        self,
        spec: str = DEMO_ENCODER,
        *,
        device: Device = "auto",
        dtype: Dtype = "auto",
        threads: int = 0,
        decode_workers: int = 2,
        max_batch: int = 0,
        max_queue: int = 1024,
        text_cache: int = 10_000,
        limits: PictureLimits = DEFAULT_LIMITS,
    ) -> None:
        self._spec = spec
        self._device: Device = device
        self._dtype: Dtype = dtype
        self._threads = threads
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._limits = limits
        self._decoders = ThreadPoolExecutor(decode_workers, thread_name_prefix="decode")
        self._model_thread = ThreadPoolExecutor(1, thread_name_prefix="encoder")
        self._preparing = 0
        self._model: OpenClipModel | None = None
        self._text_cache_size = text_cache
        self._cached: OrderedDict[str, Vector] = OrderedDict()
        self._encoding: dict[str, asyncio.Task[dict[str, Vector]]] = {}

    @property
    def id(self) -> EncoderId:
        """Which encoder it is; only after `start`."""
        return self._started().id

    async def start(self) -> None:
        """Loads the model, chooses the number format and runs it once on pictures and texts.

        Raises:
            FailedPrecondition: If there is no such model or device; says what to do.
        """
        self._model = await asyncio.get_running_loop().run_in_executor(self._model_thread, self._load)
        max_batch = self._max_batch or _MAX_BATCH[self._model.device.type]
        self._pictures = MicroBatcher[Pixels, Vector](
            self._compute_pictures,
            max_batch=max_batch,
            max_waiting=self._max_queue,
            max_wait_s=_MAX_WAIT_S,
            coming=lambda: self._preparing > 0,
        )
        self._texts = MicroBatcher[str, Vector](self._compute_texts, max_batch=max_batch, max_waiting=self._max_queue)

    async def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts, shape (n, dimension), each cut at the model's context. Known ones come from a cache.

        Raises:
            ResourceExhausted: If too many texts wait already; says when to try again.
            Unavailable: If it is closed.
        """
        model = self._started()
        keys = [_readable(text, model.max_chars) for text in texts]
        vectors: dict[str, Vector] = {}
        new = []
        running = {}
        for key in dict.fromkeys(keys):
            if key in self._cached:
                self._cached.move_to_end(key)
                vectors[key] = self._cached[key]
            elif key in self._encoding:
                running[key] = self._encoding[key]
            else:
                new.append(key)
        if new:
            # A task of its own, for other callers may wait for these texts when this one has given up.
            task = asyncio.create_task(self._encode_new(new))
            for key in new:
                running[key] = self._encoding[key] = task
        for key, task in running.items():
            vectors[key] = (await asyncio.shield(task))[key]
        return _stack([vectors[key] for key in keys], model.id.dimension)

    async def prepare(self, data: bytes, field: str = "image.data") -> PreparedPicture:
        """Reads and decodes a picture in a worker thread, to the size that the model takes.

        Raises:
            InvalidArgument: About `field`, if it can't be read.
            ResourceExhausted: If too many pictures wait to be decoded; says when to try again.
            Unavailable: If it is closed.
        """
        model = self._started()
        if self._preparing >= self._max_queue:
            raise queue_full(self._preparing, 0.01)
        self._preparing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._decoders, _prepare, model, data, self._limits, field
            )
        finally:
            self._preparing -= 1

    async def encode_pictures(self, pictures: Sequence[PreparedPicture]) -> Vectors:
        """Vectors of pictures, shape (n, dimension), computed in batches across callers.

        Raises:
            ResourceExhausted: If too many pictures wait for the model already; says when to try again.
            Unavailable: If it is closed.
        """
        model = self._started()
        vectors = await self._pictures.submit([picture.pixels for picture in pictures])
        return _stack(vectors, model.id.dimension)

    async def close(self) -> None:
        """Frees the model and the threads; what waits fails with Unavailable."""
        if self._model is not None:
            self._model = None
            await self._pictures.close()
            await self._texts.close()
        self._cached.clear()
        for pool in (self._decoders, self._model_thread):
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)

    def _started(self) -> OpenClipModel:
        if self._model is None:
            raise Unavailable(
                "the encoder is starting or closing; try again later, or try another replica",
                reason="ENCODER_NOT_READY",
            )
        return self._model

    def _load(self) -> OpenClipModel:
        import imagehash

        model = OpenClipModel(self._spec, self._device, self._threads)
        noise = np.random.default_rng(0)
        side = model.prepare(_picture(noise, 64)).shape[1]
        pictures = [model.prepare(_picture(noise, side)) for _ in range(len(_WARM_UP_TEXTS))]
        model.choose_dtype(self._dtype, pictures, _WARM_UP_TEXTS)
        model.encode_pictures(pictures)
        model.encode_texts(_WARM_UP_TEXTS)
        imagehash.phash(_picture(noise, side))  # imports what it needs at its first call
        return model

    async def _encode_new(self, texts: Sequence[str]) -> dict[str, Vector]:
        try:
            vectors = dict(zip(texts, await self._texts.submit(texts), strict=True))
        finally:
            for text in texts:
                del self._encoding[text]
        self._cached.update(vectors)
        while len(self._cached) > self._text_cache_size:
            self._cached.popitem(last=False)
        return vectors

    async def _compute_pictures(self, pictures: Sequence[Pixels]) -> Vectors:
        return await asyncio.get_running_loop().run_in_executor(
            self._model_thread, self._started().encode_pictures, pictures
        )

    async def _compute_texts(self, texts: Sequence[str]) -> Vectors:
        return await asyncio.get_running_loop().run_in_executor(self._model_thread, self._started().encode_texts, texts)


def _prepare(model: OpenClipModel, data: bytes, limits: PictureLimits, field: str) -> PreparedPicture:
    import imagehash

    header = read_header(data, limits, field)
    picture = decode(data, limits, field)
    return PreparedPicture(header, str(imagehash.phash(picture)), model.prepare(picture))


def _picture(noise: np.random.Generator, side: int) -> "Image.Image":
    """Coarse coloured noise: photographs have large areas, and fine noise alone all looks the same to a model."""
    from PIL import Image

    coarse = Image.fromarray(noise.integers(0, 256, (8, 8, 3), np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def _readable(text: str, max_chars: int) -> str:
    """What of a text is tokenised; half a surrogate pair, which no tokenizer takes, becomes a question mark."""
    if len(text) > max_chars:
        text = " ".join(text[: 8 * max_chars].split())[:max_chars]
    return text.encode("utf-8", "replace").decode("utf-8")


def _stack(vectors: Sequence[Vector], dimension: int) -> Vectors:
    return np.stack(vectors) if vectors else np.empty((0, dimension), np.float32)
