"""A run: its folder, its partitions, who carries them out, and what it is told and shows."""
