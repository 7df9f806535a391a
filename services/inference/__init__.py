"""The inference service: completions of one vision-language model.

    server        boots it with the engine that the settings name
    servicer      the gRPC calls; convert maps their messages
    sampling      what a call does: checks, reads the pictures, samples the completions
    request       what is asked, and the bounds of each field
    preparation   a conversation made ready by the engine, and whose fault it is if it does not fit
    generation    n completions at once, each stopped at the end of its first sentence
    engines/      what computes: vLLM, an OpenAI-compatible endpoint, or answers from a file
    stop_texts    bounds of the texts that end a completion
    metrics, settings

Where the first sentence of an answer ends is in `axia.sentence`, which evaluations use too.

To follow a call, read `servicer`, `sampling` and `generation`.
"""
