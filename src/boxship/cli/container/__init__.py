"""`boxship container`: one file per command."""
