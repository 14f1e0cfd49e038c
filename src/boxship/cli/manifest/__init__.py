"""Commands about manifest lists, see store.py."""
