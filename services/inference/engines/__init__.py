"""Engines turn a conversation with an image into tokens. A new one implements `engine.Engine`; `server` names it."""
