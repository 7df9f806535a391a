"""What trains and evaluates the models that the suite carries."""
