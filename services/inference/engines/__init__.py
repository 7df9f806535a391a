"""Engines turn a conversation with pictures into tokens.

    engine          the interface `Engine`, which a new one implements; settings and server name it
    queue           the queue of an engine that has none of its own
    answer_format   answers that are held to choices or to a JSON schema
    vllm/           vLLM in this process
    openai/         any endpoint with OpenAI's chat completions
    scripted        answers from a file

CONTRIBUTING.md says how to add an engine.
"""
