"""Critics: from candidate rows to scores and decisions."""
