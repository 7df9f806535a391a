"""Which of vLLM's arguments AXIA_INFERENCE_ENGINE_ARGS adds."""

import pytest

from services.inference.engines.vllm.arguments import checked_arguments
from services.inference.settings import InferenceSettings
from services.serving.errors import FailedPrecondition

KNOWN = ["kv_cache_dtype", "async_scheduling", "enable_prefix_caching", "model", "seed", "allowed_local_media_path"]


def settings(**arguments: object) -> InferenceSettings:
    return InferenceSettings(model="x", engine_args=arguments)  # type: ignore[arg-type]


def test_known_arguments_are_added() -> None:
    given = {"kv_cache_dtype": "fp8", "async_scheduling": True, "enable_prefix_caching": False}
    assert checked_arguments(settings(**given), KNOWN) == given
    assert checked_arguments(settings(), KNOWN) == {}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("model", "set AXIA_INFERENCE_MODEL instead"),
        ("max_num_seqs", "set AXIA_INFERENCE_MAX_RUNNING instead"),
        ("allowed_local_media_path", "it is not allowed: it lets prompts name files on this machine"),
        ("seed", "it is not allowed: each completion has a seed of its own"),
        ("kv_cache_dtyp", "vLLM has no such argument; did you mean kv_cache_dtype?"),
        ("colour", "vLLM has no such argument in the installed release"),
    ],
)
def test_others_are_refused_with_what_to_do(name: str, advice: str) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        checked_arguments(settings(**{name: 1}), KNOWN)
    assert caught.value.message == f"AXIA_INFERENCE_ENGINE_ARGS: {name}: {advice}"


@pytest.mark.parametrize(
    "name",
    [
        "enable_prompt_embeds", "enable_mm_embeds", "allowed_local_media_path", "allowed_media_domains",
        "limit_mm_per_prompt", "kv_transfer_config", "ec_transfer_config", "logits_processors", "io_processor_plugin",
    ],
)  # fmt: skip
def test_what_callers_could_misuse_is_refused(name: str) -> None:
    # Advisories of vLLM need one of these: tensors, files and addresses of callers, or transfers between engines.
    with pytest.raises(FailedPrecondition, match=f"{name}: it is not allowed"):
        checked_arguments(settings(**{name: True}), [*KNOWN, name])


@pytest.mark.parametrize("load_format", ["pt", "auto", "npcache", "hf"])
def test_pickled_weights_are_refused(load_format: str) -> None:
    with pytest.raises(FailedPrecondition, match="load_format: pickled weights can run code"):
        checked_arguments(settings(load_format=load_format), [*KNOWN, "load_format"])
    assert checked_arguments(settings(load_format="mistral"), ["load_format"]) == {"load_format": "mistral"}


def test_code_of_a_checkpoint_does_not_run_unless_its_setting_says_so() -> None:
    assert not InferenceSettings(engine="vllm", model="x").trust_remote_code
    with pytest.raises(FailedPrecondition, match="set AXIA_INFERENCE_TRUST_REMOTE_CODE instead"):
        checked_arguments(settings(trust_remote_code=True), [*KNOWN, "trust_remote_code"])


def test_settings_of_other_engines_are_said_to_be_without_effect() -> None:
    settings = InferenceSettings(engine="vllm", model="x")
    assert {"openai_extra", "answers", "image_placeholder"} <= settings.without_effect().keys()
    scripted = InferenceSettings(engine="scripted", answers="x.yaml")  # type: ignore[arg-type]
    assert {"dtype", "engine_args", "openai_base_url", "revision"} <= scripted.without_effect().keys()
    assert "model" not in scripted.without_effect()
    with pytest.raises(ValueError, match="set together"):
        InferenceSettings(model="x", chat_template="{{ a }}", completion_template="{prompt}")
