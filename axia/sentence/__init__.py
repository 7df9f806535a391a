"""Where the first sentence of an answer ends, in text that is still being generated.

    first_sentence       the two rules, and a text read in deltas until its sentence is over: begin here
    reasoning            reasoning before the answer, kept apart
    scan                 goes through units: a sentence, a line, or a label before a colon
    stops, ends          whether a sentence ends at a full stop, in a text that grows; the rules for that
    line_starts          list markers, headings, code fences and tags at the start of a line
    openings             "Sure!", titles and labels, which are no part of the answer
    repeated_question    a question that the model says again before it answers
    parts                quotations and answers in JSON
    stop_texts           texts at which a caller wants a completion to end

No text is read twice: each module continues where it waited for more.
"""
