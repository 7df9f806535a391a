"""Statistics over numbers and tables; knows nothing of texts and protocols.

    intervals, coefficient_intervals   of shares and their differences; of κ and α
    agreement, ceiling                 how far annotators agree, and how well one predicts the others
    model_comparison, cochran, mcnemar whether models differ
    tables                             what the others check their input with

docs/intervals.md has how often each interval holds the true figure.
"""
