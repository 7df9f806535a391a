"""Puts the events of an assessment together, for the sync and the async client alike."""

from axia.errors import ServerError
from axia.results import Preference, PreferenceEvent, PreferenceJudgement, PreferencePlan, PreferenceSummary


class Gathered:
    """Puts the events of an assessment together."""

    def __init__(self, resume: Preference | None) -> None:
        self._plan: PreferencePlan | None = None
        self._judgements = list(resume.judgements) if resume else []
        self._summary: PreferenceSummary | None = None

    def add(self, event: PreferenceEvent) -> None:
        """One more event."""
        match event:
            case PreferencePlan():
                self._plan = event
            case PreferenceJudgement():
                self._judgements.append(event)
            case PreferenceSummary():
                self._summary = event

    def preference(self) -> Preference:
        """The assessment, as far as it came."""
        if self._plan is None:
            raise ServerError("the server sent no plan before its answers: update it to this client's version")
        return Preference(plan=self._plan, judgements=tuple(self._judgements), summary=self._summary)
