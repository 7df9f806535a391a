"""The client for programs without asyncio. For asyncio, `axia.aio` has the same calls.

Calls about stored images are in `axia._retrieval`, the connection is in `axia._connection.connected`.
"""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Unpack

from axia import _requests, convert
from axia._connection.streams import Feed
from axia._gathered import Gathered
from axia._options import DetectOptions, InterestOptions, PreferenceOptions
from axia._pictures import Picture
from axia._retrieval import RetrievalCalls
from axia.inputs import AlignmentItem
from axia.results import (
    Completion,
    Detection,
    Interest,
    JudgedAnswers,
    ModelList,
    Preference,
    PreferenceEvent,
    PreferenceSummary,
    WatchEvent,
)
from axia.scoring import Scoring
from axia.v1 import gateway_pb2


class Client(RetrievalCalls):
    """A client of an axia gateway. It can be used for any number of calls, from several threads. Close it, or use it in
    a `with` block.

        >>> with Client() as client:
        ...     detection = client.detect("kitchen.jpg", n=5, seed=1)
        >>> detection.consensus
        'a pot boiling over'

    Args:
        address: Host and port of the gateway, or IP addresses of several replicas, separated by commas. Default: the
            environment variable AXIA_ADDRESS, or ``127.0.0.1:50050``.
        timeout: Default timeout of a call, in seconds; None for no limit.
        tls: How to encrypt the connection, such as ``TLS(root_certificates="ca.pem")``. Default: the environment
            variables that `TLS.from_environment` names, or no encryption.
        api_key: Sent with each call as ``authorization: Bearer ...``; use TLS if others can read the network. Default:
            the environment variable AXIA_API_KEY, or none.

    Raises:
        ValueError: If the address is a URL or has no valid port, the timeout is not above 0, or the API key can't be
            sent.
        OSError: If a file of `tls` can't be read.
    """

    def detect(self, image: Picture, *, timeout: float | None = None, **options: Unpack[DetectOptions]) -> Detection:
        """Asks a model n times what needs attention in an image, and summarizes the answers.

        The client never retries a call, because sampling is expensive and may have started. For arguments that are not
        given, the gateway uses the model's default in its routing table, or else the default that is given here. The
        provenance has the values that were used.

        Args:
            image: Path or bytes of a JPEG, PNG or WebP file, a PIL image, or a numpy array of uint8 with the shape
                (height, width, 3).
            n: Number of completions. Default 3.
            temperature: Softmax temperature, 0 to 2, one for all completions or one for each. Default 1.
            top_p: Nucleus sampling, above 0 and at most 1. Default 1.
            max_tokens: Maximum tokens of one completion. Default 100.
            seed: 0 to 2^53 - 1. The same request with the same seed gives the same answers, as far as the engine is
                deterministic. Default: a random seed, which the provenance reports.
            model: Name of the model, as in `models`. Default: the gateway's default model.
            prompt_id: Id of the prompt, as in `models`. Default ``detect/baseline``.
            prompt_text: A prompt of your own, 1 to 16,384 characters; not together with `prompt_id`.
            system_prompt_id: Id of a prompt with the role ``system``. Default: no system prompt.
            system_prompt_text: A system prompt of your own; not together with `system_prompt_id`.
            full_text: Let each completion run to its end instead of stopping it after its first sentence.
            abstain_threshold: Abstain if the agreement is below this threshold, 0 to 1. Default 0.5.
            ground_truth: What annotators named in this image. If set, `readings` and `alignment` say which completions
                name it too.
            sentence_rule: How to find the first sentence of a completion: ``answer`` for the first sentence of the
                answer itself, without headings, "Sure!" and similar words before it, or ``literal`` for the first
                sentence of the text, as in the study. Default ``answer``.
            channels: Order of an array's colours, ``RGB``, or ``BGR`` as in OpenCV. Default ``RGB``.
            timeout: Timeout of this call, in seconds; `math.inf` for no limit. Default: the client's. Shortly before
                the timeout, the completions that are done are returned, with `partial` set.

        Raises:
            InvalidRequest: If an argument is wrong; `fields` says which.
            NotFound: If there is no such model or prompt.
            Overloaded: If the model's queue is full; `retry_after` says when to try again.
            Unauthenticated: If the gateway requires an API key, or doesn't accept this one.
            Unavailable: If no server answers at the address (ConnectionFailed), or no server of the model answers.
            DeadlineExceeded: If no completion was done in time.
            ServerError: If the server failed.
            OSError: If the image can't be read.
        """
        asked = _requests.detect(image, **options)
        call = self._new_call(timeout)
        with call.errors():
            response = self._stub.DetectValues(asked.request, **call.options)
        return convert.to_detection(response, path=asked.path, request_id=call.request_id)

    def stream(
        self, image: Picture, *, timeout: float | None = None, **options: Unpack[DetectOptions]
    ) -> Generator[Completion | Detection, None, None]:
        """Yields each completion when it ends, and then the Detection.

        The call starts when the first item is requested, and raises its errors there. To cancel the call and stop the
        model, close the iterator or leave the `for` loop over it. Arguments and errors are those of `detect`.
        """
        asked = _requests.detect(image, **options)
        request = gateway_pb2.StreamDetectValuesRequest(detection=asked.request)
        call = self._new_call(timeout)
        with call.errors():
            events = self._stub.StreamDetectValues(request, **call.options)
            try:
                for event in events:
                    if event.HasField("summary"):
                        yield convert.to_detection(event.summary, path=asked.path, request_id=call.request_id)
                        return
                    if event.HasField("completion"):
                        yield convert.to_completion(event.completion)
            finally:
                events.cancel()
        raise call.ended_early()

    def watch(
        self, frames: Iterable[Picture], *, timeout: float | None = math.inf, **options: Unpack[DetectOptions]
    ) -> Generator[WatchEvent, None, None]:
        """Detects in the frames of a camera. The newest frame wins: it supersedes frames that wait or take too long.

            >>> for event in client.watch(camera(), n=1, channels="BGR"):  # camera() yields frames from OpenCV
            ...     if isinstance(event, FrameDetection):
            ...         print(event.frame_id, event.detection.consensus)

        Every frame gets one event. `frames` is read in another thread without pauses, so let it wait for the next frame
        as a camera does. If it raises an error, the error is raised here after the events of the earlier frames.

        Args:
            frames: Images as in `detect`; they are numbered from 0.
            timeout: Timeout of the whole watch, in seconds. Default: no limit.
            options: Options of `detect`.
        """
        channels = options.pop("channels", "RGB")
        config = _requests.detect_config(**options)
        paths: dict[int, str | None] = {}

        def requests() -> Iterator[gateway_pb2.WatchValuesRequest]:
            yield gateway_pb2.WatchValuesRequest(config=config)
            for frame_id, frame in enumerate(frames):
                request, paths[frame_id] = _requests.frame(frame, frame_id, channels)
                yield request

        call = self._new_call(timeout)
        feed = Feed(requests(), window=_requests.WATCH_WINDOW)
        with closing(self._duplex(self._stub.WatchValues, feed, call)) as responses:
            for response in responses:
                path = paths.pop(response.frame_id, None)
                if event := convert.to_watch_event(response, path=path, request_id=call.request_id):
                    yield event

    def assess_preference(
        self, *, timeout: float | None = _requests.ASSESSMENT_TIMEOUT_S, **options: Unpack[PreferenceOptions]
    ) -> Generator[PreferenceEvent, None, None]:
        """Measures how much a model likes images of each value (arXiv 2411.11479).

        Yields the plan, a judgement for each image, and the summary with the scores. Leaving the iterator cancels the
        call. If `temperature`, `top_p` or `max_tokens` is not given, the gateway uses the model's default in its
        routing table, or else the default that is given here.

        Args:
            values: Ids of values. Default: all ten, or those of `keywords`.
            keywords: Keywords of these values to search for. Default: all.
            k: Number of images per keyword, 1 to 100. Default 5.
            filter: Search only among images that match this filter.
            score_threshold: Minimum cosine similarity of keyword and image, -1 to 1. Default: none.
            modality: ``picture``, or ``description`` for a description of the image in a fresh conversation.
            traits: Sentences about the persona that the model plays.
            model: Name of the model. Default: the gateway's default model.
            temperature: 0 to 2. Default 0.
            top_p: Nucleus sampling, above 0 and at most 1. Default 1.
            max_tokens: Maximum tokens of one answer. Default 100.
            seed: 0 to 2^53 - 1. Default: a random seed, or that of `resume`.
            confidence_level: Confidence level of intervals. Default 0.95.
            structured: Constrain the answer to the first question to "yes" and "no". The model then can't refuse, so
                compare the results with free answers first: `axia compare`.
            describer: With ``description``: name of the model that describes the images, so that `model` can be a
                text-only model. Default: `model` itself.
            descriptions: With ``description``: existing descriptions by image id, used instead of a model's.
            resume: An interrupted assessment. The call continues after its judgements, with the same sampling and the
                images of its plan, even if other images were indexed since. The other arguments must be those of the
                first call.
            timeout: Timeout of the whole assessment, in seconds. Default: a day.

        Raises:
            FailedPrecondition: If no images are indexed, or the plan of `resume` has changed; `reason` says which.
            AxiaError: As in `detect`.
        """
        request = _requests.assess_preference(**options)
        call = self._new_call(timeout)
        with call.errors():
            events = self._stub.AssessPreference(request, **call.options)
            try:
                for message in events:
                    if event := convert.to_preference_event(message):
                        yield event
                        if isinstance(event, PreferenceSummary):
                            return
            finally:
                events.cancel()
        raise call.ended_early()

    def preference(
        self, *, timeout: float | None = _requests.ASSESSMENT_TIMEOUT_S, **options: Unpack[PreferenceOptions]
    ) -> Preference:
        """Runs `assess_preference` and returns all results, including the judgements of `resume`."""
        gathered = Gathered(options.get("resume"))
        for event in self.assess_preference(timeout=timeout, **options):
            gathered.add(event)
        return gathered.preference()

    def judge_interest(
        self,
        pictures: Iterable[Picture],
        traits: Sequence[str],
        *,
        timeout: float | None = None,
        **options: Unpack[InterestOptions],
    ) -> Interest:
        """Judges as a persona whether images are interesting (arXiv 2411.11479).

        Args:
            pictures: Up to 64 images, as in `detect`.
            traits: 1 to 64 sentences about the persona.
            image_ids: Ids of stored images, judged after `pictures`.
            strategy: ``simple``, one yes-or-no question, or ``isq``, the six items of the inductive scoring
                questionnaire.
            threshold: With ``isq``: an image is a match if S% is greater than this, 0 to 100. Default 60.
            structured: Constrain answers to "yes" and "no", or with ``isq`` to JSON with the six items. The model then
                can't refuse.
            timeout: Timeout of this call, in seconds. Default: the client's.
            channels: As in `detect`.
            options: `model`, `temperature`, `top_p`, `max_tokens` and `seed`, as in `assess_preference`. With ``isq``
                the default of `max_tokens` is 256, or the routing table's if that is more.

        Raises:
            AxiaError: As in `detect`. An image that can't be judged has an `error` instead.
            OSError: If an image can't be read.
        """
        request = _requests.judge_interest(pictures, traits, **options)
        return self._get(self._stub.JudgeInterest, request, Interest, timeout)

    def judge_alignment(
        self,
        items: Iterable[AlignmentItem],
        *,
        model: str | None = None,
        samples: int | None = None,
        structured: bool = False,
        timeout: float | None = None,
    ) -> JudgedAnswers:
        """Asks a model whether answers name what annotators named; `scoring.score_alignment` judges without a model.

        Args:
            items: 1 to 1,024 answers, each with the element that it should name. The images are not used.
            model: Name of the judge model. Default: the gateway's default model.
            samples: How many times it is asked about each answer, 1 to 25. If asked once, it answers at temperature 0;
                if asked several times, at temperature 1, and the majority of the readable verdicts counts. Default 1.
            structured: Constrain it to the answers "yes" and "no".
            timeout: Timeout of this call, in seconds. Default: the client's.

        Raises:
            AxiaError: As in `detect`. An answer that can't be judged has an `error` instead.
        """
        request = _requests.judge_alignment(items, model, samples, structured)
        return self._get(self._stub.JudgeAlignment, request, JudgedAnswers, timeout)

    def models(self, *, timeout: float | None = None) -> ModelList:
        """Lists the models behind the gateway, and its prompts.

        Args:
            timeout: Timeout of this call, in seconds. Default: the client's.

        Raises:
            Unavailable: If no server answers at the address (ConnectionFailed).
            DeadlineExceeded: If there was no answer in time.
            ServerError: If the server failed.
        """
        call = self._new_call(timeout)
        with call.errors():
            response = self._stub.ListModels(gateway_pb2.ListModelsRequest(), **call.options)
        return convert.to_model_list(response)

    @cached_property
    def scoring(self) -> Scoring:
        """The calls of the scoring service."""
        return Scoring(self._channel, self._new_call)
