"""Settings from the environment: what is taken, and how mistakes are told."""

import json
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from services.serving.environment import EMPTY_IS_MEANT, Listed
from services.serving.settings import ServerSettings, load_settings
from services.serving.upstream.addresses import checked_address


class LampSettings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="AXIA_LAMP_", extra="ignore", frozen=True)

    colour: Literal["red", "green"] = "red"
    address: str = "here:1"
    mode: str = ""
    shade: Annotated[str, EMPTY_IS_MEANT] = "dark"
    bulbs: Listed = ()
    hours: int | None = None
    wiring: Annotated[dict[str, str], NoDecode] = Field(default={})

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


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The messages of the records that were written, a line each."""
    written = capsys.readouterr()
    assert written.out == ""
    records = [json.loads(line) for line in written.err.splitlines()]
    assert all(record["service"] in ("lamp", "key") for record in records)
    return "".join(f"{record['message']}\n" for record in records)


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
    return told(capsys)


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
        ("METRICS_PORT", "9100.5"),
        ("LOG_LEVEL", "loud"),
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
    said = refusal({"AXIA_LAMP_PORT": "x", "AXIA_LAMP_COLOUR": "blue"}, monkeypatch, capsys)
    assert [line.split(":")[0] for line in said.splitlines()] == ["AXIA_LAMP_PORT", "AXIA_LAMP_COLOUR"]


def test_a_missing_value_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = refusal({}, monkeypatch, capsys, KeySettings).splitlines()
    assert line == "AXIA_KEY_MODEL: Field required"


def test_values_that_do_not_go_together_are_told_with_the_prefix_and_without_all_the_other_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal({"AXIA_LAMP_COLOUR": "green", "AXIA_LAMP_ADDRESS": "secret:1"}, monkeypatch, capsys)
    assert said == "AXIA_LAMP_MODE is needed by green lamps\n"


def test_an_unknown_variable_with_the_prefix_is_reported_with_a_suggestion_and_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AXIA_LAMP_DRAIN_SECOND", "3")
    assert load_settings(LampSettings).drain_seconds == 30
    assert told(capsys) == (
        "AXIA_LAMP_DRAIN_SECOND is not a setting and is ignored; did you mean AXIA_LAMP_DRAIN_SECONDS?\n"
    )


def test_an_unknown_variable_like_no_setting_is_reported_without_a_suggestion(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AXIA_LAMP_QQQQQQQQQQQQQQQQQQQQQQQQ", "1")
    load_settings(LampSettings)
    assert told(capsys) == "AXIA_LAMP_QQQQQQQQQQQQQQQQQQQQQQQQ is not a setting and is ignored\n"


def test_variables_of_other_prefixes_are_nobodys_business(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AXIA_LAMPS_PORT", "1")
    monkeypatch.setenv("AXIA_ADDRESS", "x")
    load_settings(LampSettings)
    assert told(capsys) == ""


def test_settings_do_not_change_once_loaded() -> None:
    settings = load_settings(LampSettings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("PORT", "", "port", 0),
        ("PORT", " ", "port", 0),
        ("REFLECTION", "", "reflection", False),
        ("HOURS", "", "hours", None),
        ("BULBS", "", "bulbs", ()),
        ("HOST", "", "host", "127.0.0.1"),
        ("SHADE", "", "shade", ""),
        ("SHADE", " ", "shade", ""),
        ("HOURS", "1.048576e+06", "hours", 1_048_576),
        ("HOURS", "9007199254740993", "hours", 9_007_199_254_740_993),
        ("MAX_CONCURRENT_CALLS", "1e+06", "max_concurrent_calls", 1_000_000),
        ("MAX_IMAGE_MIB", "2e+01", "max_image_mib", 20.0),
        ("HOURS", '"512"', "hours", 512),
        ("REFLECTION", "'true'", "reflection", True),
        ("LOG_LEVEL", "info", "log_level", "INFO"),
        ("LOG_LEVEL", '"Warning"', "log_level", "WARNING"),
        ("COLOUR", "GREEN", "colour", "green"),
        ("MODE", '"quoted"', "mode", '"quoted"'),
        ("BULBS", "a, b,", "bulbs", ("a", "b")),
        ("BULBS", '["a, b", "c"]', "bulbs", ("a, b", "c")),
        ("BULBS", "[]", "bulbs", ()),
        ("BULBS", "[::1]:5,[::1]:6", "bulbs", ("[::1]:5", "[::1]:6")),
    ],
)
def test_values_are_taken_as_charts_and_compose_files_write_them(
    name: str, value: str, field: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AXIA_LAMP_MODE", "bright")
    monkeypatch.setenv(f"AXIA_LAMP_{name}", value)
    assert getattr(load_settings(LampSettings), field) == expected


@pytest.mark.parametrize(
    ("name", "value"), [("HOURS", "1.5e+00"), ("PORT", "1e+06"), ("BULBS", '["a", 1]'), ("BULBS", '["a"')]
)
def test_values_that_no_reading_makes_sense_of_are_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal({f"AXIA_LAMP_{name}": value}, monkeypatch, capsys).startswith(f"AXIA_LAMP_{name}")


def test_variables_that_kubernetes_injects_for_a_service_are_ignored_with_one_notice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    links = {
        "PORT": "tcp://10.96.0.12:50050",
        "METRICS_PORT": "tcp://10.96.0.13:9100",
        "SERVICE_HOST": "10.96.0.12",
        "SERVICE_PORT": "50050",
        "SERVICE_PORT_GRPC": "50050",
        "PORT_50050_TCP": "tcp://10.96.0.12:50050",
        "PORT_50050_TCP_PROTO": "tcp",
        "PORT_50050_TCP_PORT": "50050",
        "PORT_50050_TCP_ADDR": "10.96.0.12",
        "BLUE_PORT": "udp://[fd00::1]:53",
    }
    for name, value in links.items():
        monkeypatch.setenv(f"AXIA_LAMP_{name}", value)
    settings = load_settings(LampSettings)
    assert (settings.port, settings.metrics_port) == (0, 0)
    (line,) = told(capsys).splitlines()
    assert all(f"AXIA_LAMP_{name}" in line for name in links)
    assert "ignored" in line
    assert "enableServiceLinks: false" in line


def test_a_value_that_may_hold_keys_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal({"AXIA_LAMP_WIRING": '{"key": "sk-secret"'}, monkeypatch, capsys)
    assert said.startswith("AXIA_LAMP_WIRING: ")
    assert "secret" not in said


def test_a_place_in_a_list_is_told_by_the_lists_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal({"AXIA_LAMP_BULBS": '["a", 1]'}, monkeypatch, capsys).startswith("AXIA_LAMP_BULBS: ")


def test_a_setting_without_effect_is_told_and_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class DimSettings(LampSettings):
        def without_effect(self) -> dict[str, str]:
            return {"hours": "a lamp that is off has none", "shade": "nor this"}

    monkeypatch.setenv("AXIA_LAMP_HOURS", "3")
    load_settings(DimSettings)
    assert told(capsys) == "AXIA_LAMP_HOURS has no effect: a lamp that is off has none\n"


@pytest.mark.parametrize("address", ["axia-inference:50051", "10.0.0.1:1", "[::1]:65535", " a.b.svc.cluster.local:80 "])
def test_addresses_are_host_and_port(address: str) -> None:
    assert checked_address(address) == address.strip()


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("http://axia-inference:50051", "without http://, such as axia-inference:50051"),
        ("dns:///axia-scoring:50053", "without dns://, such as axia-scoring:50053"),
        ("axia-inference", "must be host:port"),
        ("axia-inference:0", "must be host:port"),
        ("axia-inference:70000", "must be host:port"),
        ("::1:50051", "must be host:port, IPv6 as"),
        ("a:1/x", "must be host:port"),
        ("", "must be host:port"),
    ],
)
def test_other_addresses_are_refused_with_advice(address: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        checked_address(address)
