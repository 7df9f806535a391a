"""The scoring service: turns answers into numbers. Stateless; all but servicers and converters works without gRPC.

    server            boots it
    servicer          the gRPC calls: servicer_language about texts, servicer_statistics about measures
    convert           maps their messages; convert_language those about texts
    scorer            loads the reader model, and joins reading with statistics
    reading/          what texts say
    protocols/        the studies' measures
    statistics/       over numbers and tables alone
    data/             the reader model and lists of words
    metrics, settings

CONTRIBUTING.md says how to add a measure.
"""
