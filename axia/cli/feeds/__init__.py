"""Commands for the short-video feed and for the agent that looks at it."""
