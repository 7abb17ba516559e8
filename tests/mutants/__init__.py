"""Changes a decision, and asks whether a test notices: `make mutants`."""
