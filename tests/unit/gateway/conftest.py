"""Lets the tests of this folder import its fakes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
