import base64
import io
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from services.inference.engines.engine import Sampling
from services.inference.engines.openai.complaint import Complaint
from services.inference.engines.openai.request import Fields, named_field, picture_url, sampled_with
from services.inference.settings import InferenceSettings

ASKED = Sampling(2**53 - 1, 0.0, 1.0, 100)


def settings(**values: Any) -> InferenceSettings:
    return InferenceSettings(engine="openai", model="m", openai_base_url="http://127.0.0.1/v1", **values)


@pytest.mark.parametrize("image_format", ["jpeg", "png"])
def test_a_picture_is_encoded_anew(image_format: str) -> None:
    pixels = Image.new("RGB", (31, 17), (200, 30, 40))
    head, _, data = picture_url(pixels, image_format).partition(",")  # type: ignore[arg-type]
    assert head == f"data:image/{image_format};base64"
    sent = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (sent.format, sent.size, sent.mode) == (image_format.upper(), (31, 17), "RGB")
    assert all(abs(a - b) < 4 for a, b in zip(sent.getpixel((5, 5)), (200, 30, 40), strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize(("bits", "sent"), [(53, 2**53 - 1), (31, 2**31 - 1), (0, None)])
def test_a_seed_is_cut_to_the_bits_that_the_endpoint_takes_and_told_so(bits: int, sent: int | None) -> None:
    fields = Fields(settings(openai_seed_bits=bits)).of(ASKED)
    assert fields.get("seed") == sent
    assert sampled_with(ASKED, fields).seed == (sent or 0)


def test_fields_that_the_setting_names_are_not_sent_and_provenance_says_so() -> None:
    learned = Fields(settings(openai_leave_out="temperature, seed"))
    fields = learned.of(ASKED)
    assert not {"temperature", "seed"} & fields.keys()
    assert fields["top_p"] == 1.0
    assert learned.described == {"seed_bits": 0, "left_out": ["seed", "temperature"]}
    assert sampled_with(ASKED, fields) == Sampling(0, 1.0, 1.0, 100)
    with pytest.raises(ValidationError, match="temperature, top_p and seed, not max_tokens"):
        settings(openai_leave_out="max_tokens")


@pytest.mark.parametrize(
    ("message", "param", "missing"),
    [
        ("Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported.",
         "temperature", {"temperature"}),
        ("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", {"temperature"}),
        ("invalid temperature: only 1 is allowed for this model", "", {"temperature"}),
        ("litellm.UnsupportedParamsError: m does not support parameters: ['temperature', 'top_p'], for model=m", "",
         {"temperature", "top_p"}),
        ("Extra inputs are not permitted", "seed", {"seed"}),
        ("property 'stream_options' is unsupported", "", {"stream_options"}),
    ],
)  # fmt: skip
def test_a_field_that_a_refusal_names_is_left_out_from_then_on(message: str, param: str, missing: set[str]) -> None:
    learned = Fields(settings())
    before = learned.of(ASKED)
    assert learned.learn(Complaint(message, param=param), before)
    after = learned.of(ASKED)
    assert before.keys() - after.keys() == missing
    # Another completion was sent before that was learned, and is to be sent again too.
    assert learned.learn(Complaint(message, param=param), before)
    assert not learned.learn(Complaint(message, param=param), after)


@pytest.mark.parametrize(
    ("temperature", "top_p", "kept"),
    [(0.0, 1.0, "temperature"), (1.0, 0.9, "top_p"), (0.5, 0.9, "temperature"), (1.0, 1.0, "temperature")],
)
def test_of_temperature_and_top_p_the_one_that_says_something_goes_where_only_one_may(
    temperature: float, top_p: float, kept: str
) -> None:
    learned = Fields(settings())
    asked = Sampling(1, temperature, top_p, 100)
    words = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    assert learned.learn(Complaint(words), learned.of(asked))
    assert {"temperature", "top_p"} & learned.of(asked).keys() == {kept}
    assert learned.described["left_out"] == ["temperature or top_p"]


def test_a_refused_value_is_the_callers_to_change_and_no_field_is_left_out_for_others() -> None:
    learned = Fields(settings())
    hot = Sampling(1, 1.5, 1.0, 100)
    said = Complaint("temperature: Input should be less than or equal to 1")
    assert not learned.learn(said, learned.of(hot))
    assert learned.of(hot)["temperature"] == 1.5
    assert named_field(said) == "temperature"


def test_a_default_that_is_refused_as_a_value_is_left_out_alone() -> None:
    learned = Fields(settings())
    assert learned.learn(Complaint("Range of top_p should be (0.0, 1.0)"), learned.of(ASKED))
    assert "top_p" not in learned.of(ASKED)
    assert learned.of(Sampling(1, 0.0, 0.9, 100))["top_p"] == 0.9
    assert "left_out" not in learned.described


def test_a_seed_that_is_too_long_is_shortened_before_it_is_left_out() -> None:
    learned = Fields(settings())
    said = Complaint("Invalid value at 'generation_config.seed' (TYPE_INT32), 9007199254740991")
    assert learned.learn(said, learned.of(ASKED))
    assert learned.of(ASKED)["seed"] == 2**31 - 1
    assert learned.learn(said, learned.of(ASKED))
    assert "seed" not in learned.of(ASKED)


def test_the_bound_on_tokens_has_the_name_that_a_refusal_asks_for_and_is_renamed_once() -> None:
    learned = Fields(settings())
    words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    assert learned.learn(Complaint(words), learned.of(ASKED))
    assert learned.of(ASKED)["max_completion_tokens"] == 100
    assert not learned.learn(Complaint("unknown max_completion_tokens"), learned.of(ASKED))
    long = "'max_tokens' or 'max_completion_tokens' is too large: 100. This model's maximum context length is 64 tokens"
    learned = Fields(settings())
    assert not learned.learn(Complaint(long), learned.of(ASKED))


@pytest.mark.parametrize("words", ["the picture is too large", "the room's temperatures", "seeds and max_tokens_total"])
def test_words_that_name_no_field_change_nothing(words: str) -> None:
    learned = Fields(settings())
    assert not learned.learn(Complaint(words), learned.of(ASKED))
    assert named_field(Complaint(words)) == ""
