"""Calls in a network that loses one packet in a hundred: a network namespace of its own, where nftables drops them."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.support.harm.suite import size
from tests.support.processes import ROOT

SECONDS = size(10, 300, "LOSS_SECONDS")
RULES = """
table inet faults {
  chain input {
    type filter hook input priority 0;
    iifname "lo" meta l4proto tcp numgen random mod 100 < 1 counter drop
  }
}
"""
IN_NAMESPACE = 'ip link set lo up && nft -f - && "$@" < /dev/null && nft list ruleset >&2'


def in_a_lossy_network(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a network of its own that loses packets; its errors end with nftables' counts."""
    lossy = ["unshare", "--net", "sh", "-c", IN_NAMESPACE, "sh", *command]
    return subprocess.run(lossy, cwd=ROOT, input=RULES, capture_output=True, text=True, check=False)


def test_calls_in_a_network_that_loses_packets() -> None:
    if not all(map(shutil.which, ("unshare", "ip", "nft"))) or in_a_lossy_network("true").returncode:
        pytest.skip("needs root, iproute2 and nftables, and a kernel whose namespaces have them")
    ended = in_a_lossy_network(sys.executable, "-m", "tests.chaos.loss", str(SECONDS))
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    dropped = next(line.strip() for line in ended.stderr.splitlines() if "counter packets" in line)
    print(f"\n1% of packets lost for {SECONDS} s: {told}; {dropped}")
    assert "packets 0 " not in dropped
    assert told["late"] == []
    assert told["lost"] == 0
    assert sum(told["failed"].values()) <= 0.01 * told["calls"], told
