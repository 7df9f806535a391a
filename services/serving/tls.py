"""TLS of servers and of the channels between them, from PEM files that are read again when they change.

New connections use what was read last; those that stand go on. While a renewal is under way, certificate and key may
not fit together for a moment: then what was there before is used.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from cryptography import x509

from services.serving.errors import FailedPrecondition
from services.serving.settings import CallerSettings, ServerSettings

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How often files are looked at."""
_SOON = timedelta(days=7)
"""Time before a certificate's end from which the log warns."""
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})

_Stamp = tuple[tuple[int, int, int], ...]


class Pems(NamedTuple):
    """What the files hold."""

    certificate: bytes | None
    key: bytes | None
    authorities: bytes | None


class PemFiles:
    """Reads the files again when they change. Any thread may ask.

    Args:
        certificate: Path of a certificate and its chain; None for none.
        key: Path of its key.
        authorities: Path of authorities; None for none.
        setting: Beginning of the variables that name them, for messages.

    Raises:
        FailedPrecondition: If they can't be used.
    """

    def __init__(self, certificate: Path | None, key: Path | None, authorities: Path | None, setting: str) -> None:
        self._paths = (certificate, key, authorities)
        self._setting = setting
        self._lock = threading.Lock()
        self._generation = 0
        try:
            self._stamp, self._pems = self._stamps(), self._read()
        except (OSError, ValueError) as error:
            raise FailedPrecondition(
                f"{setting}*: {_told(error)}; `axia certs init` creates test certificates", reason="TLS_UNREADABLE"
            ) from error
        self._looked_at = time.monotonic()

    def current(self) -> tuple[int, Pems]:
        """What was read last, and how often something else had been read before."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _LOOK_S:
                self._look()
                self._looked_at = time.monotonic()
            return self._generation, self._pems

    def _look(self) -> None:
        try:
            stamp = self._stamps()
            if stamp == self._stamp:
                return
            pems = self._read()
        except (OSError, ValueError) as error:
            # Looked at again: a renewal may be under way.
            logger.warning("%s*: %s; what was read before stays in use", self._setting, _told(error))
            return
        self._stamp, self._pems = stamp, pems
        self._generation += 1
        logger.info("%s*: the files of TLS were read again", self._setting)

    def _stamps(self) -> _Stamp:
        found = (path.stat() for path in self._paths if path is not None)
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in found)

    def _read(self) -> Pems:
        certificate, key, authorities = self._paths
        pems = Pems(*(None if path is None else path.read_bytes() for path in self._paths))
        if pems.certificate is not None:
            try:
                _context(pems, mutual=False)
            except ssl.SSLError as error:
                raise ValueError(f"{certificate} and {key} are not a certificate and its key in PEM format") from error
            _tell_end(certificate, x509.load_pem_x509_certificates(pems.certificate)[0])
        if pems.authorities is not None:
            try:
                x509.load_pem_x509_certificates(pems.authorities)
            except ValueError as error:
                raise ValueError(f"{authorities} has no certificates in PEM format") from error
        return pems


class ServerTls:
    """How a server encrypts. Made by `server_tls`.

    Args:
        files: Its certificate, and the authorities of its callers.
        mutual: Whether callers must show a certificate.
    """

    def __init__(self, files: PemFiles, *, mutual: bool) -> None:
        self._files = files
        self._mutual = mutual

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Credentials of a gRPC server, whose core asks for what is new in the files before each handshake."""
        given, pems = self._files.current()
        last = [given]

        def renewed() -> Any:
            generation, pems = self._files.current()
            if generation == last[0]:
                return None
            last[0] = generation
            return _configuration(pems)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(pems), renewed, require_client_authentication=self._mutual
        )

    def http_context(self, *, ask_callers: bool = True) -> ssl.SSLContext:
        """A context for an HTTP server. Each handshake uses what is in the files then.

        Args:
            ask_callers: Whether callers show certificates, where the settings ask for them.
        """
        mutual = self._mutual and ask_callers
        generation, pems = self._files.current()
        made = [(generation, _context(pems, mutual=mutual))]

        def renew(handshake: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
            generation, pems = self._files.current()
            if generation != made[0][0]:
                made[0] = (generation, _context(pems, mutual=mutual))
            handshake.context = made[0][1]

        first = _context(pems, mutual=mutual)
        first.sni_callback = renew  # also called where the client names no server
        return first


class ChannelTls:
    """How channels to other servers are encrypted. Made by `channel_tls`.

    Args:
        files: The authorities of those servers, and the certificate to show to them.
    """

    def __init__(self, files: PemFiles) -> None:
        self._files = files

    @property
    def generation(self) -> int:
        """Another number whenever the files are others; channels that were made before are to be replaced."""
        return self._files.current()[0]

    def credentials(self) -> grpc.ChannelCredentials:
        """Credentials by what is in the files now."""
        _, pems = self._files.current()
        return grpc.ssl_channel_credentials(pems.authorities, pems.key, pems.certificate)


def server_tls(settings: ServerSettings) -> ServerTls | None:
    """How a server encrypts; None if it doesn't.

    Raises:
        FailedPrecondition: If a setting lacks another, a file can't be used, or the server would listen beyond the
            loopback interface without TLS and isn't told to.
    """
    prefix = settings.model_config.get("env_prefix", "")
    _require_both(prefix, "TLS_CERTIFICATE", settings.tls_certificate, "TLS_KEY", settings.tls_key)
    if settings.tls_certificate is None:
        if settings.tls_client_ca is not None:
            raise _incomplete(f"{prefix}TLS_CERTIFICATE", f"{prefix}TLS_CLIENT_CA")
        _check_reach(settings, prefix)
        return None
    files = PemFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca, f"{prefix}TLS_")
    return ServerTls(files, mutual=settings.tls_client_ca is not None)


