"""What tests share: fakes, images, processes of the suite, checkpoints of model families."""
