"""What the commands of `axia feed` share."""
