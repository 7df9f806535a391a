"""Words of a sentence as the lexical judge compares them: lemmas, synonyms, negation, opposites.

Rules for English, small on purpose: endings are cut to a common form (reaching, reaches → reach), irregular forms are
looked up, a negating word holds until the end of its clause. Words of other scripts pass through unchanged, so they
match themselves alone.
"""

import functools
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from services.scoring.reading.readable import INVISIBLE

_SYNONYMS = Path(__file__).parents[1] / "data" / "synonyms.txt"
MAX_WORDS = 2000
"""Words of a text that count, so that cost is bounded."""

# Vowel signs and accents of many scripts are marks, which Python doesn't count as parts of a word.
_MARKS = "".join(chr(code) for code in range(0x300, 0x11000) if unicodedata.category(chr(code)).startswith("M"))
_LETTERS = rf"[^\W_](?:[^\W_]|[{_MARKS}])*"
_WORD = re.compile(rf"{_LETTERS}(?:['’]{_LETTERS})?|[.,;:!?()]")
_BOUNDARIES = frozenset(
    re.split(" ", ". , ; : ! ? ( ) but because although though while whereas so since as and which who")
)
"""Where the scope of a negation ends."""
_NEGATORS = frozenset(
    re.split(" ", "no not never nobody none nothing neither nor without cannot hardly barely unable lack lacks missing")
)
_NEGATING_PHRASES = frozenset(
    [("away", "from"), ("far", "from"), ("free", "of"), ("instead", "of")]
    + [(form, "to") for form in ("forgot", "forgets", "forgotten", "failed", "fails", "refuses", "refused")]
)
_STOP = frozenset(
    re.split(
        r"\s+",
        """a an the this that these those it its he his him she her they their them we our you your i my me is
        are was were be been being am has have had having do does did doing will would can could may
        might must shall should of in at to for with from by into onto over below behind there here
        and or but if then than so as very too also still just about out one some any all who which
        whose what seem seems appear appears likely probably possibly perhaps maybe image picture
        photo element need needs needed attention require requires show shows leave left own above
        front other another""",
    )
)
_IRREGULAR = dict(
    pair.split(":", 1)
    for pair in re.split(
        r"\s+",
        """children:child men:man women:woman people:person knives:knife shelves:shelf feet:foot teeth:tooth
    mice:mouse lying:lie lay:lie lies:lie lain:lie fell:fall fallen:fall broke:break broken:break ate:eat eaten:eat
    took:take taken:take ran:run wrote:write written:write drew:draw drawn:draw drank:drink drunk:drink threw:throw
    thrown:throw stole:steal stolen:steal burnt:burn spilt:spill caught:catch stuck:stick left:leave lost:lose hit:hit
    hung:hang stood:stand sat:sit held:hold forgot:forget forgotten:forget bitten:bite bit:bite hurt:hurt shut:close
    closed:close died:die dead:die dying:die tied:tie cried:cry cries:cry crying:cry bled:bleed froze:freeze
    frozen:freeze shook:shake slept:sleep swam:swim woke:wake wore:wear worn:wear found:find won:win""",
    )
)
_OPPOSITES = tuple(
    (pair.split(":")[0], pair.split(":")[1])
    for pair in re.split(
        r"\s+",
        """on:off on:under inside:outside up:down open:close hot:cold warm:cold wet:dry full:empty safe:danger
    alone:together alone:accompany lie:stand sit:stand dirty:clean tidy:messy happy:sad laugh:cry smile:cry smile:scream
    awake:sleep awake:asleep alive:dead sick:healthy ill:healthy fresh:rotten fresh:stale fresh:spoiled broken:intact
    broken:repair leak:repair damage:repair bright:dark sharp:blurry sharp:blurred overexposed:underexposed find:lose
    win:lose start:stop arrive:leave help:harm help:hurt help:hit fight:hug hug:hit love:hate calm:panic quiet:loud
    heavy:light thick:thin high:low strong:weak rich:poor young:old early:late true:false right:wrong fine:wrong
    float:sink push:pull remember:forget take:forget obey:disobey like:dislike appear:disappear""",
    )
)
_UNDONE = frozenset(
    re.split(
        r"\s+",
        """lock plug cover fasten tie touch attend watch supervise protect guard load wrap buckle button conscious happy
    safe clean clear stable healthy tidy well""",
    )
)
"""What "un-" denies: unlocked is not locked. A list, for uncle and under begin the same way."""
_IMPLICIT = frozenset(
    re.split(" ", "empty stuck gone alone forget fail refuse lose prevent stop block avoid dead dry bare wrong")
)
"""Lemmas that deny something without a negating word; what they are said of may be denied in another wording."""
_MIN_STEM = 3


