"""A browser agent that looks at short-video feeds as a person does: it sees screenshots, decides, and swipes.

`axia agent` presents it. It needs a checkout and the extra `agent`, because a wheel of axia holds the client alone.
"""


class AgentError(Exception):
    """The agent can't do what was asked; the message says what to do."""
