"""`boxship volume`: one file per command."""
