"""Ends a text that is still being generated before the first of some texts that stop it."""

from collections.abc import Sequence


class StopTexts:
    """Passes a text on in deltas until one of some texts is in it. How it is cut into deltas makes no difference.

    What may be the beginning of a stop text is held back until it is known.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.reached = False
        """Whether a stop text was in the text; nothing is passed on from then."""

    def add(self, delta: str) -> str:
        """What can be passed on once this delta is known."""
        if not self._stops:
            return delta
        if self.reached:
            return ""
        text = self._held + delta
        found = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=-1)
        if found >= 0:
            self.reached, self._held = True, ""
            return text[:found]
        held = max(map(len, self._stops)) - 1
        start = next(
            (
                at
                for at in range(max(0, len(text) - held), len(text))
                if any(s.startswith(text[at:]) for s in self._stops)
            ),
            len(text),
        )
        self._held = text[start:]
        return text[:start]

    def rest(self) -> str:
        """What was held back, once nothing follows."""
        held, self._held = self._held, ""
        return held
