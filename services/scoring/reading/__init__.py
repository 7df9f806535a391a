"""What texts say: alignment, groups of the same meaning, verdicts, values, response types, questionnaires.

    language          all of these with one reader model: begin here
    model             the reader model; labels are what it tells apart
    alignment         whether an answer names the annotators' element: lexical (by words), semantic_judge (by the model)
    nearness          how near two texts are in meaning, which alignment and grouping compare
    grouping          completions of the same meaning, and what they agree on
    verdicts          yes, no or a refusal; short_answers and answer_form read what needs no model
    values, schwartz  which values a sentence concerns
    response_types    what kind of answer a sentence is
    isq/              scores of the six-item questionnaire, however a model writes them
    spoken, readable, loops  in which language a text is, whether it can be read, and what repeats in it

Where there is no reader model, `language` says what of these is left.
"""
