"""Role-play on the feed of a checkout, whose recommender is known, as a task of inspect_ai.

    videos        what is watched: the demo's videos or a folder's
    sessions      what is asked for: personas on platforms, a sample each; the task
    watching      the solver: a model decides video by video
    changes       the scorer: I beside the recommender's known effect

The only part of evaluations that imports `feed`, which a wheel doesn't have: `role_play` imports it
where a feed is asked for.
"""
