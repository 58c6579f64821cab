"""Students: models trained on a corpus. Nothing is here yet."""
