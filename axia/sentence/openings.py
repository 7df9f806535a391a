"""The words that stand before an answer and are no part of it: "Sure!", "Here is the answer:", headings, labels.

A sentence is an opening if it begins in the way of one and has only words that speak of answering, not of what is in
the picture. Words are compared in lower case; other languages have only their most common openings.
"""

import re


def _set(words: str) -> frozenset[str]:
    return frozenset(re.split(r"\s+", words))


LONGEST = 240
"""Characters of the longest opening: what is longer is an answer."""
LONGEST_LABEL = 80
"""Characters of the longest label before a colon."""

_LABEL_HEADS = _set(
    """answer answers response output result results element elements item object thing issue issues problem concern
    concerns conclusion summary analysis observation observations finding findings description explanation step part
    focus attention assistant ai model bot chatbot gpt llava caption reply verdict solution identification evaluation
    outcome final"""
)
_LABEL_WORDS = _LABEL_HEADS | _set(
    """the a an of in on for to this that which your my our image picture photo photograph scene screenshot frame view
    key main primary most important critical crucial notable relevant identified needing needs need needed requires
    requiring require required first one short brief visual image's and is are be or possible single urgent immediate
    immediately deserving deserves detected final overall 1 2 3 i ii iii"""
)
_TOPICS = _set(
    "safety hazard hazards risk risks danger dangers potential assessment security overview details reasoning"
)
_OTHER_LABELS = _set(
    """答案 回答 答 答复 最终答案 结论 需要注意的元素 答え respuesta réponse antwort resposta risposta ответ उत्तर जवाब
    الإجابة الجواب jawaban yanıt cevap 답변 답"""
)
_PLEASANTRY = (
    r"(?:sure(?: thing)?|certainly|of course|absolutely|definitely|okay|ok|alright|all right|right|well|so|great|"
    r"yes of course|no problem|gladly|happy to help|got it|understood|hello|hi|hey|thanks|thank you|my pleasure|"
    r"(?:that's a |what a )?(?:great|good|interesting|excellent) (?:question|picture|image|photo)|"
    r"first of all|first(?:ly)?|now|then|let's see|h+m+|"
    r"claro(?: que sí)?|por supuesto|con gusto|desde luego|com certeza|naturalmente|bien sûr|d'accord|certainement|"
    r"natürlich|gerne?|selbstverständlich|certo|certamente|конечно|хорошо|"
    r"好的|当然|当然可以|没问题|もちろん|もちろんです|はい|承知しました|물론입니다|물론이죠|네|"
    r"بالتأكيد|بالطبع|حسنا|حسنًا|ज़रूर|जरूर|बिल्कुल|ठीक है)"
)
_ONLY_PLEASANTRIES = re.compile(rf"{_PLEASANTRY}(?: {_PLEASANTRY})*")
_PLEASANTRIES_FIRST = re.compile(rf"^(?:{_PLEASANTRY} (?:and )?)*")
_VERBS = (
    r"(?:looked|look|took|taken?|checked|check|examined?|reviewed?|analy[sz]ed?|inspected|considered|studied|went|gone|"
    r"going|be happy|be glad|be pleased|happy|glad|help|say|put|point|describe|explain|share|identify|start|begin|"
    r"focus|proceed|think|do that|like to|answer|tell|give|provide|see the image|see the picture|consider|come|make|"
    r"came|gather|find the|try|go through|highlight|break)"
)
_BEGINS = re.compile(
    r"(?:here(?:'s| is| are| goes| we go| you go| you are| it is)|let(?:'s| me| us)|below|"
    rf"i(?:'ll|'ve|'d|'m| will| would| can| could| have| am| shall)? (?:now |first )?{_VERBS}|"
    r"look(?:ing)? (?:at|closely|carefully)|observing|based on|judging (?:by|from)|after|upon|having|on closer|"
    r"taking|to (?:answer|identify|determine|find)|in (?:response|answer) to|in view of|from (?:the|this|what)|"
    r"thank(?:s| you)|(?:that's a )?(?:great|good|interesting|excellent) question|what (?:follows|i see)|"
    r"this is (?:what|my|the answer)|the (?:answer|analysis|result|response) (?:to|of|is|can)|"
    r"(?:the )?following|my (?:answer|response|analysis|observations?|findings?|assessment|conclusion|take|view)|"
    r"(?:the|this|your) (?:image|picture|photo|photograph) (?:was|has been|deserves|raises|analy[sz]ed)|"
    r"(?:in|for) (?:this|the|your|that) (?:image|picture|photo|scene)|as (?:requested|asked)|please (?:find|see)|"
    r"there(?:'s| is| are) (?:only )?(?:one|several|some|a few|two|three|something|many|multiple)|"
    r"one (?:detail|thing|point|aspect|element) |regarding|you (?:asked|want)|step \d|identifying)\b"
)
_LOOKS_AT = re.compile(
    r"(?:let me(?! help)|let's|i(?:'ve| have)? (?:first )?"
    r"(?:looked at|examined|checked|reviewed|considered|studied|gone through))\b"
)
_DENIALS = _set("not no nothing none nobody never can't cannot don't won't couldn't unable sorry")
_SPEAKS_OF_ANSWERING = (
    _LABEL_WORDS
    | _TOPICS
    | _set(
        """i i'll i've i'd i'm me my mine you your we us they it its it's these those all some any several few two three
        many other more each every both will would can could have has had am was were been being do does did let let's
        here here's there there's what what's how why where when at by from with about into out up down over through
        as if so but then now after before upon next very just also only well having quick short simple complex
        whole entire good great interesting excellent quickly carefully closely thoroughly clearly briefly careful
        close closer look looks looking looked see seen take takes taking took taken take's check checked
        examine examined examining
        inspect inspected inspection review reviewed reviewing analyze analyzed analyzing analyse analysed analysing
        study studied consider considered considering think thinking thought thoughts identify identifying determine
        find found describe describing explain share sharing shared provide provided uploaded give gives given giving
        listed say said tell tells put point points pointed pointing proceed start begin continue move go goes going
        gone went walk break breakdown catch catches caught eye stand stands stood come comes came draw note
        notice noticed noting observe observed observing highlight mention mentioned worth deserve like happy glad help
        pleased ask asked question questions query request requested way ways detail detailed aspect aspects
        opinion perspective reading assess assessing evaluate evaluating follow follows following followed below above
        kind sure certainly okay ok alright right thank thanks please based visible shown happen happening present
        matter matters bit moment parts turn raise raises same answering answered respond responding interpret
        interpretation something things particular area areas calls call try further specific context content contents
        task make gather"""
    )
)
_VIEW = r"(?:scene|image|picture|photo|photograph|screenshot|view|frame|post)"
_KIND_OF_VIEW = re.compile(rf"\b[a-z]+ ({_VIEW})\b")
_ASKS = re.compile(r"[\s*_#\[<(]*(?:user|human|q|question|prompt|instruction)[\s*_\])>]*", re.IGNORECASE)
_ROLE = re.compile(r"[\s*_#]*(?:user|system)[\s*_]*", re.IGNORECASE)
_ANSWERS = re.compile(
    r"[\s*_#\[<(]*(?:assistant|ai|bot|model|a|ans|"
    r"(?:(?:final|short|brief|my) )?(?:answer|response|reply|output|element|result))[\s*_\])>]*",
    re.IGNORECASE,
)
_PROMPT = re.compile(
    r"\W*(?:identify what is the element that needs attention|if nothing is relevant,? answer|you are a helpful)\b"
    r"[^\n]*",
    re.IGNORECASE,
)
"""The study's question, which some models repeat."""
_ANY_NAME = re.compile(
    r"[\s*_#\[<(]*(?:(?:qwen|llava|internvl|gpt|chatgpt|claude|gemini|gemma|llama|cogvlm|blip|deepseek|mistral|pixtral)"
    r"[\w. -]{0,16}|a|ans|tl;?dr|in (?:one|a single|short|brief|summary)(?: (?:sentence|phrase|word|line))?)"
    r"[\s*_\])>]*",
    re.IGNORECASE,
)
"""Labels that no word of which names an answer."""
_ANNOUNCING = _set("following below follow follows")
_ANNOUNCES_LAST = _set("is are include includes including be was were namely follows see saw notice noticed")
_ANNOUNCES_FIRST = _set(
    """here potential key main important possible hazards issues concerns risks observations findings points details"""
)
_SHORT_TITLE = 4
"""Words of a line before a colon that is only a heading."""
_LETTERS = r"(?:[^\W_]|[\u064b-\u0652\u0900-\u0dff])+"  # `\w` has no marks above and below letters
_WORD = re.compile(rf"{_LETTERS}(?:['-]{_LETTERS})*")
_CLOSES_LABEL = re.compile(r"[*_\s]+$")
_EMPHASIS_RUN = re.compile(r"\*{1,3}|_{2,3}")
_COPULAS = frozenset({"is", "are", "be", "was"})
_MANY_WORDS = 4
_MOST_LABEL_WORDS = 10


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("’", "'"))


