"""Any endpoint with OpenAI's chat completions: hosted models, or a vLLM server elsewhere.

    engine             the engine, and when it asks again
    request            the body of a request, and the fields that an endpoint turns out not to take
    endpoint           the connection; the only module that imports httpx
    events, wire       server-sent events, and the answers in them
    tally              the chunks of an answer added up to one completion
    complaint, errors  what an endpoint says went wrong, and what the caller is told
    retry              how long to wait before asking again

To follow a completion, read `engine`, `endpoint` and `tally`.
"""
