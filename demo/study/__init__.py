"""A made-up annotation study of the twelve scenes, and what personas find interesting in the gallery's frames."""
