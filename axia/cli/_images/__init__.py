"""What the commands about images share: paths, manifests, times, and what is saved."""
