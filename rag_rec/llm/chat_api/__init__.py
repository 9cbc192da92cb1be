"""The chat API of OpenAI on the wire: addresses, requests, replies and failures."""
