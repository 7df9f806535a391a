"""`axia keys` and `axia certs`: files that servers read."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.identity.certs import HOLDERS, names_of
from axia.identity.keys import Quota, read_keys
from services.serving.errors import Unauthenticated
from services.serving.identity.keys import KeyRing


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_key_is_added_listed_used_and_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.json"
    monkeypatch.setenv("AXIA_GATEWAY_KEYS", str(file))
    added = run("keys", "add", "robot", "--role", "detect", "--role", "search", "--model", "llava", "--days", 30)
    assert added.exit_code == 0
    key = added.stdout.strip()
    caller = KeyRing(file, "AXIA_GATEWAY_KEYS").authenticate(key)
    assert (caller.name, caller.roles, caller.models) == ("robot", {"detect", "search"}, {"llava"})
    assert key.partition(".")[2] not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600

    [listed] = [json.loads(line) for line in run("keys", "list", "--json").stdout.splitlines()]
    assert (listed["name"], listed["state"]) == ("robot", "valid")
    assert "sha256" not in listed
    assert "robot" in run("keys", "list").stdout

    assert run("keys", "revoke", listed["id"]).exit_code == 0
    with pytest.raises(Unauthenticated) as refused:
        KeyRing(file, "AXIA_GATEWAY_KEYS").authenticate(key)
    assert refused.value.reason == "KEY_REVOKED"
    assert json.loads(run("keys", "list", "--json").stdout)["state"] == "revoked"


def test_a_key_may_have_bounds_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    bounds = ("--requests-per-minute", 60, "--image-mib-per-minute", 100, "--calls-in-flight", 2, "--open-watches", 1)
    assert run("keys", "add", "lab", "--role", "detect", *bounds, "--priority", "low", "--file", file).exit_code == 0
    run("keys", "add", "robot", "--role", "detect", "--file", file)
    lab, robot = read_keys(file).keys
    assert lab.quota == Quota(
        requests_per_minute=60, image_mib_per_minute=100, calls_in_flight=2, open_watches=1, priority="low"
    )
    assert robot.quota is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "robot", "--role", "boss"), "is not a role"),
        (("add", "", "--role", "detect"), "1 to 100 characters"),
        (("add", "robot", "--role", "detect", "--days", "1e12"), "too far in the future"),
        (("add", "robot", "--role", "detect", "--days", "nan"), "is not a number of days"),
        (("add", "robot", "--role", "detect", "--priority", "top"), "is not a priority: use one of"),
        (("add", "robot"), "--role"),
    ],
)
def test_wrong_usage_of_keys_ends_with_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run("keys", *arguments, "--file", tmp_path / "keys.json")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "keys.json").exists()


def test_keys_that_are_not_there_end_with_1(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    assert "axia keys add" in run("keys", "list", "--file", file).stderr
    run("keys", "add", "robot", "--role", "detect", "--file", file)
    missing = run("keys", "revoke", "0" * 16, "--file", file)
    assert (missing.exit_code, "axia keys list" in missing.stderr) == (1, True)
    file.write_text("{")
    broken = run("keys", "add", "robot", "--role", "detect", "--file", file)
    assert (broken.exit_code, "not a valid keys file" in broken.stderr) == (1, True)
    assert run("keys", "add", "a", "--role", "detect", "--file", tmp_path / "no" / "keys.json").exit_code == 1
    file.write_text('{"keys": []}')
    assert read_keys(file).keys == ()


def test_certificates_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    assert run("certs", "init", folder, "--host", "robot.local", "--host", "192.0.2.7", "--days", 30).exit_code == 0
    authority = read(folder / "ca.pem")
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 2 * (1 + len(HOLDERS))
    for holder in HOLDERS:
        certificate = read(folder / f"{holder}.pem")
        certificate.verify_directly_issued_by(authority)
        names = {f"axia-{holder}", "localhost", "127.0.0.1", "::1", "robot.local", "192.0.2.7"}
        assert set(names_of(certificate)) == names
        assert 29 <= (certificate.not_valid_after_utc - datetime.now(UTC)).days <= 30
    again = run("certs", "init", folder)
    assert (again.exit_code, "axia certs renew" in again.stderr) == (1, True)
    assert read(folder / "ca.pem") == authority


def test_renewed_certificates_keep_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    run("certs", "init", folder, "--host", "robot.local", "--days", 5)
    before = {holder: read(folder / f"{holder}.pem") for holder in HOLDERS}
    assert "No certificate expires within this number of days" in run("certs", "renew", folder, "--within", 2).stdout
    assert read(folder / "gateway.pem") == before["gateway"]
    assert run("certs", "renew", folder, "--within", 7).exit_code == 0
    for holder, old in before.items():
        new = read(folder / f"{holder}.pem")
        assert new.serial_number != old.serial_number
        assert new.public_key() != old.public_key()
        assert names_of(new) == names_of(old)
        new.verify_directly_issued_by(read(folder / "ca.pem"))
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_certificates_that_can_not_be_made_end_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "axia certs init" in run("certs", "renew", tmp_path).stderr
    (tmp_path / "file").touch()
    assert run("certs", "init", tmp_path / "file").exit_code == 1
    assert "is not a valid host name" in run("certs", "init", tmp_path / "a", "--host", "café").stderr
    assert not (tmp_path / "a").exists()
    run("certs", "init", tmp_path / "b")
    (tmp_path / "b" / "ca.key").write_text("no key")
    assert run("certs", "renew", tmp_path / "b").exit_code == 1
    monkeypatch.delitem(sys.modules, "axia.identity.certs")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    lacking = run("certs", "init", tmp_path / "c")
    assert (lacking.exit_code, "pip install cryptography" in lacking.stderr) == (1, True)
