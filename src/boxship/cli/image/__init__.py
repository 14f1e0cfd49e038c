"""`boxship image`: one file per command."""