def channel_tls(settings: CallerSettings) -> ChannelTls | None:
    """How a server's channels to others are encrypted; None if they aren't.

    Raises:
        FailedPrecondition: If a setting lacks another or a file can't be used.
    """
    prefix = settings.model_config.get("env_prefix", "")
    certificate, key = settings.upstream_certificate, settings.upstream_key
    _require_both(prefix, "UPSTREAM_CERTIFICATE", certificate, "UPSTREAM_KEY", key)
    if settings.upstream_ca is None:
        if certificate is not None:
            raise _incomplete(f"{prefix}UPSTREAM_CA", f"{prefix}UPSTREAM_CERTIFICATE")
        return None
    if certificate is None:
        certificate, key = settings.tls_certificate, settings.tls_key
    return ChannelTls(PemFiles(certificate, key, settings.upstream_ca, f"{prefix}UPSTREAM_"))


def warn_of_plaintext(settings: ServerSettings) -> None:
    """Logs that others can read along where a server listens beyond the loopback interface without TLS."""
    if settings.tls_certificate is None and not _is_local(settings.host):
        logger.warning(
            "listening on %s without TLS: anybody on that network can read images, answers and keys", settings.host
        )


def _is_local(host: str) -> bool:
    host = host.strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


def _check_reach(settings: ServerSettings, prefix: str) -> None:
    """Refuses to listen in plaintext where other machines reach it, unless that is meant."""
    if not _is_local(settings.host) and not settings.allow_plaintext:
        raise FailedPrecondition(
            f"{prefix}HOST is {settings.host}, which other machines can reach, but TLS is off: set "
            f"{prefix}TLS_CERTIFICATE and {prefix}TLS_KEY, or {prefix}ALLOW_PLAINTEXT=1 where the network is trusted",
            reason="PLAINTEXT_REFUSED",
        )


def _context(pems: Pems, *, mutual: bool) -> ssl.SSLContext:
    """A server's context. Raises ssl.SSLError if certificate and key don't fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The standard library reads chains from files alone, and those on disk may have been replaced by now.
    descriptor = os.memfd_create("axia-tls")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write((pems.key or b"") + b"\n" + (pems.certificate or b""))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    finally:
        os.close(descriptor)
    if mutual and pems.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=pems.authorities.decode("ascii"))
    return context


def _configuration(pems: Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.key or b"", pems.certificate or b"")], pems.authorities)


def _tell_end(path: Path | None, certificate: x509.Certificate) -> None:
    """Warns of a certificate that ends soon."""
    end = certificate.not_valid_after_utc
    if end <= datetime.now(UTC) + _SOON:
        logger.warning("the certificate in %s is valid until %s; renew it", path, end.isoformat())


def _told(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} can't be read ({error.strerror})"
    return str(error)


def _require_both(prefix: str, one: str, value: Path | None, other: str, other_value: Path | None) -> None:
    if (value is None) != (other_value is None):
        missing, given = (one, other) if value is None else (other, one)
        raise _incomplete(f"{prefix}{missing}", f"{prefix}{given}")


def _incomplete(missing: str, given: str) -> FailedPrecondition:
    return FailedPrecondition(f"{given} is set, but {missing} is not: set both, or neither", reason="TLS_INCOMPLETE")
