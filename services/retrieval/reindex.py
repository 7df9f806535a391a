"""Indexes every stored picture with another encoder, beside the current index, and then switches.

The steps, each of which a kill may follow:

1. The new encoder is loaded and written down as being built. What a killed process left is dropped at the next start.
2. Every picture is encoded into the new index. The ids of pictures that are added or deleted meanwhile are noted. Where
   too many can't be had any more, the re-index fails (`reencoding`).
3. The noted ones are brought up to date, until few are left.
4. Writers wait, the last noted ones are done, the catalogue switches, and the new pair takes the place of the old one.
   Searches never wait: each keeps the pair that it began with.
5. When the last call of the old pair has ended, it is closed and its index dropped.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from services.retrieval import metrics
from services.retrieval.encoder.protocol import Encoder
from services.retrieval.encoder.views import FIT, split_fit
from services.retrieval.index import EncoderId, IndexCatalogue, VectorIndex
from services.retrieval.pictures.protocol import PictureStore
from services.retrieval.reencoding import BATCH, Progress, Reencoding
from services.retrieval.spaces import Space, Spaces
from services.retrieval.state import Building, NamedEncoder, State, StateFile
from services.serving.errors import FailedPrecondition, InvalidArgument, NotFound, ServiceError

logger = logging.getLogger(__name__)

EncoderFactory = Callable[[str], Encoder]
"""Makes an encoder from how it is named; it is not started yet."""

LOCAL = "local-dir:"
_MAX_SPEC_CHARS = 1_024
_MAX_ROUNDS = 20
"""Rounds of catching up after which writers have to wait, however much they add."""
_MAX_JOBS = 16
"""Re-indexes that are remembered."""
_STOPPED = "the service was stopped; start it again"
_FAULT = "the server failed; its log has the details"


class ReindexState(Enum):
    """Where a re-index is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Reindex:
    """How far a re-index is."""

    id: str
    state: ReindexState
    encoder: EncoderId
    """Of dimension 0 until it is loaded."""
    done: int = 0
    """Pictures that are in the new index."""
    total: int = 0
    """Pictures in all, as far as known."""
    error: str = ""


