"""Steps that sagas share: each looks, acts on what is missing, and looks again, forward and backward."""
