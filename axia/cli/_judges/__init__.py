"""What the commands about judges of alignment share: answers, cards, runs, tables."""
