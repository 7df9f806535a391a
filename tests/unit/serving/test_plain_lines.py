"""What native code and child processes write becomes JSON lines, and nothing is lost."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging, os, subprocess, sys
from services.serving.logs import configure_logs
from services.serving.plain_lines import plain_lines_as_records

configure_logs("inference", "ERROR" if "quiet" in sys.argv else "INFO")
logging.info("before")
with plain_lines_as_records():
    os.write(2, b"[W1128 native.cpp:68] Warning\\n")
    print("a library prints", flush=True)
    sys.stderr.write("a library writes\\n")
    subprocess.run([sys.executable, "-c", "raise RuntimeError('in a child')"])
    subprocess.run([sys.executable, "-c", "import json; print(json.dumps({'message': 'of a child', 'level': 'INFO'}))"])
    logging.info("within")
    if "dies" in sys.argv:
        os.abort()
logging.info("after")
os.write(2, b'{"message": "as before"}\\n')
"""


def run(*arguments: str) -> tuple[int, list[str]]:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def test_every_line_is_a_record_and_comes_in_order() -> None:
    code, lines = run()
    assert code == 0
    records = [json.loads(line) for line in lines]
    messages = [record["message"] for record in records]
    assert messages[0] == "before"
    for message in ("[W1128 native.cpp:68] Warning", "a library prints", "a library writes", "of a child", "within"):
        assert message in messages
    assert "RuntimeError: in a child" in messages
    assert messages[-2:] == ["after", "as before"]
    assert {record["logger"] for record in records if record["message"].startswith("a library")} == {"stderr"}


def test_why_a_child_died_is_logged_at_every_level() -> None:
    _, lines = run("quiet")
    messages = [json.loads(line)["message"] for line in lines]
    assert "RuntimeError: in a child" in messages
    assert "within" not in messages


def test_the_own_records_of_a_process_that_dies_are_there() -> None:
    code, lines = run("dies")
    assert code < 0
    text = "\n".join(lines)
    assert '"message": "within"' in text
    assert "Fatal Python error: Aborted" in text