class Reindexer:
    """Runs one re-index at a time.

    Args:
        spaces: Holds the current space.
        catalogue: Holds the indexes.
        pictures: Keeps the pictures' bytes.
        make_encoder: Makes the new encoder.
        states: Remembers across restarts.
        warm_texts: Texts that the new encoder should know before it is used.
        encode_queue: Pictures that may wait for an encoder.
    """

    def __init__(
        self,
        spaces: Spaces,
        catalogue: IndexCatalogue,
        pictures: PictureStore,
        make_encoder: EncoderFactory,
        states: StateFile,
        warm_texts: Sequence[str],
        encode_queue: int,
    ) -> None:
        self._spaces = spaces
        self._catalogue = catalogue
        self._pictures = pictures
        self._make_encoder = make_encoder
        self._states = states
        self._warm_texts = warm_texts
        self._encode_queue = encode_queue
        self._jobs: dict[str, Reindex] = {}
        self._task: asyncio.Task[None] | None = None
        self._running = False

    @property
    def running(self) -> bool:
        """Whether one runs now."""
        return self._running

    def remember(self, job: Reindex) -> None:
        """Keeps what became of a re-index."""
        self._jobs[job.id] = job
        while len(self._jobs) > _MAX_JOBS:
            del self._jobs[next(iter(self._jobs))]
        metrics.REINDEX_DONE.set(job.done)
        metrics.REINDEX_TOTAL.set(job.total)
        metrics.REINDEXING.set(job.state is ReindexState.RUNNING)

    def get(self, job_id: str) -> Reindex:
        """A re-index by id; the latest for an empty one.

        Raises:
            NotFound: If there is none.
        """
        job = self._jobs.get(job_id) if job_id else next(reversed(self._jobs.values()), None)
        if job is None:
            raise NotFound(
                "id", "no re-index has this id; use the id that StartReindex returned", reason="REINDEX_UNKNOWN"
            )
        return job

    def start(self, spec: str) -> Reindex:
        """Begins a re-index.

        Raises:
            InvalidArgument: About `encoder`, if it names none.
            FailedPrecondition: If one runs already, or the encoder is in use already.
        """
        encoder = parse_spec(spec)
        space = self._spaces.current
        if self.running:
            raise FailedPrecondition(
                "another re-index is running; wait until GetReindex says that it ended", reason="REINDEX_RUNNING"
            )
        job = Reindex(uuid.uuid4().hex, ReindexState.RUNNING, encoder, total=space.images)
        self.remember(job)
        self._running = True
        self._task = asyncio.create_task(self._run(job, spec))
        return job

    async def close(self) -> None:
        """Stops the one that runs; the next start of the service cleans up after it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._running = False  # it may have been stopped before it ran at all

    def _note(self, job_id: str, **changes: object) -> None:
        self.remember(replace(self._jobs[job_id], **changes))  # type: ignore[arg-type]  # fields by name

    async def _run(self, job: Reindex, spec: str) -> None:
        old = self._spaces.current
        error = _STOPPED
        try:
            error = await self._index(job.id, spec, old)
        except Exception:  # of cleaning up: nobody waits for this task
            logger.exception("re-index %s ended unexpectedly", job.id)
            error = _FAULT
        finally:
            # Both at once and last of all, so that whoever reads that it ended can start another.
            self._running = False
            if self._spaces.current is old:
                self._note(job.id, state=ReindexState.FAILED, error=error)
            else:  # whatever came after the switch, that holds
                self._note(job.id, state=ReindexState.SUCCEEDED)

    async def _index(self, job_id: str, spec: str, old: Space) -> str:
        """Runs a re-index to its end; returns why it failed."""
        logger.info("re-index %s begins: %s", job_id, spec)
        encoder = self._make_encoder(spec)
        index: VectorIndex | None = None
        try:
            await encoder.start()
            self._note(job_id, encoder=encoder.id)
            _check_new(encoder.id, old)
            before = await self._write_building(job_id, spec, encoder.id)
            await self._catalogue.drop(encoder.id)  # what an earlier one may have left knows nothing of deletions since
            index = await self._catalogue.open(encoder.id)
            await encoder.encode_texts(self._warm_texts)
            new = Space(spec, encoder, index, 0)
            left_out = await self._fill_and_switch(job_id, old, new, before)
        except BaseException as error:  # also cancelled by a shutdown: whatever it is, searches keep the old encoder
            if self._spaces.current.encoder is encoder:  # stopped after the switch, which holds
                raise
            reason = await self._give_up(job_id, encoder, index, error)
            if not isinstance(error, Exception):
                raise
            return reason
        await self._let_go(old)
        logger.info(
            "re-index %s is done: searches use %s %s; images left out: %d",
            *(job_id, new.id.name, new.id.revision, left_out),
        )
        return ""

    async def _fill_and_switch(self, job_id: str, old: Space, new: Space, before: State) -> int:
        """Returns how many pictures were left out."""

        def report(progress: Progress) -> None:
            self._note(job_id, done=progress.done, total=progress.total)

        reencoding = Reencoding(self._spaces, self._pictures, old, new, report, self._encode_queue)
        with self._spaces.journal():
            await reencoding.all()
            rounds = 0
            while self._spaces.noted > BATCH and rounds < _MAX_ROUNDS:
                rounds += 1
                await reencoding.again(self._spaces.take_journal())
            async with self._spaces.undisturbed():
                await reencoding.again(self._spaces.take_journal())
                await new.refresh()
                await self._catalogue.switch(new.id)
                self._spaces.replace(new)
        named = NamedEncoder.of(new.spec, new.id)
        state = State(setting=before.setting, encoder=named, stale=(*before.stale, before.encoder))
        try:
            await asyncio.to_thread(self._states.write, state)
        except ServiceError as error:  # the next start finds out by itself
            logger.warning("%s", error.message)
        return reencoding.left_out

    async def _write_building(self, job_id: str, spec: str, encoder: EncoderId) -> State:
        state = await asyncio.to_thread(self._states.read)
        if state is None:
            raise FailedPrecondition("the state file is gone; restart the service", reason="STATE_BROKEN")
        # An index to be dropped that is made anew is no longer one to be dropped.
        stale = tuple(named for named in state.stale if named.id != encoder)
        state = state.model_copy(
            update={"building": Building(id=job_id, encoder=NamedEncoder.of(spec, encoder)), "stale": stale}
        )
        await asyncio.to_thread(self._states.write, state)
        return state

    async def _give_up(self, job_id: str, encoder: Encoder, index: VectorIndex | None, error: BaseException) -> str:
        """Lets go of what was begun; returns what callers are told."""
        stopped = isinstance(error, asyncio.CancelledError)
        if stopped:
            reason = _STOPPED
        elif isinstance(error, ServiceError):
            reason = error.message
            logger.error("re-index %s failed: %s", job_id, reason, extra={"reason": error.reason})
        else:
            reason = _FAULT
            logger.error("re-index %s failed unexpectedly", job_id, exc_info=error)
        try:
            await encoder.close()
            if index is not None:
                await index.close()
            if not stopped:  # a switch may be under way; the next start sees what became of it
                await self._clean_up(job_id)
        except ServiceError as other:
            logger.warning("the next start of the service cleans up after re-index %s: %s", job_id, other.message)
        return reason

    async def _clean_up(self, job_id: str) -> None:
        state = await asyncio.to_thread(self._states.read)
        if state is None or state.building is None or state.building.id != job_id:
            return
        # A switch that failed may have happened all the same. Then nothing is dropped, and `Retriever.watch` ends the
        # process, which finds the new encoder when it starts again.
        if await self._catalogue.current() != state.building.encoder.id:
            await self._catalogue.drop(state.building.encoder.id)
            await asyncio.to_thread(self._states.write, state.model_copy(update={"building": None}))

    async def _let_go(self, old: Space) -> None:
        try:
            try:
                await old.idle()
            finally:
                await old.close()
            await drop_stale(self._catalogue, self._states)
        except ServiceError as error:
            logger.warning("the old index is dropped at the next start of the service: %s", error.message)


async def drop_stale(catalogue: IndexCatalogue, states: StateFile) -> None:
    """Drops the indexes that are to be dropped."""
    state = await asyncio.to_thread(states.read)
    if state is None or not state.stale:
        return
    for named in state.stale:
        if named.id != state.encoder.id:
            await catalogue.drop(named.id)
    await asyncio.to_thread(states.write, state.model_copy(update={"stale": ()}))


def parse_spec(spec: str) -> EncoderId:
    """Reads how an encoder is named; its dimension isn't known before it is loaded.

    Raises:
        InvalidArgument: About `encoder`, if it has neither of the two forms, or a fit that doesn't exist.
    """
    try:
        spec, fit = split_fit(spec)
    except ValueError as error:
        raise InvalidArgument("encoder", str(error), reason="ENCODER_NAME") from error
    suffix = "" if fit == "crop" else f"{FIT}{fit}"
    if len(spec) <= _MAX_SPEC_CHARS and spec.isprintable():
        if spec.startswith(LOCAL):
            folder = spec.removeprefix(LOCAL).rstrip("/")
            if folder:
                return EncoderId(folder.rpartition("/")[2], suffix, 0)
        else:
            name, _, revision = spec.partition("/")
            if name.strip() and revision.strip():
                return EncoderId(name, f"{revision}{suffix}", 0)
    raise InvalidArgument(
        "encoder",
        'must be an open_clip architecture and its pretrained tag, such as "ViT-B-32/laion2b_s34b_b79k", or '
        '"local-dir:" and a folder that the server can read',
        reason="ENCODER_NAME",
    )


def _check_new(encoder: EncoderId, old: Space) -> None:
    if encoder == old.id:
        raise FailedPrecondition("searches already use this encoder", reason="ENCODER_IN_USE")
