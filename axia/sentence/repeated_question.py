"""Whether a place in a text is within a question that the model repeats before it answers."""

from axia.sentence import openings


class RepeatedQuestion:
    """Follows the labels, tags and role names that say who speaks.

    A question behind "Q:" ends with its line, one behind a role ("USER:", a chat template's tag) with the label of the
    role that answers.
    """

    def __init__(self) -> None:
        self.open = False
        """Whether the place is within a question."""
        self._by_role = False
        self._begin = 0
        """Index behind the label or tag."""

    def see_tag(self, asks: bool | None) -> None:
        """Notes a tag; `asks` is None for one that doesn't tell who speaks."""
        if asks is not None:
            self.open = self._by_role = asks

    def see_label(self, label: str, end: int) -> None:
        """Notes a label, with the index behind its colon."""
        asks = openings.asks(label)
        if asks is not None:
            self.open, self._by_role, self._begin = asks, asks and openings.names_role(label), end

    def see_line(self, line: str) -> bool:
        """Notes a line that may be the name of a role alone; whether it is."""
        asks = openings.role(line)
        self.see_tag(asks)
        return asks is not None

    def see_line_end(self, said: int) -> None:
        """Notes a line break; `said` is the index up to which the text was left out."""
        if said > self._begin:
            self.open = self._by_role