@dataclass(frozen=True)
class Word:
    """A word that carries meaning."""

    text: str
    """As written, in lower case."""
    keys: frozenset[str]
    """Its lemma and the names of the synonym sets that it is in; two words match if they share a key."""
    negated: bool


@dataclass(frozen=True)
class Said:
    """The words of a text, and what comparing two texts asks of them."""

    words: tuple[Word, ...]
    """In order."""
    keys: frozenset[str]
    """Of all words."""
    affirmed: frozenset[str]
    """Of the words that aren't negated."""
    negated: frozenset[str]
    """Of the words that are."""

    @classmethod
    def of(cls, text: str) -> "Said":
        """Reads a text."""
        found = words(text)
        affirmed = frozenset(key for word in found if not word.negated for key in word.keys)
        negated = frozenset(key for word in found if word.negated for key in word.keys)
        return cls(found, affirmed | negated, affirmed, negated)

    def shared(self, keys: frozenset[str]) -> int:
        """How many of its words have one of these keys."""
        alone, sets = self._counts
        return sum(map(alone.__getitem__, alone.keys() & keys)) + sum(
            count for word_keys, count in sets if not word_keys.isdisjoint(keys)
        )

    @functools.cached_property
    def _counts(self) -> tuple[dict[str, int], list[tuple[frozenset[str], int]]]:
        """How many words have a key and no other, and how many have a set of several.

        Most words are in no set of synonyms. Counted once, a phrasing is compared with many answers.
        """
        counts = Counter(word.keys for word in self.words)
        alone = {key: count for keys, count in counts.items() if len(keys) == 1 for key in keys}
        return alone, [(keys, count) for keys, count in counts.items() if len(keys) > 1]


def words(text: str) -> tuple[Word, ...]:
    """The words of a text that carry meaning, in order."""
    tokens = [token.replace("’", "'") for token in _tokens(text)]
    found, negated, reach = [], False, False
    for index, form in enumerate(tokens):
        if form in _BOUNDARIES:
            negated = reach = False
        elif _negates(tokens, index):
            negated, reach = True, form == "out"
        elif form not in _STOP:
            stem = lemma(form.removesuffix("'s"))
            undone = _undone(stem)
            found.append(Word(form, _keys(undone or stem), negated != bool(undone)))
            if reach and form == "reach":  # what is out of reach is denied, not for whom
                negated = reach = False
    return tuple(found)


def _undone(stem: str) -> str | None:
    """The lemma that a word with "un-" denies: unlock → lock."""
    rest = stem.removeprefix("un")
    return rest if rest != stem and rest in _undoable() else None


def _negates(tokens: list[str], index: int) -> bool:
    token, following = tokens[index], tokens[index + 1 : index + 6]
    return (
        token in _NEGATORS
        or token.endswith("n't")
        or (token, *following[:1]) in _NEGATING_PHRASES
        or ([token, *following[:1]] == ["out", "of"] and "reach" in following)
    )


def lemma(word: str) -> str:
    """A form that a word shares with its inflections; not always a word itself (writing, writes → writ).

    >>> lemma("stoves") == lemma("stove"), lemma("grabbing")
    (True, 'grab')
    """
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    for ending, kept in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _MIN_STEM or (ending == "s" and word.endswith(("ss", "us", "is"))):
            continue
        word = stem + kept
        if ending in {"ing", "ed"} and word[-1] == word[-2] and word[-1] not in "lsz":
            word = word[:-1]
        break
    return word.removesuffix("e") if len(word) > _MIN_STEM else word


