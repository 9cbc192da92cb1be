"""The embedded model: PyTorch on this machine's processor, replies held to a schema."""