def is_opening(sentence: str) -> bool:
    """Whether a sentence says nothing itself: "Sure!", "Let me look at the image.", "Here is my answer:"."""
    if len(sentence) > LONGEST:
        return False
    if _PROMPT.fullmatch(sentence.strip()):
        return True
    plain = " ".join(_words(sentence))
    if _ONLY_PLEASANTRIES.fullmatch(plain):
        return True
    rest = _PLEASANTRIES_FIRST.sub("", plain)
    if not (_BEGINS.match(rest) or _BEGINS.match(plain)):
        return False
    others = [word for word in _words(_KIND_OF_VIEW.sub(r"\1", rest)) if not _speaks_of_answering([word])]
    # "Let me check the road." names a part of the picture and says nothing of it.
    return not others or (len(others) == 1 and others[0] not in _DENIALS and _LOOKS_AT.match(rest) is not None)


def asks(label: str) -> bool | None:
    """Whether what follows a label before a colon is a repeated question ("USER"), or the answer to one ("A").

    None for any other text.
    """
    if _ASKS.fullmatch(label):
        return True
    return False if _ANSWERS.fullmatch(label) else None


def is_prompt(line: str) -> bool:
    """Whether a line is the study's question."""
    return _PROMPT.match(line) is not None


def role(line: str) -> bool | None:
    """Whether a line of its own is the name of a role that asks ("user") or that answers; None if it is none."""
    if _ROLE.fullmatch(line):
        return True
    return False if re.fullmatch(r"[\s*_#]*(?:assistant|model)[\s*_]*", line, re.IGNORECASE) else None


