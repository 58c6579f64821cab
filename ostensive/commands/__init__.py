"""The functions behind the commands, one module each; they alone import the rooms, and lazily."""
