"""People's judgements: the page they give them on, the store that keeps them, and what follows from them."""
