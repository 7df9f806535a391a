"""What each family of models is asked: each function makes a call and raises where its answer is not right."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
from PIL import Image

import axia
from axia.inputs import AlignmentItem
from axia.sentence.first_sentence import find_first_sentence
from axia.v1 import image_pb2, inference_pb2_grpc
from axia.v1 import inference_pb2 as inf
from tests.support import processes
from tests.support.fake_retrieval import FakeRetrieval
from tests.support.pictures import encode, photograph

PROMPT = "Identify what is the element that needs attention in this image"
PICTURE = photograph(1, (640, 480))
TRAITS = ["You like quiet rooms."]
FREED_WITHIN_S = 5.0
WITHOUT_TEMPLATE = {"blip-2": "Question: {} Answer:", "paligemma": "{}"}
"""Prompts of models whose repositories have no chat template, as their papers ask them."""
NOISE = {"ANSWER_UNPARSED", "ANSWER_EMPTY", "ISQ_INCOMPLETE", "DESCRIPTION_EMPTY"}
"""Reasons why an answer of random weights can't be used; that there was one is what counts here."""
TIMEOUT = 400.0


class Served:
    """One model behind a gateway."""

    def __init__(
        self,
        folder: Path,
        server: processes.Server,
        client: axia.Client,
        channel: grpc.Channel,
        retrieval: FakeRetrieval,
    ) -> None:
        self.folder, self.server, self.client, self.retrieval = folder, server, client, retrieval
        self.stub = inference_pb2_grpc.InferenceServiceStub(channel)

    def alive(self) -> bool:
        """Whether the engine still answers."""
        return self.server.process.poll() is None and self.server.health() == "SERVING"

    @cached_property
    def published_context(self) -> int:
        """Context length of the published configuration."""
        config = json.loads((self.folder / "config.json").read_text())
        return int({**config, **config.get("text_config", {})}.get("max_position_embeddings", 8192))

    @cached_property
    def takes_pictures(self) -> bool:
        """As its server says."""
        return bool(self.stub.GetModel(inf.GetModelRequest()).model.accepts_images)

    def generate(self, *, first_sentence: bool = False, image: bytes | None = PICTURE, **fields: Any) -> list[Any]:
        """The completions of one Generate call."""
        fields = {"samples": [inf.Sample(seed=1, temperature=1)], "max_tokens": 40, **fields}
        rule = inf.STOP_RULE_FIRST_SENTENCE if first_sentence else inf.STOP_RULE_NONE
        asked = inf.GenerateRequest(stop_rule=rule, **fields)
        if not asked.messages:
            asked.messages.add(role=inf.ROLE_USER, text=PROMPT)
        if image is not None:
            asked.image.CopyFrom(image_pb2.Image(data=image))
        events = list(self.stub.Generate(asked, timeout=TIMEOUT))
        return [event.completion for event in events if event.HasField("completion")]

    def prompt_tokens(self, messages: list[inf.Message], image: bytes | None = None) -> int:
        """Tokens of a prompt, as the server counts them."""
        asked = inf.GenerateRequest(messages=messages, samples=[inf.Sample(seed=1)], max_tokens=1)
        if image is not None:
            asked.image.CopyFrom(image_pb2.Image(data=image))
        events = self.stub.Generate(asked, timeout=TIMEOUT)
        return int(next(event.started.prompt_tokens for event in events if event.HasField("started")))


def detect(served: Served) -> None:
    found = served.client.detect(PICTURE, seed=5)
    assert len(found.completions) == 3
    model = found.provenance.model
    assert model.prompt_template.count("{prompt}") == 1
    assert model.max_context_tokens >= served.published_context  # the key-value cache was made large enough


def system_prompt(served: Served) -> None:
    told = served.client.detect(PICTURE, n=1, system_prompt_text="You are a careful nurse.")
    assert told.provenance.system_prompt is not None
    system = inf.Message(role=inf.ROLE_SYSTEM, text="You are a careful nurse.")
    user = inf.Message(role=inf.ROLE_USER, text=PROMPT)
    assert served.prompt_tokens([system, user]) > served.prompt_tokens([user])  # it is not dropped


def stream(served: Served) -> None:
    *completions, last = served.client.stream(PICTURE, n=3, seed=5)
    assert len(completions) == 3
    assert last.completions_done == 3


def same_seed_same_text(served: Served) -> None:
    first, second = (served.client.detect(PICTURE, seed=7, full_text=True) for _ in range(2))
    assert [completion.text for completion in first.completions] == [
        completion.text for completion in second.completions
    ]


def text_alone(served: Served) -> None:
    assert served.generate(image=None)[0].tokens > 0


def preference(served: Served) -> None:
    result = served.client.preference(values=["benevolence"], keywords=["family"], k=2, seed=1)
    assert len(result.judgements) == 2
    for judgement in result.judgements:
        assert judgement.error is None, judgement.error
        assert len(judgement.replies) == 3


def interest_simple(served: Served) -> None:
    _judged(served, "simple")


def interest_isq(served: Served) -> None:
    _judged(served, "isq")


def _judged(served: Served, strategy: str) -> None:
    for judgement in served.client.judge_interest([PICTURE], TRAITS, strategy=strategy, seed=1).judgements:
        if judgement.error is not None and judgement.error.reason not in NOISE:
            raise Refused(judgement.error.reason, judgement.error.message)


