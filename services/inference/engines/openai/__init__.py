"""Any endpoint with OpenAI's chat completions: hosted models, or a vLLM server elsewhere."""
