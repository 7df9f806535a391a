"""Certificates for a trial of TLS: an authority of your own, and certificates of it for each server and one client.

FOLDER/ca.pem, ca.key              the authority; who has the key can pass for any server
FOLDER/gateway.pem, gateway.key    the same for http, inference, retrieval, scoring and client

Each certificate has the name axia-<server> and those of this machine's loopback interface, and can be shown by a server
and by a caller. All files are readable by their owner alone.
"""

import ipaddress
import os
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOLDERS = ("gateway", "http", "inference", "retrieval", "scoring", "client")
"""Who gets a certificate."""

AUTHORITY = "ca"
"""Name of the authority's files."""

_LOCAL = ("localhost", "127.0.0.1", "::1")
_CLOCKS = timedelta(minutes=5)
"""By which the clocks of machines may differ."""

Key = ec.EllipticCurvePrivateKey


class CertificatesError(Exception):
    """Files can't be read or written, or exist already."""


class Issued(NamedTuple):
    """A certificate that was made."""

    path: Path
    names: tuple[str, ...]
    until: datetime


class Authority(NamedTuple):
    """A certificate that signs others, and its key."""

    certificate: x509.Certificate
    key: Key


def init_certificates(folder: Path, hosts: Sequence[str], days: int, authority_days: int) -> list[Issued]:
    """Makes an authority and a certificate for each holder.

    Args:
        folder: Where to; made if it is not there.
        hosts: Host names and IP addresses by which the servers are called, beside this machine's own.
        days: How long the certificates hold.
        authority_days: How long the authority does.

    Raises:
        CertificatesError: If there is an authority already, a name can't be one, or files can't be written.
    """
    if (folder / f"{AUTHORITY}.key").exists():
        raise CertificatesError(
            f"{folder} already has a certificate authority: renew its certificates with `axia certs renew`, or give "
            "another folder"
        )
    for host in hosts:
        _name(host)  # before anything is written
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CertificatesError(f"{folder} can't be created ({error.strerror})") from error
    authority = new_authority(timedelta(days=authority_days))
    _write(folder, AUTHORITY, authority.certificate, authority.key)
    return [
        _issue(folder, authority, holder, (f"axia-{holder}", *_LOCAL, *hosts), timedelta(days=days))
        for holder in HOLDERS
    ]


def renew_certificates(folder: Path, days: int, within_days: int | None = None) -> list[Issued]:
    """Makes new certificates and keys for those that are there, with the names that they have.

    Args:
        folder: With the authority.
        days: How long the new ones hold.
        within_days: Renews those alone that end within so many days; None renews all.

    Raises:
        CertificatesError: If files can't be read or written.
    """
    authority = _read_authority(folder)
    now = datetime.now(UTC)
    made: list[Issued] = []
    for holder in HOLDERS:
        path = folder / f"{holder}.pem"
        if not path.exists():
            continue
        before = _read_certificate(path)
        if within_days is not None and before.not_valid_after_utc > now + timedelta(days=within_days):
            continue
        made.append(_issue(folder, authority, holder, names_of(before), timedelta(days=days)))
    return made


def new_authority(lasting: timedelta) -> Authority:
    """Makes an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "axia development authority")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder(name, name, key, lasting)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def new_certificate(authority: Authority, names: Sequence[str], lasting: timedelta) -> tuple[x509.Certificate, Key]:
    """Makes a certificate that servers and callers can show.

    Args:
        authority: Signs it.
        names: Host names and IP addresses; the first is the subject too.
        lasting: How long it holds from now; may be negative, for one that has ended.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    certificate = (
        _builder(subject, authority.certificate.subject, key, lasting)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName([_name(text) for text in dict.fromkeys(names)]), critical=False)
        .add_extension(signed_by, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return certificate, key


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names that a certificate is for."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return tuple(str(name.value) for name in found)


def to_pem(certificate: x509.Certificate) -> bytes:
    """A certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_to_pem(key: Key) -> bytes:
    """A private key in PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, lasting: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    begin = min(now, now + lasting) - _CLOCKS
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(now + lasting)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise CertificatesError(f"{text!r} is not a valid host name: use ASCII, as in axia.example.org") from error


def _issue(folder: Path, authority: Authority, holder: str, names: Sequence[str], lasting: timedelta) -> Issued:
    certificate, key = new_certificate(authority, names, lasting)
    _write(folder, holder, certificate, key)
    return Issued(folder / f"{holder}.pem", names_of(certificate), certificate.not_valid_after_utc)


def _read_authority(folder: Path) -> Authority:
    path = folder / f"{AUTHORITY}.key"
    certificate = _read_certificate(folder / f"{AUTHORITY}.pem")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise CertificatesError(f"{path} can't be read ({error.strerror}); create it with `axia certs init`") from error
    except (ValueError, TypeError) as error:
        raise CertificatesError(f"{path} is not a private key in PEM format without a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificatesError(f"{path} is not a key that `axia certs init` created")
    return Authority(certificate, key)


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CertificatesError(f"{path} can't be read ({error.strerror}); create it with `axia certs init`") from error
    except ValueError as error:
        raise CertificatesError(f"{path} is not a certificate in PEM format") from error


def _write(folder: Path, holder: str, certificate: x509.Certificate, key: Key) -> None:
    """Replaces a certificate and its key, each in one step; servers wait until the two fit together."""
    for suffix, content in (("key", key_to_pem(key)), ("pem", to_pem(certificate))):
        path = folder / f"{holder}.{suffix}"
        try:
            descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")  # readable by its owner alone
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                os.replace(name, path)
            except BaseException:
                os.unlink(name)
                raise
        except OSError as error:
            raise CertificatesError(f"{path} can't be written ({error.strerror})") from error
