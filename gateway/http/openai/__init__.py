"""Chat completions and models in the form of OpenAI's API."""
