"""What AWS documents, which of it the lab imitates, and which test proves it."""