def names_role(label: str) -> bool:
    """Whether a label names the role that asks, so that the question lasts until that of the answer."""
    return re.search("user", label, re.IGNORECASE) is not None


def is_label(text: str) -> bool:
    """Whether a text before a colon only names what follows: "Answer", "**Element that needs attention**"."""
    if _ANY_NAME.fullmatch(text):
        return True
    words = _words(text)
    if not words or len(words) > _MOST_LABEL_WORDS:
        return False
    if " ".join(words) in _OTHER_LABELS:
        return True
    return words[-1] not in _COPULAS and _LABEL_WORDS.issuperset(words) and not _LABEL_HEADS.isdisjoint(words)


def is_title(line: str) -> bool:
    """Whether a line of its own is a heading by its words: "Analysis", "**Safety assessment**"."""
    words = _words(line)
    if not words or len(words) > _MOST_LABEL_WORDS:
        return False
    known = all(word in _LABEL_WORDS or word in _TOPICS or word.isdigit() for word in words)
    return known and not (_LABEL_HEADS | _TOPICS).isdisjoint(words)


def ends_with_colon(line: str) -> bool:
    """Whether a line announces what follows on the next."""
    return _CLOSES_LABEL.sub("", line).endswith((":", "："))


def announces(line: str) -> bool:
    """Whether a line that ends with a colon says nothing but that something follows."""
    words = _words(line)
    if len(words) <= _SHORT_TITLE or words[-1] in _ANNOUNCES_LAST or words[0] in _ANNOUNCES_FIRST:
        return True
    if not _ANNOUNCING.isdisjoint(words) or (words[0] != "there" and _BEGINS.match(" ".join(words))):
        return True
    return sum(not _speaks_of_answering([word]) for word in words) <= 1


def is_heading_sentence(sentence: str) -> bool:
    """Whether a sentence in a heading line is only a heading: "What needs attention in this image?"."""
    words = _words(sentence)
    return sentence.rstrip("*_ ").endswith("?") or len(words) < _MANY_WORDS or _speaks_of_answering(words)


def emphasis_left_open(label: str) -> str:
    """The emphasis that begins in a label and doesn't end there, such as "**" of "**Answer"; empty if none."""
    open_run = ""
    for run in _EMPHASIS_RUN.findall(label):
        open_run = "" if run == open_run else run
    return open_run


def _speaks_of_answering(words: list[str]) -> bool:
    return all(word in _SPEAKS_OF_ANSWERING or word.isdigit() for word in words)
