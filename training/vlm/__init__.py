"""How the demo models are trained and evaluated; see the module of each."""
