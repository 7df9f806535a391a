"""What every server of the suite shares: boot, health, errors, logs, metrics, pictures."""
