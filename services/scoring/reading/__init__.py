"""What texts say: alignment, groups of the same meaning, verdicts, values, response types, questionnaires."""
