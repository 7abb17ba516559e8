"""How much each page, list and tick reads of a database with a long history."""
