"""A short-video feed whose recommender is known, so that what role-play measures can be compared with the truth.

    videos         what a feed shows; filled by demo_videos or folder_videos
    platforms      three platforms: what each recommender sees, how fast it learns, how much it explores
    recommender    the only module that knows the library of bandits, mabwiser
    session        one viewer on one platform: the next video follows from the seed and the events so far
    store          sessions and events in SQLite
    app, page/     the feed as web pages and JSON; the only module that knows FastAPI
    role_play      the three phases in virtual time; viewers decides: truth, model, chance
    truth          what the recommender really does for a viewer who decides by a persona's documented truth

`axia feed` presents it. It needs a checkout and the extra `feed`, because the wheel of axia contains only the client.
"""


class FeedError(Exception):
    """The feed can't do what was asked; the message says what to do."""
