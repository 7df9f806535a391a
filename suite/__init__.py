"""The suite on one machine: the servers of a checkout under circus, a process manager.

    services    what runs, where, and under which environment variables
    supervisor  starts circus, asks it, stops it
    startup     waits until every service can answer
    logs        reads what a service said before it ended
    restarts    runs inside circus: bounds restarts, notes how a service ended

`axia up` and `axia down` present it. It needs a checkout, because a wheel of axia holds the client alone.
"""


class SuiteError(Exception):
    """The suite can't do what was asked; the message says what to do."""
