"""What the demo shows, one module for each thing."""
