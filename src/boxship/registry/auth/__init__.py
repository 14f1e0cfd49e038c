"""Who asks, and what they may do. `access` has the words; each other module is one way to know."""
