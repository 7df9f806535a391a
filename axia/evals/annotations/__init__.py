"""What annotators said of pictures: the record, its import, and the ground truth that follows from it."""
