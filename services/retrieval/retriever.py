"""What the retrieval service does, put together: start, searches, ingest, records, re-index, a watch on its stores."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from services.retrieval import metrics
from services.retrieval.encoder.keyword_prompts import keyword_texts
from services.retrieval.index import EncoderId, IndexCatalogue, IndexStats, VectorIndex
from services.retrieval.ingest import Ingestor
from services.retrieval.pictures.protocol import PictureStore
from services.retrieval.records import Records
from services.retrieval.reindex import EncoderFactory, Reindex, Reindexer, ReindexState, drop_stale
from services.retrieval.search import Searcher
from services.retrieval.settings import RetrievalSettings
from services.retrieval.spaces import IdLocks, Space, Spaces
from services.retrieval.state import NamedEncoder, State, StateFile
from services.retrieval.sweep import Sweep
from services.retrieval.values import Values
from services.serving.errors import FailedPrecondition, ResourceExhausted, ServiceError, Unavailable

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")
SetServing = Callable[[bool], Awaitable[None]]

_CHECK_TIMEOUT_S = 10.0
_FIRST_SWEEP_S = 60.0
_RETRY_S = 1.0
"""Pause between two tries to reach a store at the start."""
_SWITCHED_ELSEWHERE = "SWITCHED_ELSEWHERE"


class Retriever:
    """The retrieval service without gRPC.

    Args:
        make_encoder: Makes an encoder from how it is named.
        catalogue: The vector store.
        pictures: The picture store.
        settings: Names, folders and bounds.

    Raises:
        FailedPrecondition: If the lexicon is broken.
    """

    def __init__(
        self,
        make_encoder: EncoderFactory,
        catalogue: IndexCatalogue,
        pictures: PictureStore,
        settings: RetrievalSettings,
    ) -> None:
        self.values = Values(settings.lexicon)
        self._settings = settings
        self._make_encoder = make_encoder
        self._catalogue = catalogue
        self._pictures = pictures
        self._states = StateFile(settings.data)
        self._spaces = Spaces()
        self._locks = IdLocks()
        self._starting: Space | None = None
        """Made and not the current one yet."""
        self._sweeping: asyncio.Task[None] | None = None
        self._set_serving: SetServing | None = None
        self._measured: EncoderId | None = None
        self.search = Searcher(self._spaces, catalogue.store, self.values, settings)
        shared = catalogue.store == "qdrant"
        self.ingestor = Ingestor(self._spaces, pictures, self._locks, settings, shared=shared)
        self._sweep = Sweep(self._spaces, pictures, self._locks, shared=shared)
        self.records = Records(self._spaces, pictures, self._locks, self._sweep, settings)
        self._warm_texts = keyword_texts(settings.keyword_prompts, self.values.lexicon.keywords)
        self.reindexer = Reindexer(
            self._spaces, catalogue, pictures, make_encoder, self._states, self._warm_texts, settings.encode_queue
        )

    @property
    def store(self) -> str:
        """Name of the vector store."""
        return self._catalogue.store

    @property
    def encoder(self) -> EncoderId:
        """The encoder in use."""
        return self._spaces.current.id

    def report_to(self, set_serving: SetServing) -> None:
        """Takes what health is to be told by, when a store is lost and when it is back."""
        self._set_serving = set_serving

    async def start(self) -> None:
        """Loads the encoder of the current index, opens the index, and cleans up after an interrupted re-index.

        Raises:
            FailedPrecondition: If the index was made with another encoder, or something can't be loaded or opened.
        """
        try:
            await _until_reached(self._pictures.check)
        except ResourceExhausted as error:  # searches need no room
            logger.warning("%s", error.message)
        written = await asyncio.to_thread(self._states.read)
        current = await self._reach(self._catalogue.current)
        state = self._after_interruption(written, current)
        spec = self._settings.encoder
        if state is not None and state.setting == self._settings.encoder:
            spec = state.encoder.spec
        encoder = self._make_encoder(spec)
        # Beside the encoder, most of whose time is the import of torch.
        opening = None if current is None else asyncio.create_task(self._open(current))
        try:
            await encoder.start()
            self._check_encoder(encoder.id, current, state)
            index = await (opening or self._open(encoder.id))
            if current is None:
                await self._reach(lambda: self._catalogue.switch(encoder.id))
        except BaseException:  # also cancelled by a signal: nobody else knows of this encoder yet
            if opening is not None:
                opening.cancel()
                for opened in await asyncio.gather(opening, return_exceptions=True):
                    if not isinstance(opened, BaseException):
                        await opened.close()
            await encoder.close()
            raise
        space = self._starting = Space(spec, encoder, index, 0)
        named = NamedEncoder.of(spec, encoder.id)
        now = State(setting=self._settings.encoder, encoder=named, stale=state.stale if state is not None else ())
        if now != written:
            await asyncio.to_thread(self._states.write, now)
        await self._reach(lambda: drop_stale(self._catalogue, self._states))
        await encoder.encode_texts(self._warm_texts)
        await self._reach(space.refresh)
        self._spaces.replace(space)
        self._starting = None  # or it would stay in memory after a re-index has replaced it
        await self._reach(self._measure)

    async def watch(self) -> None:
        """Looks again and again whether the stores answer, and tells health; ends only with an error.

        Raises:
            Unavailable: If another process made another encoder's index the current one.
        """
        answers = True
        sweep_at = time.monotonic() + _FIRST_SWEEP_S
        while True:
            await asyncio.sleep(self._settings.check_seconds)
            error = await self._check()
            metrics.STORE_AVAILABLE.set(error is None)
            if self._settings.sweep_seconds and time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + self._settings.sweep_seconds
                self._sweeping = asyncio.create_task(self._sweep_once(), name="sweep")
            if answers == (error is None):
                continue
            answers = error is None
            if error is None:
                logger.info("the stores answer again")
            else:
                logger.warning("not serving until the stores answer: %s", error.message)
            if self._set_serving is not None:
                await self._set_serving(answers)

    async def _sweep_once(self) -> None:
        try:
            swept = await self._sweep.run()
            logger.info("checked the image store: %d files that belong to no image were removed", swept.orphans)
        except ServiceError as error:
            logger.warning("the image store can't be checked: %s", error.message)
        except Exception:  # nobody waits for it
            logger.exception("checking the image store failed")

    async def close(self) -> None:
        """Lets everything go."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.reindexer.close()
        await self.ingestor.close()
        await self.records.close()
        space = self._starting
        if space is None:
            with suppress(Unavailable):  # nothing was loaded
                space = self._spaces.current
        if space is not None:
            await space.close()
        await self._catalogue.close()
        await self._pictures.close()

    async def stats(self) -> IndexStats:
        """What is indexed."""
        with self._spaces.borrow() as space:
            return await space.index.stats()

    async def _check(self) -> ServiceError | None:
        """Why nothing can be answered now; None if it can."""
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await self._spaces.current.index.check()
                await self._pictures.check()
                await self._check_current()
                await self._spaces.current.refresh()
                await self._measure()
        except ResourceExhausted as error:  # a full disk takes nothing in, and is searched as before
            logger.warning("%s", error.message)
        except (Unavailable, FailedPrecondition) as error:
            if error.reason == _SWITCHED_ELSEWHERE:
                raise
            return error
        except TimeoutError:
            return Unavailable(
                f"the vector store or the image store has not answered for {_CHECK_TIMEOUT_S:g} s",
                reason="STORE_SILENT",
            )
        return None

    async def _check_current(self) -> None:
        if self.reindexer.running:
            return
        current = await self._catalogue.current()
        if self.reindexer.running or current in {None, self.encoder}:
            return
        raise Unavailable(
            "another process switched the index to another encoder, so this service stops. Set AXIA_RETRIEVAL_ENCODER "
            "to that encoder, and start this service again",
            reason=_SWITCHED_ELSEWHERE,
        )

    async def _measure(self) -> None:
        with self._spaces.borrow() as space:
            stats = await space.index.stats()
            metrics.IMAGES.set(stats.images)
            metrics.INDEXED_IMAGES.set(stats.indexed_images)
            metrics.BUILDING.set(stats.building)
            metrics.STORE_AVAILABLE.set(1)
            if self._measured != space.id:
                self._measured = space.id
                metrics.ENCODER_INFO.clear()
                metrics.ENCODER_INFO.labels(space.id.name, space.id.revision, self.store).set(1)

    def _after_interruption(self, state: State | None, current: EncoderId | None) -> State | None:
        """Brings the state up to what the catalogue says, after a re-index that was interrupted."""
        if state is None or state.building is None:
            return state
        building = state.building
        if building.encoder.id == current:
            encoder, old, became = building.encoder, state.encoder, ReindexState.SUCCEEDED
        else:
            encoder, old, became = state.encoder, building.encoder, ReindexState.FAILED
        error = "" if became is ReindexState.SUCCEEDED else "the service was stopped while it ran; start it again"
        self.reindexer.remember(Reindex(building.id, became, building.encoder.id, error=error))
        return State(setting=state.setting, encoder=encoder, stale=(*state.stale, old))

    def _check_encoder(self, loaded: EncoderId, current: EncoderId | None, state: State | None) -> None:
        if current is None or current == loaded:
            return
        known = state is not None and state.encoder.id == current
        spec = state.encoder.spec if state is not None and known else f"{current.name} {current.revision}"
        raise FailedPrecondition(
            f"the index in {self._where()} was built with {spec} (dimension {current.dimension}), but "
            f"AXIA_RETRIEVAL_ENCODER is {loaded.name} {loaded.revision} (dimension {loaded.dimension}); set it to the "
            "encoder of the index (to change the encoder, then re-index with StartReindex), or set "
            f"{self._elsewhere()}",
            reason="ENCODER_CHANGED",
        )

    def _where(self) -> str:
        return str(self._settings.data) if self.store == "qdrant-edge" else "the Qdrant server"

    def _elsewhere(self) -> str:
        if self.store == "qdrant-edge":
            return "AXIA_RETRIEVAL_DATA to another folder"
        return "AXIA_RETRIEVAL_QDRANT_URL to another server"

    async def _open(self, encoder: EncoderId) -> VectorIndex:
        return await self._reach(lambda: self._catalogue.open(encoder))

    async def _reach(self, call: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Calls the vector store until it answers, if it is a server; a folder that isn't free is not waited for."""
        return await (call() if self.store == "qdrant-edge" else _until_reached(call))


async def _until_reached(call: Callable[[], Awaitable[ResultT]]) -> ResultT:
    while True:
        try:
            return await call()
        except Unavailable as error:
            logger.warning("not serving yet: %s", error.message)
            await asyncio.sleep(_RETRY_S)
