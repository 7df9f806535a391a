"""The client for programs without asyncio. `axia.aio` has the same for those with it.

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
    """Asks an axia gateway. One client serves any number of calls and threads; close it, or use it in a `with` block.

        >>> with Client() as client:
        ...     detection = client.detect("kitchen.jpg", n=5, seed=1)
        >>> detection.consensus
        'a pot boiling over'

    Args:
        address: Host and port of the gateway, or IP addresses of several replicas, separated by commas. Default: the
            environment variable AXIA_ADDRESS, or ``127.0.0.1:50050``.
        timeout: Seconds that a call may take where it does not say otherwise; None for no limit.
        tls: How to encrypt the connection, such as ``TLS(root_certificates="ca.pem")``. Default: the environment
            variables that `TLS.from_environment` names, or no encryption.
        api_key: Sent with each call as ``authorization: Bearer ...``; encrypt where others can listen. Default: the
            environment variable AXIA_API_KEY, or none.

    Raises:
        ValueError: If the address is a URL or has no port that can be, the timeout is not above 0, or the API key
            can't be sent.
        OSError: If a file of `tls` can't be read.
    """

    def detect(self, image: Picture, *, timeout: float | None = None, **options: Unpack[DetectOptions]) -> Detection:
        """Asks a model n times what needs attention in an image, and sums up what it says.

        A call is never repeated silently: sampling costs, and may have begun. What is not given is the model's default
        in the gateway's routing table where there is one, or else what is said here; the provenance has what was used.

        Args:
            image: Path of a JPEG, PNG or WebP file, the bytes of one, a PIL image, or a numpy array of uint8 and shape
                (height, width, 3).
            n: Completions to sample. Default 3.
            temperature: Softmax temperature, 0 to 2, one for all completions or one for each. Default 1.
            top_p: Nucleus sampling, above 0 and at most 1. Default 1.
            max_tokens: Maximum tokens of one completion. Default 100.
            seed: 0 to 2^53 - 1; the same request with the same seed gives the same answers as far as the engine is
                deterministic. Default: drawn by the gateway and reported in the provenance.
            model: Name of the model, as `models` gives it. Default: the gateway's default model.
            prompt_id: Id of the prompt, as `models` gives it. Default ``detect/baseline``.
            prompt_text: A prompt of your own, 1 to 16,384 characters; not together with `prompt_id`.
            system_prompt_id: Id of a prompt with the role ``system``. Default: no system prompt.
            system_prompt_text: A system prompt of your own; not together with `system_prompt_id`.
            full_text: Let each completion run to its end instead of stopping it after its first sentence.
            abstain_threshold: Abstain when the agreement is below this, 0 to 1. Default 0.5.
            ground_truth: What annotators named in this image; then `readings` and `alignment` say who named it too.
            sentence_rule: Which sentence of a completion is its first: ``answer`` for that of the answer itself,
                without headings, "Sure!" and similar words before it, or ``literal`` for that of the text, as the study
                has it. Default ``answer``.
            channels: Order of an array's colours, ``RGB``, or ``BGR`` as OpenCV has it. Default ``RGB``.
            timeout: Seconds for this call; `math.inf` for no limit. Default: the client's. Shortly before it runs
                out, the completions that are done come back, with `partial` set.

        Raises:
            InvalidRequest: If an argument is wrong; `fields` says which.
            NotFound: If there is no such model or prompt.
            Overloaded: If the model's queue is full; `retry_after` says for how long.
            Unauthenticated: If the gateway wants an API key, or another.
            Unavailable: If no server answers at the address (ConnectionFailed) or none of the model does.
            DeadlineExceeded: If not one completion was done in time.
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
        """Gives each completion when it ends, in the order in which they end, and last the Detection.

        The call begins with the first item and raises its errors there. Closing the iterator, or leaving a `for` loop
        over it, cancels the call and frees the model. Arguments and errors are those of `detect`.
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
        """Detects in the frames of a camera, the newest first: one that comes while another is being answered takes its
        place.

            >>> for event in client.watch(camera(), n=1, channels="BGR"):  # camera() gives what OpenCV reads
            ...     if isinstance(event, FrameDetection):
            ...         print(event.frame_id, event.detection.consensus)

        Every frame gets one event. `frames` is read in another thread, as fast as it gives frames: let it wait between
        them as the camera does. An error that it raises is raised here once the frames before have their events.

        Args:
            frames: Images as `detect` takes them; they are numbered from 0.
            timeout: Seconds for the whole watch. Default: no limit.
            options: Those of `detect`.
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

        Gives the plan, a judgement for each image, and the summary with the scores. Leaving the iterator cancels.
        Where `temperature`, `top_p` or `max_tokens` is not given, the model's default in the gateway's routing table
        holds, or else what is said here.

        Args:
            values: Ids of values. Default: all ten, or those of `keywords`.
            keywords: Keywords of these values to search for. Default: all.
            k: Images a keyword, 1 to 100. Default 5.
            filter: Which images may be found.
            score_threshold: Least cosine similarity of keyword and image, -1 to 1. Default: none.
            modality: ``image``, or ``description`` for a description of it in a fresh conversation.
            traits: Sentences about the persona that the model plays.
            model: Name of the model. Default: the gateway's default model.
            temperature: 0 to 2. Default 0.
            top_p: Nucleus sampling, above 0 and at most 1. Default 1.
            max_tokens: Maximum tokens of one answer. Default 100.
            seed: 0 to 2^53 - 1. Default: drawn, or that of `resume`.
            confidence_level: Of intervals. Default 0.95.
            structured: Hold the answer to the first question to "yes" and "no". This takes refusals away, so compare
                figures with those of free answers before you rely on them: `axia compare`.
            describer: With ``description``: name of the model that describes the images, so that `model` may be one
                that takes text alone. Default: `model` itself.
            descriptions: With ``description``: descriptions by image id, in place of a model's.
            resume: An interrupted assessment; asking continues after its judgements, sampled as it was. The other
                arguments must be those of the first call. Its images stay those of its plan, whatever was indexed
                since.
            timeout: Seconds for the whole assessment. Default: a day.

        Raises:
            FailedPrecondition: If nothing is indexed, or what `resume` planned has changed; `reason` says which.
            AxiaError: As `detect`.
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
        """The whole of `assess_preference`, those judgements included that `resume` had."""
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
            pictures: Up to 64 images, each as `detect` takes them.
            traits: 1 to 64 sentences about the persona.
            image_ids: Ids of stored images, judged after `pictures`.
            strategy: ``simple``, a plain question, or ``isq``, the six items of the inductive scoring questionnaire.
            threshold: With ``isq``: S% above this is a match, 0 to 100. Default 60.
            structured: Hold answers to "yes" and "no", or with ``isq`` to JSON with the six items. This takes refusals
                away.
            timeout: Seconds for this call. Default: the client's.
            channels: As in `detect`.
            options: `model`, `temperature`, `top_p`, `max_tokens` and `seed`, as in `assess_preference`. With ``isq``
                `max_tokens` is 256 by default, or more where the routing table says so.

        Raises:
            AxiaError: As `detect`. An image that can't be judged has an `error` of its own instead.
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
            items: 1 to 1,024 answers with what they should name; images are not looked at.
            model: Name of the model. Default: the gateway's default model.
            samples: How many times it is asked about each answer, 1 to 25. Asked once, it answers at temperature 0;
                more often, at temperature 1, and the majority of what can be read counts. Default 1.
            structured: Hold it to the answers "yes" and "no".
            timeout: Seconds for this call. Default: the client's.

        Raises:
            AxiaError: As `detect`. An answer that can't be judged has an `error` of its own instead.
        """
        request = _requests.judge_alignment(items, model, samples, structured)
        return self._get(self._stub.JudgeAlignment, request, JudgedAnswers, timeout)

    def models(self, *, timeout: float | None = None) -> ModelList:
        """Lists the models behind the gateway and the prompts that it knows.

        Args:
            timeout: Seconds for this call. Default: the client's.

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
