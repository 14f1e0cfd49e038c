"""`boxship network`: one file per command."""
