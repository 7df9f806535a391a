"""What a call is. To add one, write a class beside these and list it here."""

from loadtests.scenarios.base import Scenario
from loadtests.scenarios.detection import Detect, Stream
from loadtests.scenarios.http import HttpDetect, HttpScoreIsq, HttpSearch, HttpStream
from loadtests.scenarios.services import ScoreIsq, Search
from loadtests.scenarios.watch import Watch

SCENARIOS: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (Detect, Stream, Watch, ScoreIsq, Search, HttpDetect, HttpStream, HttpScoreIsq, HttpSearch)
}
"""Every scenario by its name."""
