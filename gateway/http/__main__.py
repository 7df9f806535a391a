"""Runs the HTTP API: python -m gateway.http.

BentoML's server ends as soon as it is told to. This process tells it, and before that, while load balancers hear that
the server is not ready, lets it take requests for as long as AXIA_HTTP_LAME_DUCK_SECONDS says.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.http.readiness import DRAIN_MARK
from gateway.http.settings import load_http_settings
from services.serving.errors import FailedPrecondition
from services.serving.logs import configure_logs
from services.serving.plain_lines import plain_lines_as_records
from services.serving.process_flags import end_with_parent, forbid_core_dumps
from services.serving.tls import channel_tls, server_tls, warn_of_plaintext
from services.serving.tracing_environment import check_tracing

logger = logging.getLogger(__name__)

SERVICE = "gateway.http.service:HttpService"
_POLL_S = 0.05


def main() -> int:
    """Runs BentoML's server, as `bentoml serve` would, until it ends; returns its exit code."""
    settings = load_http_settings()
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # the suite sends nothing home
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: told.append(received))
    configure_logs("http", settings.log_level, content=settings.log_content)
    if not settings.core_dumps:
        forbid_core_dumps()
    try:
        server_tls(settings)
        channel_tls(settings)
        check_tracing()
        warn_of_plaintext(settings)
    except FailedPrecondition as error:
        logger.error("%s", error.message)  # noqa: TRY400 - the advice is the message, a traceback adds nothing
        return 1
    with TemporaryDirectory(prefix="axia-http-") as folder, plain_lines_as_records():
        mark = Path(folder) / "draining"
        command = [sys.executable, "-m", "gateway.http.serve", "serve", SERVICE]
        # BentoML wants a folder of its own, by default in the user's home, which may be read-only.
        environment = {"BENTOML_HOME": str(Path(folder) / "bentoml")} | os.environ | {DRAIN_MARK: str(mark)}
        server = subprocess.Popen(command, env=environment, preexec_fn=_end_with_this_process)  # noqa: PLW1509, S603
        threading.Thread(target=_end, args=(server, told, mark, settings.lame_duck_seconds), daemon=True).start()
        code = server.wait()
        # Told before it could handle the signal, it ends by it.
        return 0 if told and code == -signal.SIGTERM else code


def _end_with_this_process() -> None:
    """Has Linux end the server if this process is killed, or it would keep the port."""
    end_with_parent(signal.SIGTERM)


def _end(server: "subprocess.Popen[bytes]", told: list[int], mark: Path, lame_duck_s: float) -> None:
    """Ends the server once this process is told to."""
    while not told:  # a list, since a lock would not be safe in a signal's handler
        time.sleep(_POLL_S)
    with suppress(OSError):  # whoever tidies up temporary folders may have taken it
        mark.touch()
    time.sleep(lame_duck_s)
    server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
