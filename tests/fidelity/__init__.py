"""What AWS documents, how much of it the lab imitates, and which tests prove it."""
