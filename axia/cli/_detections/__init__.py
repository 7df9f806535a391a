"""What `axia detect`, `replay` and `watch` share: options, runs, files and tables of detections."""
