"""Requests to calls, calls to answers. `target` reads the path, each other module has routes."""
