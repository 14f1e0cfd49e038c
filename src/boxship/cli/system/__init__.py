"""`boxship system`: one file per command."""
