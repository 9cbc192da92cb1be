"""Item item."""
