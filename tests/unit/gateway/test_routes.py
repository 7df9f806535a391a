from collections.abc import Sequence
from pathlib import Path

import pytest

from axia.prompts import load_prompts
from gateway.backends.routes import Route, load_routes
from gateway.settings import GatewaySettings
from services.serving.errors import FailedPrecondition


def routes(folder: Path, text: str) -> Sequence[Route]:
    path = folder / "models.toml"
    path.write_text(text)
    return load_routes(GatewaySettings(models=path), load_prompts())


def model(name: str = "a", addresses: str = '"10.0.0.1:1"', more: str = "") -> str:
    return f'[[model]]\nname = "{name}"\naddresses = [{addresses}]\n{more}\n'


def test_without_a_file_each_address_is_a_model() -> None:
    found = load_routes(GatewaySettings(inference="a:1, b:2"), load_prompts())
    assert [(route.name, route.addresses) for route in found] == [("", ("a:1",)), ("", ("b:2",))]


def test_the_default_comes_first_and_has_its_replicas(tmp_path: Path) -> None:
    found = routes(tmp_path, model() + model("b", '"10.0.0.1:1", "10.0.0.2:2"', "default = true"))
    assert [route.name for route in found] == ["b", "a"]
    assert found[0].addresses == ("10.0.0.1:1", "10.0.0.2:2")


def test_replicas_may_have_names_and_addresses_of_both_kinds(tmp_path: Path) -> None:
    addresses = ("[::1]:1", "10.0.0.1:1", "axia-inference:50051")
    assert (
        routes(tmp_path, model(addresses=", ".join(f'"{address}"' for address in addresses)))[0].addresses == addresses
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "model: Field required"),
        ("x = [", "is not TOML"),
        (model(addresses=""), "model.0.addresses: "),
        (model(addresses='"nowhere"'), "model.0.addresses.0: must be host:port"),
        (model(addresses='"http://a:1"'), "model.0.addresses.0: must be host:port without http://"),
        (model(addresses='"10.0.0.1:1", "10.0.0.1:1"'), "model.0: addresses: must not have the same address twice"),
        (model(""), "model.0.name: is missing"),
        (model() + model(), "model.1.name: 'a' is used twice"),
        (model(more="default = true") + model("b", more="default = true"), "model: only one can be the default"),
        (model(more="colour = 1"), "model.0.colour: "),
        (model(more="[model.defaults]\ntemperature = 3"), "model.0.defaults.temperature: "),
        (model(more="[model.defaults]\ntop_p = 0"), "model.0.defaults.top_p: "),
        (model(more="[model.defaults]\nprompt_id = 'detect/system'"), "model.0.defaults.prompt_id: "),
        (model(more="[model.defaults]\nn = 5\ncalibrated_coverage = 0.8"), "abstain_threshold: must be set together"),
        (model(more="[model.defaults]\ncalibrated_images = 80"), "axia calibrate --routes writes all of them"),
        (model(more="[model.defaults]\nn = 5\n[model.limits]\nmax_n = 2"), "defaults.n: is 5, but the limit is 2"),
    ],
)
def test_a_bad_file_is_refused_with_file_key_and_rule(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        routes(tmp_path, text)
    assert f"{tmp_path / 'models.toml'}: " in caught.value.message
    assert message in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"none\.toml: can't be read"):
        load_routes(GatewaySettings(models=tmp_path / "none.toml"), load_prompts())
