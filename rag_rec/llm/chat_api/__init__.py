"""APIs of servers on the wire: addresses, requests, replies and failures."""
