"""Ways to get through many users; each makes the same records."""
