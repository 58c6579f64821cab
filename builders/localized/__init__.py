"""The `localized` recipe (LSKD): questions, answers and rationales about numbered regions."""
