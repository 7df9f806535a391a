"""What the protocols ask: models, retrieval and scoring, without how each is reached."""
