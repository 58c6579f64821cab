"""How the tiny models of the microworld are made, taught, measured and saved."""
