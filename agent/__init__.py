"""A browser agent that looks at short-video feeds as a person does: it sees screenshots, decides, and swipes.

    manners      what it may visit, how fast, under which name: hosts, robots.txt, rate
    browser      the only module that knows Playwright: screenshots, signs of trouble, wheel, keys
    chromium     where Chromium is
    settling     when a swipe's transition is over
    screens      what a screen shows: a video, an ad, a log-in wall …; by the page's signs, or by asking a model
    judges       what to do about a video: collect it, or as a persona stay or swipe
    policy       from what was seen and answered to an action: pure and seeded, so that a record can be replayed
    record       one JSON line a step, with the screenshot beside it
    watching     the loop: look, ask, act, note
    replay       runs a record's policy again, without a model and without a page
    hashing      perceptual hashes
    collection   screenshots into the gateway's index, each once, and their datasheet

`axia agent` presents it. It needs a checkout and the extra `agent`, because the wheel of axia contains only the client.
"""


class AgentError(Exception):
    """The agent can't do what was asked; the message says what to do."""


class Stopped(AgentError):
    """The page says that the agent isn't welcome or can't go on: a wall, a challenge, HTTP 429, another host."""
