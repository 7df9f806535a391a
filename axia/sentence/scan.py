"""Scans a text that grows for the end of its first sentence; `sentence` says what that is.

The scanner goes through units: a sentence, a line, or a label before a colon. A unit that is no part of the answer is
left out, and the next begins behind it. Where further text decides, it waits at that place and goes on from there, so
that the total time is linear in the text's length.
"""

from axia.sentence import openings
from axia.sentence.ends import LOOKED_BACK, TERMINATORS, ends_with_list_marker, tail
from axia.sentence.line_starts import START_WINDOW, ends_answer, start_of_line
from axia.sentence.parts import JsonAnswer, Quotation
from axia.sentence.repeated_question import RepeatedQuestion
from axia.sentence.stops import StopScanner, is_emoji

_MARKUP = frozenset("#*_`>-=|~•+:：.…")
_LEAST_WORDS_BEFORE_EMOJI = 3
_JSON_WINDOW = 16
_LONGEST_ROLE = 16
_WRAPPED = 48
"""Characters of the shortest line that may be broken for its length."""


class Scanner:
    """Reads a text in deltas.

    Args:
        answer_only: Whether what comes before the answer is left out.
    """

    def __init__(self, *, answer_only: bool) -> None:
        self._answer_only = answer_only
        self._chars: list[str] = []
        self._complete = False
        self._omitted: tuple[int, int] | None = None
        """The last unit that was left out."""
        self._label_emphasis = ""
        """Emphasis that began in a label and may end behind its colon."""
        self._question = RepeatedQuestion()
        self.end: int | None = None
        """Index behind the sentence; None while it may go on."""
        self._begin_unit(0)

    def _begin_unit(self, begin: int) -> None:
        self._at_start = self._answer_only
        self._heading = self._listed = False
        self._begin_words(begin)

    def _begin_words(self, begin: int) -> None:
        self._begin = self._position = self._line = begin
        self._last = begin - 1
        """The last character that is not white space."""
        self._words, self._in_word, self._line_says = 0, False, False
        self._small: bool | None = None
        self._quotation = Quotation()
        self._json: JsonAnswer | None = None
        self._stop: StopScanner | None = None
        """At a terminator or an emoji."""

    def add(self, delta: str) -> None:
        """Reads the next delta."""
        if self.end is None:
            self._chars.extend(delta)
            self._advance()

    def finish(self) -> None:
        """Decides what is open: nothing will follow."""
        self._complete = True
        if self.end is None:
            self._advance()
        if self.end is not None:
            return
        rest = self._chars[self._begin : self._last + 1]
        if self._quotation.pending is not None:
            self.end = self._quotation.pending
        elif not self._answer_only or any(not (c in _MARKUP or c.isspace()) for c in rest):
            self.end = self._last + 1
        else:
            # Nothing but openings: the last is better than none, and the literal text where they are only markup.
            self._begin, self.end = self._omitted or (0, len(self._chars))

    def found(self) -> tuple[str, str]:
        """The sentence and what was left out before it, once the text is finished."""
        sentence = "".join(self._chars[self._begin : self.end]).strip()
        if not self._answer_only:
            return sentence, ""
        if sentence.endswith("```") and sentence.strip("`"):
            sentence = sentence.rstrip("`").rstrip()
        emphasis = self._label_emphasis
        if emphasis and sentence.endswith(emphasis) and sentence.count(emphasis) % 2:
            sentence = sentence.removesuffix(emphasis).rstrip()
        return sentence, "".join(self._chars[: self._begin]).strip()

    def _advance(self) -> None:
        while self.end is None:
            if self._at_start:
                going = self._skip_start()
            elif self._json is not None:
                going = self._read_json(self._json)
            elif self._stop is not None:
                going = self._decide(self._stop)
            else:
                going = self._read()
            if not going:
                return

    # What stands at the start of a unit.

    def _skip_start(self) -> bool:
        chars = self._chars
        while self._begin < len(chars) and chars[self._begin].isspace():
            if chars[self._begin] == "\n" and self._omitted:
                self._question.see_line_end(self._omitted[1])
            self._begin += 1
        if self._begin == len(chars):
            self._begin_words(self._begin)
            return False
        head = "".join(chars[self._begin : self._begin + START_WINDOW])
        if self._label_emphasis:
            if not self._complete and self._label_emphasis.startswith(head) and head != self._label_emphasis:
                return False
            if head.startswith(self._label_emphasis):
                self._begin += len(self._label_emphasis)
                self._label_emphasis = ""
                return True
        start = start_of_line(head, complete=self._complete or len(head) == START_WINDOW)
        if start is None:
            return False
        if start.length:
            self._begin += start.length
            self._heading = self._heading or start.heading
            self._listed = self._listed or start.listed
            self._question.see_tag(start.asks)
            return True
        if head[0] in "{[":
            inner = head[1:_JSON_WINDOW].lstrip()
            if not inner and not self._complete and len(head) < _JSON_WINDOW:
                return False
            if inner[:1] in ('"', "{"):
                self._begin_words(self._begin)
                self._json, self._at_start = JsonAnswer(), False
                return True
        self._begin_words(self._begin)
        self._at_start = False
        return True

    def _read_json(self, json: JsonAnswer) -> bool:
        """An answer in JSON is one sentence."""
        for position in range(self._position, len(self._chars)):
            char = self._chars[position]
            self._position = position + 1
            self._last = self._last if char.isspace() else position
            if json.ends_with(char):
                self.end = position + 1
                break
        return False

    # Within a unit.

    def _read(self) -> bool:
        """Reads on to a place that needs a decision; False if the text so far does not decide, or the end is found."""
        while self._position < len(self._chars):
            position, char = self._position, self._chars[self._position]
            if self._quotation.is_too_long(position):
                if self._quotation.pending is not None:
                    return self._end_unit(self._quotation.pending)
                self._quotation.end()
            if char.isalnum():
                self._note_word(char)
            elif char == "\n":
                self._in_word = False
                return self._end_line()
            else:
                self._in_word = False
                going = None if char.isspace() else self._read_mark(char)
                if going is not None:
                    return going
            self._position = position + 1
        return False

    def _note_word(self, char: str) -> None:
        self._last = self._position
        if not self._in_word:
            self._words += 1
            self._in_word = self._line_says = True
        if self._small is None and char.isalpha():
            self._small = char.islower()

    def _read_mark(self, char: str) -> bool | None:
        """What a character that is neither letter, digit nor space means; None if it is only to be read on."""
        position = self._position
        self._last = position
        if char in TERMINATORS or (self._words >= _LEAST_WORDS_BEFORE_EMOJI and is_emoji(char)):
            self._stop = StopScanner(self._chars, position, self._begin, says=self._words > 0, small=bool(self._small))
            return True
        if self._quotation.closes(char):
            return self._close_quotation(char)
        if not self._quotation.open:
            before = self._chars[position - 1] if position > self._begin else " "
            if self._quotation.opens(char, before):
                self._quotation.start(char, position)
        if self._answer_only and char in ":：" and self._is_label(position):
            label = "".join(self._chars[self._begin : position])
            self._label_emphasis = openings.emphasis_left_open(label)
            self._question.see_label(label, position + 1)
            self._omitted = (self._begin, position + 1)
            self._begin_unit(position + 1)
            return True
        if self._answer_only and char == "<":
            ends = self._ends_answer(position)
            if ends is None:
                return False
            if ends:
                return self._end_answer(position)
        return None

    def _close_quotation(self, char: str) -> bool | None:
        if self._quotation.may_be_apostrophe(char):
            following = "".join(self._chars[self._position + 1 : self._position + 2])
            if not following and not self._complete:
                return False
            if following.isalnum():
                return None
        self._quotation.end()
        return None

    def _is_label(self, position: int) -> bool:
        if position - self._begin > openings.LONGEST_LABEL:
            return False
        before = "".join(self._chars[self._begin : position])
        return openings.asks(before) is not None or openings.is_label(before) or openings.is_opening(before)

    def _ends_answer(self, position: int) -> bool | None:
        head = "".join(self._chars[position : position + START_WINDOW])
        return ends_answer(head, complete=self._complete or len(head) == START_WINDOW)

    def _end_answer(self, position: int) -> bool:
        """A tag ends the answer; where there is none yet, it continues after the tag."""
        if self._words:
            pending = self._quotation.pending
            return self._end_unit(pending) if pending is not None else self._end_unit(position, by_line=True)
        self._begin_unit(position + 1)
        while self._begin < len(self._chars) and self._chars[self._begin - 1] != ">":
            self._begin += 1
        return True

    def _end_line(self) -> bool:
        """At a line break: whether to go on."""
        position, pending = self._position, self._quotation.pending
        if self._line_says and not self._counts(position):
            wraps = self._wraps(position)
            if wraps is None:
                return False
            if wraps:
                self._position = self._line = position + 1
                self._line_says = False
                return True
            return self._end_unit(pending) if pending is not None else self._end_unit(self._last + 1, by_line=True)
        if self._answer_only and not self._words:
            self._begin_unit(position + 1)  # a rule or another line without words
            return True
        self._position = self._line = position + 1
        self._line_says = False
        return True

    def _wraps(self, position: int) -> bool | None:
        """Whether a line is broken for its length and the sentence goes on in the next; None if more text decides."""
        if not self._answer_only or self._heading or position - self._line < _WRAPPED:
            return False
        if self._chars[self._last] in ":：" or openings.is_prompt("".join(self._chars[self._line : position])):
            return False
        following = self._chars[position + 1 : position + 2]
        return (False if self._complete else None) if not following else following[0].islower()

    def _counts(self, position: int) -> bool:
        """Whether the line up to a position ends with a list marker, which the next line belongs to."""
        begin = max(self._line, min(position, self._last + 1) - LOOKED_BACK)
        line = "".join(self._chars[begin : min(position, self._last + 1)])
        return ends_with_list_marker(tail(line, cut=begin > self._line))

    def _end_unit(self, end: int, *, by_line: bool = False) -> bool:
        """Leaves the unit out or takes it as the sentence; whether to go on."""
        line = "".join(self._chars[self._begin : min(end, self._begin + _LONGEST_ROLE)])
        if by_line and self._answer_only and self._question.see_line(line):
            self._omitted = (self._begin, end)
            self._begin_unit(end)
            return True
        if self._answer_only and (self._quotation.pending is None or self._question.open):
            text = "".join(self._chars[self._begin : min(end, self._begin + openings.LONGEST + 1)])
            if self._heading and not by_line and openings.is_heading_sentence(text):
                return True  # the rest of the heading belongs to it
            if self._is_left_out(text, by_line=by_line):
                self._omitted = (self._begin, end)
                self._begin_unit(end)
                return True
        self.end = end
        return False

    def _is_left_out(self, text: str, *, by_line: bool) -> bool:
        if self._question.open:
            return True
        if len(text) > openings.LONGEST:
            return False
        if by_line and self._heading:
            return True
        if by_line and openings.ends_with_colon(text):
            return openings.is_title(text) or (not self._listed and openings.announces(text))
        return (by_line and not self._listed and openings.is_title(text)) or openings.is_opening(text)

    # At a terminator.

    def _decide(self, scanner: StopScanner) -> bool:
        """Whether the unit ends at the terminators or emoji here; False if that is not known yet, or the end is."""
        start = self._position
        stop = scanner.find(complete=self._complete)
        if stop is None:
            return False
        self._stop = None
        self._position, self._last = stop.end, stop.end - 1
        return self._settle(start, stop.end, ends=stop.ends_sentence)

    def _settle(self, start: int, stop: int, *, ends: bool) -> bool:
        """Takes a decision with regard to an open quotation, within which no sentence ends; whether to go on."""
        quotation = self._quotation
        if quotation.closes(self._chars[start + 1 : stop]):
            if quotation.pending is not None and ends and quotation.begin == self._begin:
                return self._end_unit(quotation.pending)  # the answer as a whole is in quotes
            quotation.end()
        if ends and quotation.open:
            quotation.pending = stop if quotation.pending is None else quotation.pending
            return True
        return self._end_unit(stop) if ends else True
