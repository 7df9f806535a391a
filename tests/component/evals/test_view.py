"""Logs open in inspect_ai's own viewer, as the static site that `inspect view bundle` makes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from axia.evals.tasks.values_detector import values_detector
from tests.component.evals.mock_models import RIGHT, right_for, run, study
from tests.support.browser import browser_page, needs_chromium

OPTIONAL = ("/logs/eval-set.json", "/logs/flow.yaml")
"""Files of inspect_ai's eval sets and flows that the viewer asks for and does without."""


@contextmanager
def site(folder: Path) -> Iterator[str]:
    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(folder))

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@needs_chromium
async def test_the_viewer_shows_scores_and_answers_without_errors(tmp_path: Path) -> None:
    path = study(tmp_path, {f"{number}.png": {} for number in range(3)})
    threaded = threading.Thread(
        target=run, args=(values_detector(str(path), epochs=1), right_for(tmp_path, "0.png"), tmp_path / "logs")
    )
    threaded.start()  # a loop of its own: this test's is running
    threaded.join(120)
    made = [sys.executable, "-m", "inspect_ai", "view", "bundle", "--log-dir", str(tmp_path / "logs"), "--output-dir",
            str(tmp_path / "site")]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True, timeout=120)  # noqa: ASYNC221 - nothing else runs
    with site(tmp_path / "site") as address:
        async with browser_page(tmp_path / "profile") as page:
            await page.open(f"{address}/index.html")
            # Cells of a row of the viewer's table; a sample opens with its transcript.
            await page.until(f"document.body.innerText.includes({RIGHT!r})")
            assert await page.run("document.body.innerText.includes('values_detector')")
            assert await page.run("document.body.innerText.includes('0.333')")
            unexpected = [entry for entry in page.logged if not any(name in entry for name in OPTIONAL)]
            assert unexpected == []
            assert [url for url in page.requested if not url.startswith((address, "data:", "blob:"))] == []
