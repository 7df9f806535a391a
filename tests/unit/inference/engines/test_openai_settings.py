from typing import Any

import pytest

from services.inference.settings import InferenceSettings
from services.serving.settings import load_settings

SOUND = {"engine": "openai", "model": "gpt-4o", "openai_base_url": "https://api.openai.com/v1"}


def test_an_endpoint_needs_an_address_and_the_name_of_a_model() -> None:
    assert InferenceSettings(**SOUND).openai_api_key is None  # type: ignore[arg-type]
    for missing in ("model", "openai_base_url"):
        with pytest.raises(ValueError, match=missing.upper()):
            InferenceSettings(**{name: value for name, value in SOUND.items() if name != missing})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "value", "advice"),
    [
        ("openai_base_url", "api.openai.com/v1", "OPENAI_BASE_URL"),
        ("openai_base_url", "ftp://host/v1", "OPENAI_BASE_URL"),
        ("openai_base_url", "https://", "OPENAI_BASE_URL"),
        ("openai_base_url", "https://exa mple/v1", "OPENAI_BASE_URL"),
        ("openai_base_url", "https://host:99999/v1", "OPENAI_BASE_URL"),
        ("openai_base_url", "https://host/v1?key=secret", "OPENAI_BASE_URL"),
        ("openai_base_url", "https://user:secret@host/v1", "OPENAI_API_KEY"),
        ("openai_api_key", "secret\n", "OPENAI_API_KEY"),
        ("openai_api_key", "sécret", "OPENAI_API_KEY"),
        ("openai_extra", '{"n": 5}', "OPENAI_EXTRA must not contain n"),
    ],
)
def test_what_an_endpoint_cannot_be_asked_with_is_refused_without_showing_it(
    setting: str, value: str, advice: str
) -> None:
    values: dict[str, Any] = SOUND | {setting: value}
    with pytest.raises(ValueError, match=advice) as caught:
        InferenceSettings(**values)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["{", "[1]", '"x"'])
def test_further_fields_that_are_no_json_object_end_the_server_with_the_variables_name(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, given in (SOUND | {"openai_extra": value}).items():
        monkeypatch.setenv(f"AXIA_INFERENCE_{name.upper()}", given)
    with pytest.raises(SystemExit):
        load_settings(InferenceSettings)
    assert "AXIA_INFERENCE_OPENAI_EXTRA" in capsys.readouterr().err


def test_settings_of_an_endpoint_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = SOUND | {
        "openai_api_key": "sk-1",
        "openai_special_tokens": '["<a>", "<b>"]',
        "openai_extra": '{"top_k": 50, "chat_template_kwargs": {"enable_thinking": false}}',
    }
    for name, given in values.items():
        monkeypatch.setenv(f"AXIA_INFERENCE_{name.upper()}", given)
    settings = load_settings(InferenceSettings)
    assert settings.openai_special_tokens == ("<a>", "<b>")
    assert settings.openai_extra == {"top_k": 50, "chat_template_kwargs": {"enable_thinking": False}}
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-1"
    assert "sk-1" not in repr(settings)


def test_a_bad_key_is_not_shown_where_the_server_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, given in (SOUND | {"openai_api_key": "sk secret", "openai_concurrency": "0"}).items():
        monkeypatch.setenv(f"AXIA_INFERENCE_{name.upper()}", given)
    with pytest.raises(SystemExit):
        load_settings(InferenceSettings)
    monkeypatch.setenv("AXIA_INFERENCE_OPENAI_CONCURRENCY", "1")
    with pytest.raises(SystemExit):
        load_settings(InferenceSettings)
    said = capsys.readouterr().err
    assert "OPENAI_CONCURRENCY" in said
    assert "AXIA_INFERENCE_OPENAI_API_KEY" in said
    assert "secret" not in said
