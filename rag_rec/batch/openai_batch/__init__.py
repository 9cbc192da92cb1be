"""Files of the OpenAI Batch API: requests out, answers in."""
