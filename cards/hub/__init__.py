"""Publishing a corpus on the Hugging Face Hub: what is to be sent, the Hub's client, and the sending."""
