"""Models on this machine: their files and versions, devices, loading, batches, generating text."""