def says_nothing(text: str) -> bool:
    """Whether an answer says that nothing needs attention, told by its words.

    Narrow on purpose: "none" alone, or a denial right before what it denies ("no immediate concern", "not see anything
    wrong"). "The old man can't get up and needs attention" denies something else.
    """
    tokens = [token for token in _tokens(text) if token[0].isalnum()]
    if tokens in (["no"], ["no", "one"]) or tokens[:2] in (["n", "a"], ["not", "applicable"]):
        return True
    # "None of the workers wears a helmet" and "Nothing keeps him from falling" say something.
    if tokens[:1] in (["none"], ["nope"], ["nothing"]) and (tokens[1:2] != ["of"] and not _GUARDS & {*tokens[1:2]}):
        return True
    return any(_denies_all(tokens, index) for index in range(len(tokens)))


def _denies_all(tokens: list[str], index: int) -> bool:
    token, following = tokens[index], tokens[index + 1 : index + 1 + _NEAR]
    if token in ("no", "nothing"):
        return not _DENIABLE.isdisjoint(following) and following[:1] != ["one"]
    if token in ("not", "never") or token.endswith("n't"):
        every = next((place for place, word in enumerate(following) if word in ("any", "anything")), None)
        return every is not None and not _DENIABLE.isdisjoint(tokens[index + 1 + every : index + 1 + every + _NEAR])
    return False


def opposed(first: Said, second: Said) -> bool:
    """Whether one text affirms a word and the other its opposite: "the stove is on", "the stove is off"."""
    mine, theirs, opposites = first.affirmed, second.affirmed, _opposites()
    return any(
        right in theirs and right not in mine and left not in theirs
        for left in opposites.keys() & mine
        for right in opposites[left]
    )


def contradicts(first: Said, second: Said) -> bool:
    """Whether one text denies what the other affirms, about words that both have, or states the opposite."""
    if opposed(first, second):
        return True
    denied = not first.negated.isdisjoint(second.keys), not second.negated.isdisjoint(first.keys)
    if denied[0] == denied[1]:
        return False
    # "Nobody watches the baby" and "the baby is unattended": both deny something, each in its own words.
    denier, other = (first, second) if denied[0] else (second, first)
    return not other.negated and not (_implicit() & other.keys) - denier.keys


_GUARDS = frozenset(re.split(" ", "keeps protects prevents stops holds secures separates guards covers hinders"))
_NEAR = 5
"""Words behind a denial that it is about."""
_DENIABLE = frozenset(
    re.split(" ", "attention concern concerns problem problems element elements issue issues anything wrong")
)


def _tokens(text: str) -> list[str]:
    visible = INVISIBLE.sub("", text[: 40 * MAX_WORDS])
    folded = unicodedata.normalize("NFKC", visible).casefold()
    return [match.group() for _, match in zip(range(MAX_WORDS), _WORD.finditer(folded), strict=False)]


def _keys(stem: str) -> frozenset[str]:
    return frozenset({stem, *_synonym_sets().get(stem, ())})


@functools.cache
def _synonym_sets() -> dict[str, frozenset[str]]:
    """The names of the sets that a lemma is in; a name holds its line's number, so that two sets never share one."""
    sets: dict[str, set[str]] = {}
    for number, line in enumerate(_SYNONYMS.read_text(encoding="utf-8").splitlines()):
        if not line.startswith("#"):
            for word in line.split():
                sets.setdefault(lemma(word), set()).add(f"{line.split()[0]}#{number}")
    return {stem: frozenset(names) for stem, names in sets.items()}


@functools.cache
def _undoable() -> frozenset[str]:
    return frozenset(map(lemma, _UNDONE))


@functools.cache
def _implicit() -> frozenset[str]:
    return frozenset(map(lemma, _IMPLICIT))


@functools.cache
def _opposites() -> dict[str, frozenset[str]]:
    """The opposites of each lemma that has some."""
    pairs = [(lemma(one), lemma(other)) for one, other in _OPPOSITES]
    pairs += [(other, one) for one, other in pairs]
    return {stem: frozenset(other for one, other in pairs if one == stem) for stem, _ in pairs}
