"""One file per scanner; `null` refuses all and is the default."""