def description(served: Served) -> None:
    result = served.client.preference(values=["benevolence"], keywords=["family"], k=1, seed=1, modality="description")
    (judgement,) = result.judgements
    if judgement.error is not None and judgement.error.reason not in NOISE:
        raise Refused(judgement.error.reason, judgement.error.message)


def judge(served: Served) -> None:
    items = [AlignmentItem(answer="The stove.", element="stove"), AlignmentItem(answer="The cat.", element="stove")]
    for judgement in served.client.judge_alignment(items).judgements:
        if judgement.error is not None:
            raise Refused(judgement.error.reason, judgement.error.message)


def cancellation(served: Served) -> None:
    asked = inf.GenerateRequest(
        messages=[inf.Message(role=inf.ROLE_USER, text="Tell a long story.")],
        samples=[inf.Sample(seed=seed, temperature=1.5) for seed in range(8)],
        max_tokens=1000,
        stop_rule=inf.STOP_RULE_NONE,
    )
    call = served.stub.Generate(asked)
    _wait_for(served, lambda running: running > 0)
    call.cancel()
    assert _wait_for(served, lambda running: running == 0) < FREED_WITHIN_S


def _wait_for(served: Served, holds: Callable[[float], bool]) -> float:
    began = time.monotonic()
    while not holds(served.server.metrics()["axia_inference_running"]):
        assert time.monotonic() < began + TIMEOUT
        time.sleep(0.02)
    return time.monotonic() - began


def early_stop_is_equal(served: Served) -> None:
    image = PICTURE if served.takes_pictures else None
    for seed in range(8):
        sample = [inf.Sample(seed=seed, temperature=1)]
        (stopped,) = served.generate(first_sentence=True, samples=sample, image=image)
        (whole,) = served.generate(samples=sample, image=image)
        assert stopped.first_sentence == find_first_sentence(whole.text).sentence, seed


def picture_4000x3000(served: Served) -> None:
    served.client.detect(photograph(2, (4000, 3000)), n=1)


def picture_40x2000(served: Served) -> None:
    served.client.detect(photograph(3, (40, 2000)), n=1)


def picture_1x1(served: Served) -> None:
    served.client.detect(encode(Image.new("RGB", (1, 1), "red"), "PNG"), n=1)


def eight_pictures_at_once(served: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        pictures = [photograph(seed, (640, 480 - seed)) for seed in range(8)]
        found = list(pool.map(lambda picture: served.client.detect(picture, seed=1), pictures))
    assert all(len(detection.completions) == 3 for detection in found)


def special_tokens_are_refused(served: Served) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(served.folder)
    for special in tokenizer.all_special_tokens:
        text = f"What is {special} here?"
        try:
            served.generate(image=None, messages=[inf.Message(role=inf.ROLE_USER, text=text)])
        except grpc.RpcError as error:
            assert "special meaning" in str(error.details()), (special, error)
        else:
            raise AssertionError(f"{special!r} was not refused")
    # What a questionnaire has: line breaks, HTML, braces.
    served.generate(image=None, messages=[inf.Message(role=inf.ROLE_USER, text="1.\n2.\n\n<b>three</b>  <table> {x}")])


def prompt_tokens_as_in_transformers(served: Served) -> None:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(served.folder)
    picture = Image.new("RGB", (640, 480), "red")
    if getattr(processor, "chat_template", None):
        content: Any = [{"type": "image"}, {"type": "text", "text": PROMPT}]
        if not served.takes_pictures:
            content = PROMPT
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    else:
        text = WITHOUT_TEMPLATE[json.loads((served.folder / "config.json").read_text())["model_type"]].format(PROMPT)
    texts = {"text": text} if served.takes_pictures else {}
    if served.takes_pictures:
        bos = getattr(processor.tokenizer, "bos_token", None)
        expected = processor(images=picture, **texts, add_special_tokens=not (bos and text.startswith(bos)))[
            "input_ids"
        ][0]
    else:
        expected = processor(text, add_special_tokens=False)["input_ids"]
    image = encode(picture, "PNG") if served.takes_pictures else None
    counted = served.prompt_tokens([inf.Message(role=inf.ROLE_USER, text=PROMPT)], image)
    assert counted == len(expected), (counted, len(expected), text)


class Refused(Exception):
    """An item of an answer that carries an error of its own."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


CALLS: dict[str, Callable[[Served], None]] = {
    call.__name__: call
    for call in (
        detect, system_prompt, stream, same_seed_same_text, text_alone, preference, interest_simple, interest_isq,
        description, judge, cancellation, early_stop_is_equal, picture_4000x3000, picture_40x2000, picture_1x1,
        eight_pictures_at_once, special_tokens_are_refused, prompt_tokens_as_in_transformers,
    )
}  # fmt: skip


def outcome(served: Served, call: Callable[[Served], None]) -> str:
    """ "ok", or the reason of a refusal with the field at fault."""
    try:
        call(served)
    except axia.AxiaError as error:
        fields = ",".join(field.field for field in getattr(error, "fields", []))
        return " ".join(filter(None, [error.reason, fields]))
    except Refused as error:
        return error.reason
    return "ok"
