"""The reader model: labelled texts by many authors, training, calibration, export, figures."""
