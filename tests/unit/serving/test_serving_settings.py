"""Settings from the environment: what is taken, and how mistakes are told."""

from typing import Literal

import pytest
from pydantic import ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.serving.settings import ServerSettings, load_settings


class LampSettings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="AXIA_LAMP_", extra="ignore", frozen=True)

    colour: Literal["red", "green"] = "red"
    address: str = "here:1"
    mode: str = ""

    @field_validator("address")
    @classmethod
    def _address_has_a_port(cls, value: str) -> str:
        if ":" not in value:
            raise ValueError("must be host:port")
        return value

    @model_validator(mode="after")
    def _green_needs_a_mode(self) -> "LampSettings":
        if self.colour == "green" and not self.mode:
            raise ValueError("MODE is needed by green lamps")
        return self


class KeySettings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="AXIA_KEY_", extra="ignore", frozen=True)

    model: str


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "HOST"):
        monkeypatch.delenv(f"AXIA_LAMP_{name}", raising=False)


def refusal(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cls: type[ServerSettings] = LampSettings,
) -> str:
    """What is written to standard error when the environment is refused."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load_settings(cls)
    assert caught.value.code == 2
    written = capsys.readouterr()
    assert written.out == ""
    return written.err


def test_defaults_hold_without_variables_and_listen_on_this_machine_alone() -> None:
    settings = load_settings(LampSettings)
    assert settings.host == "127.0.0.1"
    assert (settings.metrics_port, settings.reflection, settings.log_level) == (0, False, "INFO")


def test_variables_with_the_prefix_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXIA_LAMP_PORT", "50051")
    monkeypatch.setenv("AXIA_LAMP_REFLECTION", "true")
    monkeypatch.setenv("AXIA_LAMP_DRAIN_SECONDS", "2.5")
    monkeypatch.setenv("PORT", "1")
    settings = load_settings(LampSettings)
    assert (settings.port, settings.reflection, settings.drain_seconds) == (50051, True, 2.5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "high"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", ""),
        ("METRICS_PORT", "9100.5"),
        ("LOG_LEVEL", "info"),
        ("REFLECTION", "perhaps"),
        ("DRAIN_SECONDS", "-1"),
        ("DRAIN_SECONDS", "nan"),
        ("DRAIN_SECONDS", "inf"),
        ("MAX_CONCURRENT_CALLS", "0"),
        ("MAX_IMAGE_MIB", "0"),
        ("MAX_IMAGE_MIB", "nan"),
        ("MAX_IMAGE_MEGAPIXELS", "1e9"),
        ("MAX_IMAGE_SIDE", "0"),
        ("DECODE_WORKERS", "65"),
        ("COLOUR", "blue"),
        ("ADDRESS", "nowhere"),
    ],
)
def test_a_bad_value_ends_the_process_with_its_variable_and_itself(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refusal({f"AXIA_LAMP_{name}": value}, monkeypatch, capsys).splitlines()
    assert line.startswith(f"AXIA_LAMP_{name}: ")
    assert line.endswith(f" (given: {value!r})")
    assert "Value error" not in line


def test_every_bad_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal({"AXIA_LAMP_PORT": "x", "AXIA_LAMP_COLOUR": "blue"}, monkeypatch, capsys)
    assert [line.split(":")[0] for line in told.splitlines()] == ["AXIA_LAMP_PORT", "AXIA_LAMP_COLOUR"]


def test_a_missing_value_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refusal({}, monkeypatch, capsys, KeySettings).splitlines()
    assert line == "AXIA_KEY_MODEL: Field required"


def test_values_that_do_not_go_together_are_told_with_the_prefix_and_without_all_the_other_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal({"AXIA_LAMP_COLOUR": "green", "AXIA_LAMP_ADDRESS": "secret:1"}, monkeypatch, capsys)
    assert told == "AXIA_LAMP_MODE is needed by green lamps\n"


def test_an_unknown_variable_with_the_prefix_is_reported_with_a_suggestion_and_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AXIA_LAMP_DRAIN_SECOND", "3")
    assert load_settings(LampSettings).drain_seconds == 30
    assert capsys.readouterr().err == (
        "AXIA_LAMP_DRAIN_SECOND is not a setting and is ignored; did you mean AXIA_LAMP_DRAIN_SECONDS?\n"
    )


def test_an_unknown_variable_like_no_setting_is_reported_without_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AXIA_LAMP_SERVICE_PORT_GRPC_0_TCP_ADDR", "10.0.0.7")
    load_settings(LampSettings)
    first = capsys.readouterr().err
    assert first.startswith("AXIA_LAMP_SERVICE_PORT_GRPC_0_TCP_ADDR is not a setting and is ignored")
    monkeypatch.delenv("AXIA_LAMP_SERVICE_PORT_GRPC_0_TCP_ADDR")
    monkeypatch.setenv("AXIA_LAMP_QQQQQQQQQQQQQQQQQQQQQQQQ", "1")
    load_settings(LampSettings)
    assert capsys.readouterr().err == "AXIA_LAMP_QQQQQQQQQQQQQQQQQQQQQQQQ is not a setting and is ignored\n"


def test_variables_of_other_prefixes_are_nobodys_business(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AXIA_LAMPS_PORT", "1")
    monkeypatch.setenv("AXIA_ADDRESS", "x")
    load_settings(LampSettings)
    assert capsys.readouterr().err == ""


def test_settings_do_not_change_once_loaded() -> None:
    settings = load_settings(LampSettings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1
