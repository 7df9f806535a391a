"""The studies' measures.

    completions                   all that is said of one picture's completions
    preference, preference_pairs  preference by value, and of two models compared
    persona                       how feeds move with a persona
    misalignment                  how answers miss

The studies are arXiv 2411.11479 and arXiv 2501.03957; each module has its formulas.
"""
