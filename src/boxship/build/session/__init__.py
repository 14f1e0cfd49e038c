"""The clients of builds: what they offer, asked over the connections they have opened."""
